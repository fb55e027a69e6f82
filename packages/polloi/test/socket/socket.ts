import type { Suite } from "../../../../test/support/suite.ts";
import { connecting } from "./connecting.ts";
import { faults } from "./faults.ts";
import { lifeCycle } from "./life-cycle.ts";
import { messages } from "./messages.ts";
import { options } from "./options.ts";
import { transfer } from "./transfer.ts";

/** The suites of sockets, for every runtime. No case blocks its thread. */
export function socketConformance(): Suite[] {
  return [lifeCycle, transfer, connecting, messages, options, faults];
}
