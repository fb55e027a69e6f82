import { mkdirSync, writeFileSync } from "node:fs";
import { makeCertificate } from "../test/support/certificates.ts";
import { compiled, inOut } from "./places.ts";
import { NODE, type PeerPlan } from "./plans.ts";

/** The cases of the TLS benchmark. */
export const TLS_CASES = ["https", "handshakes", "resumed", "echo", "idle"] as const;
export type TlsCaseName = (typeof TLS_CASES)[number];

/** A server, and the cases that it takes part in. */
interface TlsPlan extends PeerPlan {
  readonly cases: readonly TlsCaseName[];
}

const FOLDER = inOut("tls");
const TLS = ["--tls", FOLDER] as const;

/** Makes a certificate for ECDSA with P-256, which the servers read when they start. */
export function writeCertificate(): void {
  const { cert, key } = makeCertificate();
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(`${FOLDER}/cert.pem`, cert);
  writeFileSync(`${FOLDER}/key.pem`, key, { mode: 0o600 });
}

const HTTPS: readonly TlsCaseName[] = ["https"];
const HANDSHAKES: readonly TlsCaseName[] = ["https", "handshakes", "resumed"];
const ECHO: readonly TlsCaseName[] = ["echo"];
const IDLE: readonly TlsCaseName[] = ["echo", "idle"];

interface Variant {
  readonly on?: "node" | "bun" | "deno";
  readonly run?: boolean;
}

/** polloi as an HTTP or an echo server: `polloi("echo", "epoll", IDLE)` is `polloi-echo-epoll`. */
function polloi(
  kind: "http" | "echo",
  engine: "io_uring" | "epoll",
  cases: readonly TlsCaseName[],
  { on = "node", run = false }: Variant = {},
): TlsPlan {
  const program = compiled(kind === "http" ? "peers/polloi-http" : "peers/polloi");
  const args = [program, "--engine", engine, ...(run ? ["--run"] : []), ...TLS];
  const name = `polloi-${kind}-${engine === "io_uring" ? "uring" : engine}`;
  const where = on === "bun" ? ["on Bun"] : on === "deno" ? ["on Deno"] : [];
  const label = [`polloi ${kind === "http" ? "HTTPS" : "TLS"}`, engine];
  return {
    name: `${name}${run ? "-run" : ""}${on === "node" ? "" : `-${on}`}`,
    label: [...label, ...(run ? ["run()"] : []), ...where].join(", "),
    cases,
    ...(on === "node" ? {} : { needs: on }),
    command(tool) {
      if (on === "node") return [...NODE, ...args];
      return on === "bun" ? [tool, ...args] : [tool, "run", "--allow-all", ...args];
    },
    ...(on === "deno" ? { collects: false } : {}),
  };
}

/** Every server, in the order of rounds and tables. Servers that are compared with each other are neighbours. */
export const TLS_PLANS: readonly TlsPlan[] = [
  polloi("http", "io_uring", HANDSHAKES, { run: true }),
  polloi("http", "io_uring", HANDSHAKES),
  polloi("http", "epoll", HANDSHAKES),
  {
    name: "uws",
    label: "uWebSockets.js SSLApp",
    needs: "uws",
    // This cannot be configured.
    idleSeconds: 10,
    cases: HTTPS,
    command: (folder) => [...NODE, compiled("peers/uws"), folder, ...TLS],
  },
  {
    name: "bun-serve",
    label: "Bun.serve with TLS",
    needs: "bun",
    cases: HTTPS,
    command: (bun) => [bun, compiled("peers/bun-serve"), ...TLS],
  },
  polloi("http", "io_uring", HANDSHAKES, { on: "bun" }),
  polloi("http", "io_uring", HANDSHAKES, { on: "deno" }),
  {
    name: "node-https",
    label: "node:https",
    cases: HANDSHAKES,
    command: () => [...NODE, compiled("peers/node-http"), ...TLS],
  },
  polloi("echo", "io_uring", IDLE, { run: true }),
  polloi("echo", "io_uring", IDLE),
  polloi("echo", "epoll", IDLE),
  {
    name: "bun-listen",
    label: "Bun.listen with TLS",
    needs: "bun",
    cases: ECHO,
    command: (bun) => [bun, compiled("peers/bun-listen"), ...TLS],
  },
  polloi("echo", "io_uring", IDLE, { on: "bun" }),
  polloi("echo", "io_uring", IDLE, { on: "deno" }),
  {
    name: "node-tls",
    label: "node:tls",
    cases: IDLE,
    command: () => [...NODE, compiled("peers/node-net"), ...TLS],
  },
];

/** The names that `--servers` accepts. */
export const TLS_NAMES: readonly string[] = TLS_PLANS.map(({ name }) => name);

/** Whether a server takes part in a case. */
export function takesPart(name: string, of: TlsCaseName): boolean {
  return TLS_PLANS.some((plan) => plan.name === name && plan.cases.includes(of));
}
