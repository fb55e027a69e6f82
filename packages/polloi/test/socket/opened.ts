import { readdirSync, readlinkSync } from "node:fs";
import { createServer, type InetAddress, Socket, socketpair } from "../../src/socket/index.ts";
import type { Kernel } from "../../src/sys/kernel.ts";
import { kernel } from "../../src/sys/open.ts";
import { CLOSED_PORT } from "../support/closed-port.ts";

export const LOOPBACK = "127.0.0.1";

/** Closes the sockets that a case opened when it ends. */
export class Opened {
  readonly #sockets: Socket[] = [];

  own(socket: Socket): Socket {
    this.#sockets.push(socket);
    return socket;
  }

  socket(family?: number, type?: number, faulty?: Kernel): Socket {
    return this.own(new Socket(family, type, 0, { kernel: faulty }));
  }

  pair(type?: number, faulty: Kernel = kernel): [Socket, Socket] {
    const [a, b] = socketpair(undefined, type, { kernel: faulty });
    return [this.own(a), this.own(b)];
  }

  server(options: Partial<Parameters<typeof createServer>[0]> = {}): Socket {
    return this.own(createServer({ host: LOOPBACK, port: 0, ...options }));
  }

  /** Both ends of a TCP connection, blocking. */
  connection(): [client: Socket, server: Socket] {
    const listener = this.server();
    const client = this.socket();
    client.connect(listener.localAddress());
    return [client, this.own(accepted(listener).socket)];
  }

  /** An address at which nothing listens. */
  refusing(): InetAddress {
    return { address: LOOPBACK, port: CLOSED_PORT };
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.close();
  }
}

/** Accepts from a blocking listener. */
export function accepted(listener: Socket): NonNullable<ReturnType<Socket["accept"]>> {
  const connection = listener.accept();
  if (connection === null) throw new Error("no connection waits at the listener");
  return connection;
}

/** The descriptors of this process that are sockets. Others belong to the runtime. */
export function openSockets(): number[] {
  return readdirSync("/proc/self/fd")
    .filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
      } catch {
        // The descriptor of the directory, which is closed by now.
        return false;
      }
    })
    .map(Number)
    .sort((a, b) => a - b);
}

/** The sockets of this process that were not open before. The runtime may have closed sockets of its own meanwhile. */
export function openedSince(before: readonly number[]): number[] {
  return openSockets().filter((fd) => !before.includes(fd));
}

/** Bytes whose values depend on their position. */
export function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
}

export function text(bytes: Uint8Array | null | undefined): string | null {
  return bytes === null || bytes === undefined ? null : new TextDecoder().decode(bytes);
}

let names = 0;

/** An unused name in the abstract namespace. */
export function abstractName(): string {
  names += 1;
  return `\0polloi-test-${globalThis.process.pid}-${performance.now()}-${names}`;
}
