import type { Connection } from "../reactor/connection.ts";
import { Reactor } from "../reactor/reactor.ts";
import type { Watch } from "../reactor/watch.ts";
import { EVENT_READ } from "../selectors/events.ts";
import { formatAddress, formatPath } from "../socket/address.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernel } from "../sys/open.ts";
import { EXIT_FAILED, EXIT_OK } from "./exit-codes.ts";
import { failureLine } from "./failure.ts";
import { mayRead, readReady, STDIN } from "./terminal.ts";

/** Where to connect: a host and a port, or a unix socket. */
export type Destination =
  | { readonly host: string; readonly port: number }
  | { readonly path: string };

/** In the background, how long until the terminal is looked at again. */
const BACKGROUND_MS = 500;

/**
 * `polloi connect`: standard input to the server, its answer to standard output.
 *
 * @remarks
 * Neither side is read faster than the other takes it, so that any amount goes through in bounded memory.
 *
 * @returns The exit code, once the server has ended the connection.
 */
export async function connectTo(destination: Destination): Promise<number> {
  const reactor = new Reactor();
  try {
    const failure = await talk(reactor, destination);
    if (failure === undefined) return EXIT_OK;
    process.stderr.write(failureLine(`${failure.what} ${nameOf(destination)}`, failure.error));
    return EXIT_FAILED;
  } finally {
    reactor.close();
  }
}

/** How a conversation ended that did not end well. */
interface BrokenOff {
  readonly what: string;
  readonly error: Error;
}

function talk(reactor: Reactor, destination: Destination): Promise<BrokenOff | undefined> {
  const { stdout } = process;
  return new Promise((resolve) => {
    let input: Input | undefined;
    stdout.on("drain", () => connection.resume());
    // Nobody reads on, as after `| head -1`: then there is nothing left to do, and nothing wrong.
    stdout.on("error", () => connection.destroy());
    const connection = reactor.connect({
      ...destination,
      open(opened) {
        greet(opened);
        input = new Input(reactor, kernel, opened);
      },
      data(opened, bytes) {
        if (!stdout.write(bytes)) opened.pause();
      },
      drain() {
        input?.resume();
      },
      close(_, error) {
        input?.[Symbol.dispose]();
        const what = input === undefined ? "cannot connect to" : "lost the connection to";
        resolve(error === undefined ? undefined : { what, error });
      },
    });
  });
}

/** Standard input on its way into a connection. */
class Input implements Disposable {
  readonly #reactor: Reactor;
  readonly #kernel: Kernel;
  readonly #connection: Connection;
  #watch: Watch | undefined;
  /** It cannot be watched because it is always ready, as a file is: it is read whenever there is room. */
  #alwaysReady = false;
  #ended = false;

  constructor(reactor: Reactor, kernel: Kernel, connection: Connection) {
    this.#reactor = reactor;
    this.#kernel = kernel;
    this.#connection = connection;
    this.resume();
  }

  /** Goes on reading: the connection has room again. */
  resume(): void {
    if (this.#ended || this.#watch !== undefined) return;
    if (!this.#alwaysReady) this.#listen();
    if (this.#alwaysReady) while (this.#pass());
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    this.#pause();
  }

  #listen(): void {
    try {
      this.#watch = this.#reactor.watch(STDIN, EVENT_READ, () => this.#ready());
    } catch (error) {
      if ((error as { code?: unknown }).code !== "EPERM") throw error;
      this.#alwaysReady = true;
    }
  }

  #pause(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }

  #ready(): void {
    if (mayRead(this.#kernel, STDIN)) {
      if (!this.#pass()) this.#pause();
      return;
    }
    this.#pause();
    this.#reactor.setTimer(BACKGROUND_MS, () => this.resume());
  }

  /** Passes on what there is, once. @returns Whether there is room for more. */
  #pass(): boolean {
    const bytes = readReady(this.#kernel, STDIN);
    if (bytes === null) return !this.#alwaysReady;
    if (bytes.length > 0) return this.#connection.write(bytes);
    this[Symbol.dispose]();
    this.#connection.end();
    return false;
  }
}

/** Says that it is there, to whoever sits before it. */
function greet({ remoteAddress }: Connection): void {
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true || remoteAddress === null)
    return;
  process.stderr.write(`connected to ${formatAddress(remoteAddress)}; Ctrl-D ends\n`);
}

function nameOf(destination: Destination): string {
  if ("path" in destination) return formatPath(destination.path);
  const { host, port } = destination;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
