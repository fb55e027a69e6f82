import { type Connection, Reactor, type Timer, type Watch } from "polloi";
import { formatPath, type Kernel, kernel } from "polloi/internal";
import { EVENT_READ } from "polloi/selectors";
import { formatAddress } from "polloi/socket";
import { EXIT_FAILED, EXIT_OK, EXIT_USAGE } from "./exit-codes.ts";
import { failureLine, isMisuse } from "./failure.ts";
import { complain, writeOut } from "./output.ts";
import { mayRead, readReady, STDIN } from "./terminal.ts";

/** Where to connect: a host and a port, or a unix socket. */
export type Destination =
  | { readonly host: string; readonly port: number }
  | { readonly path: string };

/** In the background, how long until the terminal is looked at again. */
const BACKGROUND_MS = 500;
/** After the server has ended its half, how long input may be silent before the connection is ended. */
const SILENCE_MS = 5000;

/**
 * `polloi connect`: standard input to the server, its answer to standard output.
 *
 * @remarks
 * Neither side is read faster than the other takes it, so that any amount goes through in bounded memory.
 *
 * The two directions end one by one. A server that has ended its half may read on, so input is still sent
 * to it, until input ends. Whether it reads on cannot be known: when input is silent for {@link SILENCE_MS}
 * after that, the connection is ended, since a client should not outlive its server because a pipe or a
 * terminal is open.
 *
 * @returns The exit code, once both directions have ended.
 * @throws OutputError when standard output does not take the answer.
 */
export async function connectTo(destination: Destination): Promise<number> {
  const reactor = new Reactor();
  try {
    await new Talk(reactor, destination).over;
    return EXIT_OK;
  } catch (error) {
    if (isMisuse(error)) {
      complain(`polloi: ${error.message}\n`);
      return EXIT_USAGE;
    }
    if (!(error instanceof BrokenOff)) throw error;
    complain(failureLine(`${error.message} ${nameOf(destination)}`, error.cause));
    return EXIT_FAILED;
  } finally {
    reactor.close();
  }
}

/** A conversation that did not end well: what failed, and its cause. */
class BrokenOff extends Error {
  constructor(what: string, cause: unknown) {
    super(what, { cause });
  }
}

/** One connection, with what goes in and what comes out. */
class Talk {
  /** Resolves when both directions have ended; rejects when the connection, input or output failed. */
  readonly over: Promise<void>;
  readonly #reactor: Reactor;
  readonly #connection: Connection;
  #input: Input | undefined;
  #finish: () => void = () => {};
  #fail: (error: Error) => void = () => {};
  /** Writes that standard output has not taken. */
  #unwritten = 0;
  #isClosed = false;
  /** Set while the server has ended its half, and input has not ended. */
  #silence: Timer | undefined;

  constructor(reactor: Reactor, destination: Destination) {
    this.#reactor = reactor;
    this.over = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
    process.stdout.on("drain", () => this.#connection.resume());
    this.#connection = reactor.connect({
      ...destination,
      open: (opened) => this.#open(opened),
      data: (opened, bytes) => this.#print(opened, bytes),
      drain: () => this.#input?.resume(),
      end: (opened) => this.#ended(opened),
      close: (_, error) => this.#closed(error),
    });
  }

  #open(connection: Connection): void {
    greet(connection);
    this.#input = new Input(this.#reactor, kernel, {
      take: (bytes) => {
        this.#silence?.refresh();
        return connection.write(bytes);
      },
      end: () => connection.end(),
      fail: (error) => this.#breakOff(new BrokenOff("cannot read the input for", error)),
    });
  }

  #print(connection: Connection, bytes: Uint8Array): void {
    this.#unwritten++;
    const goOn = writeOut(bytes, (error) => {
      this.#unwritten--;
      // Without a reader nothing is left to do.
      if (error !== undefined) this.#breakOff(error);
      else this.#finishIfOver();
    });
    if (!goOn) connection.pause();
  }

  /** The server sends no more, and may still read. */
  #ended(connection: Connection): void {
    if (this.#input?.isEnded !== false) {
      connection.end();
      return;
    }
    const silence = this.#reactor.setTimer(SILENCE_MS, () => {
      if (connection.pendingBytes === 0) connection.end();
      else silence.refresh();
    });
    this.#silence = silence;
    tellPerson("the server has ended its half; Ctrl-D ends, or 5 seconds without input");
  }

  #closed(error: Error | undefined): void {
    const what = this.#input === undefined ? "cannot connect to" : "lost the connection to";
    this.#close();
    if (error === undefined) this.#finishIfOver();
    else this.#fail(new BrokenOff(what, error));
  }

  #breakOff(error: Error): void {
    this.#fail(error);
    this.#connection.destroy();
  }

  #close(): void {
    this.#isClosed = true;
    this.#silence?.cancel();
    this.#input?.[Symbol.dispose]();
  }

  #finishIfOver(): void {
    if (this.#isClosed && this.#unwritten === 0) this.#finish();
  }
}

/** Where input goes. */
interface Sink {
  /** @returns Whether to go on reading. */
  take(bytes: Uint8Array): boolean;
  /** Input has ended. */
  end(): void;
  /** Input cannot be read. */
  fail(error: Error): void;
}

/** Standard input on its way into a connection. */
class Input implements Disposable {
  /** Whether nothing more comes. */
  isEnded = false;
  readonly #reactor: Reactor;
  readonly #kernel: Kernel;
  readonly #sink: Sink;
  #watch: Watch | undefined;
  /** It cannot be watched because it is always ready, as a file is: it is read whenever there is room. */
  #alwaysReady = false;

  constructor(reactor: Reactor, kernel: Kernel, sink: Sink) {
    this.#reactor = reactor;
    this.#kernel = kernel;
    this.#sink = sink;
    this.resume();
  }

  /** Goes on reading: the connection has room again. */
  resume(): void {
    if (this.isEnded || this.#watch !== undefined) return;
    if (!this.#alwaysReady) this.#listen();
    if (this.#alwaysReady) while (this.#pass());
  }

  [Symbol.dispose](): void {
    this.isEnded = true;
    this.#pause();
  }

  #listen(): void {
    try {
      this.#watch = this.#reactor.watch(STDIN, EVENT_READ, () => this.#ready());
    } catch (error) {
      const { code } = error as { code?: unknown };
      // A file is always ready; and a read tells what is wrong with a descriptor that is not open.
      if (code !== "EPERM" && code !== "EBADF") throw error;
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
    let bytes: Uint8Array | null;
    try {
      bytes = readReady(this.#kernel, STDIN);
    } catch (error) {
      this[Symbol.dispose]();
      this.#sink.fail(error as Error);
      return false;
    }
    if (bytes === null) return !this.#alwaysReady;
    if (bytes.length > 0) return this.#sink.take(bytes);
    this[Symbol.dispose]();
    this.#sink.end();
    return false;
  }
}

/** Says that the connection is there. */
function greet({ remoteAddress }: Connection): void {
  if (remoteAddress !== null) {
    tellPerson(`connected to ${formatAddress(remoteAddress)}; Ctrl-D ends`);
  }
}

/** Says something on standard error when a person types the input. */
function tellPerson(text: string): void {
  if (process.stdin.isTTY === true && process.stderr.isTTY === true) complain(`${text}\n`);
}

function nameOf(destination: Destination): string {
  if ("path" in destination) return formatPath(destination.path);
  const { host, port } = destination;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
