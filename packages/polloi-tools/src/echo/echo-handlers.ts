/** The module of `polloi serve --model`: a protocol as the handlers of a serving model. */
import type { ModelHandlers } from "polloi/models";
import { PROTOCOLS, type ProtocolName } from "./protocols.ts";

/** The data of the module. */
export interface EchoHandlersInput {
  readonly protocol: ProtocolName;
}

export function start({ protocol }: EchoHandlersInput): ModelHandlers {
  const answer = PROTOCOLS[protocol];
  return { data: (connection, bytes) => void answer(connection, bytes) };
}
