import type { CallGroup } from "../process/calls.ts";
import type { Process } from "../process/process.ts";
import { descriptorCalls } from "./descriptor-calls.ts";
import type { FileTree } from "./file-tree.ts";
import { openCalls } from "./open-calls.ts";
import { statusCalls } from "./status-calls.ts";
import { positionCalls, transferCalls } from "./transfer-calls.ts";

/** The calls on files and descriptors of a process. */
export function fileCalls(process: Process, tree: FileTree): CallGroup[] {
  return [
    { calls: descriptorCalls(process) },
    {
      calls: transferCalls(process),
      numbered: () => ({ ...statusCalls(process, tree), ...positionCalls(process) }),
    },
    openCalls(process, tree),
  ];
}
