/** Profiles polloi's HTTP server under load, in the working tree and in another commit. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Command } from "commander";
import type { Figure } from "../packages/polloi-tools/src/measure/report.ts";
import {
  addBenchmark,
  type CommonFlags,
  countFrom,
  namesFrom,
  open,
  type Published,
  publishedBy,
  requireC,
  type Session,
  save,
  show,
} from "./benchmark.ts";
import { checkOut, commitOf } from "./commits.ts";
import { requestOf } from "./http.ts";
import { writeBodies } from "./http-plans.ts";
import { loadOn, withServer } from "./interleave.ts";
import type { SelfTime } from "./peers/profiled.ts";
import { findPeers, type Peer } from "./peers.ts";
import { compiled, inRepository } from "./places.ts";
import { NODE, type PeerPlan } from "./plans.ts";

const APIS = ["handler", "fetch"] as const;
type Api = (typeof APIS)[number];

const CASES = ["hello", "pipelined"] as const;
type CaseName = (typeof CASES)[number];

const CONNECTIONS = 64;
const DEPTHS: Readonly<Record<CaseName, number>> = { hello: 1, pipelined: 16 };
const TITLES: Readonly<Record<CaseName, string>> = {
  hello: "not pipelined",
  pipelined: "16 pipelined",
};
const SECONDS = 4;
const WARMUP = 2;
/** How long the server may take to answer. */
const ANSWER_MS = 30_000;

interface ProfileFlags extends CommonFlags {
  readonly against?: string;
  readonly cases?: readonly CaseName[];
  readonly top: number;
}

/** The functions of one version in one case. */
export interface Profile {
  /** The commit; undefined for the working tree. */
  readonly commit: string | undefined;
  readonly requests: number;
  /** All functions, the one with the most time first. */
  readonly functions: readonly SelfTime[];
}

/** Both versions in one case. */
export interface ProfileCase {
  readonly api: Api;
  readonly name: CaseName;
  readonly profiles: readonly Profile[];
}

interface ProfileResult extends Published {
  readonly benchmark: "profile";
  readonly cases: ProfileCase[];
}

export function addProfile(program: Command): void {
  addBenchmark(program, {
    name: "profile",
    description: "the functions of polloi's HTTP server that take the most time",
    times: { rounds: 1, seconds: SECONDS, warmup: WARMUP },
    servers: { usual: APIS, all: APIS },
  })
    .option("--against <commit>", "another commit to profile as well")
    .option("--cases <names>", `cases to profile (default: ${CASES.join(",")})`, (text) =>
      namesFrom(text, CASES),
    )
    .option("--top <count>", "functions to print", countFrom, 20)
    .action(run);
}

async function run(flags: ProfileFlags): Promise<void> {
  const { cases = CASES, servers: apis = APIS, top } = flags;
  const commit = flags.against === undefined ? undefined : commitOf(flags.against);
  writeBodies();
  const folders = new Map<string | undefined, string>();
  if (commit !== undefined) folders.set(commit, checkOut(commit));
  folders.set(undefined, inRepository(""));
  const plans = [...folders].flatMap(([version, folder]) =>
    (apis as readonly Api[]).map((api) => planOf(api, version, folder)),
  );
  const names = plans.map(({ name }) => name);
  const session = await open(flags, { peers: (tools) => findPeers(tools, names, plans) });
  requireC(session, "profile");
  const result: ProfileResult = { ...publishedBy(session, "profile"), cases: [] };
  for (const api of apis as readonly Api[]) {
    for (const name of cases) {
      const profiles: Profile[] = [];
      for (const version of folders.keys()) {
        const peer = session.peers.find((each) => each.name === nameOf(api, version));
        if (peer !== undefined) profiles.push(await profile(session, peer, name, version, flags));
      }
      const measured = { api, name, profiles };
      result.cases.push(measured);
      show(session, [profileFigure(measured, top)]);
    }
  }
  console.log(`\nwritten to ${save(result, flags)}`);
}

function nameOf(api: Api, commit: string | undefined): string {
  return `polloi-${api}-${commit ?? "tree"}`;
}

function planOf(api: Api, commit: string | undefined, folder: string): PeerPlan {
  const file = join(folder, "dist/bench/peers/polloi-http.js");
  const flags = ["--engine", "io_uring", ...(api === "fetch" ? ["--fetch"] : [])];
  return {
    name: nameOf(api, commit),
    label: `polloi ${api}, ${commit ?? "this tree"}`,
    command: () => {
      if (!existsSync(file)) throw new Error("the commit has no bench/peers/polloi-http.ts");
      const profiled = pathToFileURL(compiled("peers/profiled")).href;
      return [...NODE, "--import", profiled, file, ...flags];
    },
  };
}

/** Profiles a server whose code is warm. */
async function profile(
  session: Session,
  peer: Peer,
  name: CaseName,
  commit: string | undefined,
  { seconds = SECONDS, warmup = WARMUP }: CommonFlags,
): Promise<Profile> {
  return await withServer(session, peer, async (server) => {
    const depth = DEPTHS[name];
    const plan = { ...requestOf(name), connections: CONNECTIONS, depth, size: 13, idle: 0 };
    const load = await loadOn(session, server, plan);
    try {
      await load.run({ warmup, seconds: 0 });
      await server.ask("start", ANSWER_MS);
      const { messages } = await load.run({ warmup: 0, seconds });
      const { functions } = await server.ask("stop", ANSWER_MS);
      return { commit, requests: messages, functions: functions as readonly SelfTime[] };
    } finally {
      await load.stop();
    }
  });
}

/** A table of the functions that take the most time, with a pair of columns for each version. */
export function profileFigure({ api, name, profiles }: ProfileCase, top: number): Figure {
  const columns = profiles.map(({ commit, requests, functions }) => {
    const total = functions.reduce((sum, { microseconds }) => sum + microseconds, 0);
    const cells = functions.slice(0, top).map(({ name: called, place, microseconds }) => {
      const share = `${((100 * microseconds) / total).toFixed(1)} %`;
      return [`${(microseconds / requests).toFixed(3)} (${share})`, `${called}${fileOf(place)}`];
    });
    const title = `${commit ?? "this tree"}: ${(total / requests).toFixed(2)} us/request`;
    return { header: [title, "function"], cells };
  });
  const count = Math.max(0, ...columns.map(({ cells }) => cells.length));
  return {
    title: `polloi ${api}, ${TITLES[name]}, ${CONNECTIONS} connections`,
    table: {
      header: ["", ...columns.flatMap(({ header }) => header)],
      rows: Array.from({ length: count }, (_, i) => [
        `${i + 1}`,
        ...columns.flatMap(({ cells }) => cells[i] ?? ["", ""]),
      ]),
    },
    remarks: [],
  };
}

/** ` (http.js)`: lines differ between commits, and the names of shared parts of bundles at each build. */
function fileOf(place: string): string {
  const file = place.match(/([^/]+):\d+$/)?.[1];
  if (file === undefined) return "";
  return file.startsWith("chunk-") ? "" : ` (${file})`;
}
