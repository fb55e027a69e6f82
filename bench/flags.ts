import { type Command, InvalidArgumentError, Option } from "commander";
import { PEER_NAMES } from "./plans.ts";

/** The flags of every benchmark. */
export interface CommonFlags {
  readonly servers?: readonly string[];
  readonly rounds?: number;
  readonly seconds?: number;
  readonly warmup?: number;
  readonly quick?: boolean;
  readonly json?: string;
  readonly serverCore?: number;
  readonly loadCore?: number;
}

/** A number above 0, for commander. */
export function numberFrom(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError("A number above 0 is wanted.");
}

/** A whole number, 0 among them. */
export function wholeFrom(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError("A whole number is wanted.");
}

/** How many: a whole number above 0. */
export function countFrom(text: string): number {
  const value = wholeFrom(text);
  if (value > 0) return value;
  throw new InvalidArgumentError("A whole number above 0 is wanted.");
}

/** Several counts: `50,500`. */
export function countsFrom(text: string): number[] {
  return text.split(",").map(countFrom);
}

/** Names of servers: `c-epoll,node-net`; `all` is every one. */
export function serversFrom(text: string): string[] {
  return namesFrom(text, PEER_NAMES);
}

/** Some of these names: `hello,file`; `all` is every one. */
export function namesFrom<Name extends string>(text: string, all: readonly Name[]): Name[] {
  if (text === "all") return [...all];
  const names = text.split(",");
  const unknown = names.find((name) => !(all as readonly string[]).includes(name));
  if (unknown === undefined) return names as Name[];
  throw new InvalidArgumentError(`There is no ${unknown}; there are ${all.join(", ")}.`);
}

/** How much is measured unless flags say otherwise, and with `--quick`. */
export interface Defaults {
  readonly rounds: number;
  readonly seconds?: number;
  readonly warmup?: number;
}

/** Seconds of load before anything is counted. */
export const DEFAULT_WARMUP = 0.5;

/** Adds the flags that every benchmark has. */
export function withCommonFlags(
  command: Command,
  { rounds, seconds, warmup = DEFAULT_WARMUP }: Defaults,
): Command {
  command
    .option(
      "--rounds <count>",
      `rounds; every server runs once in each (default: ${rounds})`,
      countFrom,
    )
    .option("--quick", "short and few rounds: to see that it works, not for figures")
    .option("--json <file>", "where to write the result (default: bench/out)")
    .addOption(new Option("--server-core <core>", "core of the servers").argParser(wholeFrom))
    .addOption(new Option("--load-core <core>", "core of the load").argParser(wholeFrom));
  if (seconds === undefined) return command;
  return command
    .option(
      "--seconds <seconds>",
      `measured per server and round (default: ${seconds})`,
      numberFrom,
    )
    .option("--warmup <seconds>", `before that (default: ${warmup})`, numberFrom);
}

/** Adds the choice of servers, and says which are taken without it. */
export function withServers(
  command: Command,
  names: readonly string[],
  all: readonly string[] = PEER_NAMES,
): Command {
  const which = `which servers, or all (default: ${names.join(",")})`;
  return command
    .option("--servers <names>", which, (text) => namesFrom(text, all))
    .addHelpText("after", `\nServers: ${all.join(", ")}`);
}
