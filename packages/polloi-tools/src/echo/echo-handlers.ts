/** The module of a model that serves one of the protocols: what `polloi serve --model` runs. */
import type { ModelHandlers } from "polloi/models";
import { PROTOCOLS, type ProtocolName } from "./protocols.ts";

/** What the module is given. */
export interface TalkInput {
  readonly protocol: ProtocolName;
}

export function start({ protocol }: TalkInput): ModelHandlers {
  const answer = PROTOCOLS[protocol];
  return { data: (connection, bytes) => void answer(connection, bytes) };
}
