import type { Suite } from "../suite.ts";
import { connecting } from "./socket/connecting.ts";
import { faults } from "./socket/faults.ts";
import { lifeCycle } from "./socket/life-cycle.ts";
import { messages } from "./socket/messages.ts";
import { options } from "./socket/options.ts";
import { transfer } from "./socket/transfer.ts";

/** What sockets are held to, on every runtime. Nothing in it blocks on its own thread. */
export function socketConformance(): Suite[] {
  return [lifeCycle, transfer, connecting, messages, options, faults];
}
