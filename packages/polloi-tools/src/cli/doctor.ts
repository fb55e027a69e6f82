import { readFileSync } from "node:fs";
import { release, type as systemName } from "node:os";
import type { EngineReport } from "polloi";
import type { OpenSslReport } from "polloi/internal";
import { runtimeFacts } from "polloi/internal/pure";
import { EXIT_FAILED, EXIT_OK } from "./errors.ts";
import { print, stylerFor } from "./output.ts";

/** A resource limit. Infinity stands for "unlimited". */
interface Limit {
  readonly soft: number;
  readonly hard: number;
}

/** The result of `polloi doctor`. Unknown values are null. */
export interface Diagnosis {
  readonly polloi: string;
  readonly runtime: string;
  readonly kernel: string;
  readonly architecture: string;
  readonly libc: string | null;
  readonly ffi: { readonly name: string; readonly works: boolean; readonly reason?: string };
  readonly engines: readonly EngineReport[];
  /** The OpenSSL that TLS uses. */
  readonly tls: OpenSslReport | null;
  readonly descriptors: Limit | null;
  readonly somaxconn: number | null;
  readonly tcpMaxSynBacklog: number | null;
  readonly localPorts: { readonly first: number; readonly last: number } | null;
}

/** A lower limit on descriptors is reported with advice, since each connection takes one. */
const MANY_DESCRIPTORS = 10_000;

/** `polloi doctor`. @returns The exit code, which is a failure when no engine works. */
export async function doctor(version: string, json: boolean): Promise<number> {
  const diagnosis = await diagnose(version);
  const text = json ? `${JSON.stringify(diagnosis, null, 2)}\n` : describe(diagnosis);
  await print(text);
  return diagnosis.engines.some(({ works }) => works) ? EXIT_OK : EXIT_FAILED;
}

async function diagnose(version: string): Promise<Diagnosis> {
  const [soft, hard] = limitOfDescriptors();
  const [first, last] = numbersIn("/proc/sys/net/ipv4/ip_local_port_range");
  const { title, ffi } = runtimeFacts();
  return {
    polloi: version,
    runtime: title,
    kernel: `${systemName()} ${release()}`,
    architecture: process.arch,
    libc: libcName(),
    ...(await kernelAndEngines(ffi)),
    descriptors: soft === undefined || hard === undefined ? null : { soft, hard },
    somaxconn: numbersIn("/proc/sys/net/core/somaxconn")[0] ?? null,
    tcpMaxSynBacklog: numbersIn("/proc/sys/net/ipv4/tcp_max_syn_backlog")[0] ?? null,
    localPorts: first === undefined || last === undefined ? null : { first, last },
  };
}

/** Loads the library, and reports why if that fails. */
async function kernelAndEngines(name: string): Promise<Pick<Diagnosis, "ffi" | "engines" | "tls">> {
  try {
    const { kernel, reportOpenSsl } = await import("polloi/internal");
    const { probeEngines } = await import("polloi");
    const engines = probeEngines(kernel);
    return { ffi: { name, works: true }, engines, tls: reportOpenSsl(kernel) };
  } catch (error) {
    const reason = (error as Error).message;
    return { ffi: { name, works: false, reason }, engines: [], tls: null };
  }
}

/**
 * The C library that this process has mapped, by name and version.
 *
 * @remarks
 * The file of glibc contains a banner with its version. That of musl would have to be run.
 */
function libcName(): string | null {
  const path = /\S+\/(?:libc\.so\.6|libc-2\.\d+\.so|(?:ld|libc)[.-]musl\S*)$/m.exec(
    contents("/proc/self/maps"),
  )?.[0];
  if (path === undefined) return null;
  if (path.includes("musl")) return "musl";
  const version = /GNU C Library[^\n]*release version (\d+\.\d+)/.exec(contents(path, "latin1"));
  return version === null ? "glibc" : `glibc ${version[1]}`;
}

function limitOfDescriptors(): (number | undefined)[] {
  const found = /^Max open files\s+(\S+)\s+(\S+)/m.exec(contents("/proc/self/limits"));
  return [found?.[1], found?.[2]].map((text) => {
    if (text === undefined) return undefined;
    return text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text);
  });
}

function numbersIn(path: string): number[] {
  return (contents(path).match(/\d+/g) ?? []).map(Number);
}

/** The content of a file; empty when it cannot be read, since a container may hide it. */
function contents(path: string, encoding: "utf8" | "latin1" = "utf8"): string {
  try {
    return readFileSync(path, encoding);
  } catch {
    return "";
  }
}

function tlsText(
  report: OpenSslReport | null,
  mark: (works: boolean, reason?: string) => string,
): string {
  if (report === null) return "unknown";
  if (!report.works) return mark(false, report.reason);
  return `${mark(true)}: ${report.version}, of ${report.source}`;
}

function describe(found: Diagnosis): string {
  const style = stylerFor(process.stdout);
  const mark = (works: boolean, reason = ""): string =>
    works ? style("green", "works") : `${style("red", "does not work")}: ${reason}`;
  const { ffi, engines, descriptors, localPorts } = found;
  const rows: [name: string, value: string][] = [
    ["polloi", found.polloi],
    ["runtime", found.runtime],
    ["kernel", found.kernel],
    ["architecture", found.architecture],
    ["libc", found.libc ?? "unknown"],
    [`FFI (${ffi.name})`, mark(ffi.works, ffi.reason)],
    ...engines.map(({ name, works, reason }): [string, string] => [name, mark(works, reason)]),
    ["TLS", tlsText(found.tls, mark)],
    ["open descriptors", descriptors === null ? "unknown" : limitText(descriptors)],
    ["somaxconn", `${found.somaxconn ?? "unknown"}`],
    ["tcp_max_syn_backlog", `${found.tcpMaxSynBacklog ?? "unknown"}`],
    ["local ports", localPorts === null ? "unknown" : portsText(localPorts)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${style("dim", name.padEnd(width))}  ${value}\n`).join("");
}

function limitText({ soft, hard }: Limit): string {
  const text = `${soft} (soft), ${hard} (hard)`.replaceAll("Infinity", "unlimited");
  if (soft >= MANY_DESCRIPTORS) return text;
  const raise = hard >= MANY_DESCRIPTORS ? "ulimit -n" : "ulimit -Hn, or LimitNOFILE= of systemd";
  return `${text}: each connection takes one; raise it with ${raise}`;
}

function portsText({ first, last }: { first: number; last: number }): string {
  return `${first} to ${last}: ${last - first + 1} connections from here to one address and port`;
}
