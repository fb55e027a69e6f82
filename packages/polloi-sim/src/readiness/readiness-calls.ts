import type { CallGroup } from "../process/calls.ts";
import type { Process } from "../process/process.ts";
import { epollCalls } from "./epoll-calls.ts";
import { pollCalls } from "./poll-calls.ts";
import { selectCalls } from "./select-calls.ts";

/** The calls of a process that wait for descriptors: select, poll and epoll. */
export function readinessCalls(process: Process): CallGroup[] {
  return [epollCalls(process), { calls: pollCalls(process) }, { calls: selectCalls(process) }];
}
