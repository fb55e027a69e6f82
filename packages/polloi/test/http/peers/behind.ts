/** Proxies of Debian in front of a server. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { folder, Program } from "../../../../../test/support/processes.ts";

/** A proxy on a unix socket in its own folder, so that it needs no port. */
export interface ProxyProgram {
  readonly name: string;
  readonly command: string;
  /** Writes its configuration. @returns Its arguments. */
  configure(folder: string, socket: string, port: number): readonly string[];
}

/** nginx, with a configuration of its own. @param more - The blocks behind `events`. */
export function nginxWith(
  more: (at: { folder: string; socket: string; port: number }) => string,
): ProxyProgram {
  return {
    name: "nginx",
    command: "nginx",
    configure(at, socket, port) {
      const configuration = `
daemon off;
master_process off;
pid ${join(at, "nginx.pid")};
${more({ folder: at, socket, port })}
events { worker_connections 512; }`;
      writeFileSync(join(at, "nginx.conf"), configuration);
      return ["-p", at, "-c", join(at, "nginx.conf"), "-e", "stderr"];
    },
  };
}

/** An `http` block of nginx. @param inside - What is in it. */
export function nginxHttp(at: string, inside: string): string {
  const kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const temporary = kinds.map((kind) => `${kind}_temp_path ${join(at, kind)};`).join(" ");
  return `http { ${temporary} access_log off; ${inside} }`;
}

/** HAProxy, with a configuration of its own. @param more - Its frontends and backends. */
export function haproxyWith(more: (at: { socket: string; port: number }) => string): ProxyProgram {
  return {
    name: "HAProxy",
    command: "haproxy",
    configure(at, socket, port) {
      const configuration = `
global
  maxconn 512
defaults
  timeout connect 10s
  timeout client 20s
  timeout server 20s
  retries 0
${more({ socket, port })}
`;
      const path = join(at, "haproxy.cfg");
      writeFileSync(path, configuration);
      return ["-db", "-q", "-f", path];
    },
  };
}

/** Starts a proxy, waits until it accepts connections, and ends it after the case. */
export async function behind(
  proxy: ProxyProgram,
  port: number,
  body: (socket: string) => Promise<void>,
): Promise<void> {
  using at = folder();
  const socket = join(at.path, "in.sock");
  await using program = new Program(proxy.command, proxy.configure(at.path, socket, port));
  for (;;) {
    const [event] = await new Promise<[string]>((resolve) => {
      const one = connect(socket);
      for (const event of ["connect", "error"]) {
        one.once(event, () => {
          one.destroy();
          resolve([event]);
        });
      }
    });
    if (event === "connect") break;
    assert.equal(program.child.exitCode, null, program.stdout + program.stderr);
    await sleep(5);
  }
  await body(socket);
}
