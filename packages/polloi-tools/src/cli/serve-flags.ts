import type { EngineChoice, Trigger } from "polloi";
import type { AccessFormat } from "polloi/http";
import type { AtLimit, ModelName, Sharing } from "polloi/models";
import type { ProtocolName } from "../echo/protocols.ts";
import type { TraceChoice } from "./trace-choice.ts";

/** What can be served. */
export type ServedName = ProtocolName | "http";

/** What is to be served, and on which port if that was said. */
export interface Asked {
  readonly protocol: ServedName;
  readonly port?: number;
}

/** The flags of `polloi serve`. */
export interface ServeFlags {
  readonly host: string;
  readonly port?: number;
  /** A path, or a name with a leading NUL. */
  readonly unix?: string;
  readonly engine: EngineChoice;
  readonly trigger?: Trigger;
  readonly workers?: number | "auto";
  /** One of the five ways; without it, an event loop, or as many as there are workers. */
  readonly model?: ModelName;
  readonly children?: number | "auto";
  readonly share?: Sharing;
  readonly maxChildren?: number;
  readonly atLimit?: AtLimit;
  readonly backlog?: number;
  /** From `--delay` and `--no-delay`; undefined when neither is given. */
  readonly delay?: boolean;
  /** In milliseconds. */
  readonly idleTimeout?: number;
  /** In milliseconds: how long stopping may take. */
  readonly grace?: number;
  readonly dir?: string;
  readonly listing?: boolean;
  readonly dotfiles?: boolean;
  /** In milliseconds. */
  readonly maxAge?: number;
  /** A path, or `-` for stdout. */
  readonly accessLog?: string;
  readonly logFormat?: AccessFormat;
  readonly quiet?: boolean;
  readonly json?: boolean;
  /** What is to be told of the loop, in `polloi trace serve`. */
  readonly trace?: TraceChoice;
}

const PORTS: Readonly<Record<ServedName, number>> = {
  echo: 7788,
  upper: 7788,
  discard: 7788,
  http: 8080,
};

/** The port that each protocol is to have: its own, else what `--port` says of it, else the usual one. */
export function portsFor(asked: readonly Asked[], flag: number | undefined): number[] {
  return asked.map(({ protocol, port }, i) => {
    const given = i === 0 || flag === 0 ? flag : undefined;
    return port ?? given ?? PORTS[protocol];
  });
}
