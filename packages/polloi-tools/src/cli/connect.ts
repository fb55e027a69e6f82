import { type Connection, Reactor, type Timer, type TlsClientOptions } from "polloi";
import { formatPath, kernel } from "polloi/internal";
import { formatAddress } from "polloi/socket";
import { EXIT_FAILED, EXIT_OK, EXIT_USAGE, errorLine, isMisuse, misuseLine } from "./errors.ts";
import { complain, writeOut } from "./output.ts";
import { StandardInput } from "./stdin.ts";

/** A host and a port, or a unix socket. */
export type Destination =
  | { readonly host: string; readonly port: number }
  | { readonly path: string };

/** Whether TLS is used, and whether any certificate is accepted. */
export interface SecurityFlags {
  readonly tls?: boolean;
  readonly insecure?: boolean;
}

/** After the server has ended its half, how long input may be silent before the connection is ended. */
const SILENCE_MS = 5000;

/**
 * `polloi connect`: standard input to the server, its answer to standard output.
 *
 * @remarks
 * Neither side is read faster than the other accepts data, so memory is bounded.
 *
 * The two directions end independently. A server that has ended its half may still read, so input is sent until it
 * ends. Whether the server reads cannot be known. When input is silent for {@link SILENCE_MS} after that, the
 * connection is ended, since a client should not outlive its server because a pipe or a terminal is open.
 *
 * @returns The exit code, once both directions have ended.
 * @throws OutputError when a write to standard output fails.
 */
export async function connectTo(
  destination: Destination,
  security: SecurityFlags = {},
): Promise<number> {
  const reactor = new Reactor();
  try {
    await new Session(reactor, destination, tlsOf(security)).ended;
    return EXIT_OK;
  } catch (error) {
    if (isMisuse(error)) {
      complain(misuseLine(error));
      return EXIT_USAGE;
    }
    if (!(error instanceof SessionError)) throw error;
    complain(errorLine(`${error.message} ${nameOf(destination)}`, error.cause));
    return EXIT_FAILED;
  } finally {
    reactor.close();
  }
}

function tlsOf({ tls = false, insecure = false }: SecurityFlags): boolean | TlsClientOptions {
  return tls && insecure ? { rejectUnauthorized: false } : tls;
}

/** A session that has failed: what failed, and its cause. */
class SessionError extends Error {
  constructor(what: string, cause: unknown) {
    super(what, { cause });
  }
}

/** A connection between standard input, the server and standard output. */
class Session {
  /** Resolves when both directions have ended; rejects when the connection, input or output has failed. */
  readonly ended: Promise<void>;
  readonly #reactor: Reactor;
  readonly #connection: Connection;
  #input: StandardInput | undefined;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};
  /** Writes to standard output in progress. */
  #writing = 0;
  #isClosed = false;
  /** Set while the server has ended its half and input has not ended. */
  #silence: Timer | undefined;

  constructor(reactor: Reactor, destination: Destination, tls: boolean | TlsClientOptions) {
    this.#reactor = reactor;
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    process.stdout.on("drain", () => this.#connection.resume());
    this.#connection = reactor.connect({
      ...destination,
      tls,
      open: (connection) => this.#opened(connection),
      data: (connection, bytes) => this.#print(connection, bytes),
      drain: () => this.#input?.resume(),
      end: (connection) => this.#serverEnded(connection),
      close: (_, error) => this.#closed(error),
    });
  }

  #opened(connection: Connection): void {
    const { remoteAddress } = connection;
    if (remoteAddress !== null) {
      const { tls } = connection;
      const secured = tls === null ? "" : ` with ${tls.protocol}, ${tls.cipher}`;
      printForTerminal(`connected to ${formatAddress(remoteAddress)}${secured}; Ctrl-D ends`);
    }
    this.#input = new StandardInput(this.#reactor, kernel, {
      data: (bytes) => {
        this.#silence?.refresh();
        return connection.write(bytes);
      },
      end: () => connection.end(),
      error: (error) => this.#abort(new SessionError("cannot read the input for", error)),
    });
    this.#input.resume();
  }

  #print(connection: Connection, bytes: Uint8Array): void {
    this.#writing++;
    const mayContinue = writeOut(bytes, (error) => {
      this.#writing--;
      // Without a reader of the output the session is of no use.
      if (error !== undefined) this.#abort(error);
      else this.#finishIfDone();
    });
    if (!mayContinue) connection.pause();
  }

  /** The server has ended its half, and may still read. */
  #serverEnded(connection: Connection): void {
    if (this.#input?.isEnded !== false) {
      connection.end();
      return;
    }
    const silence = this.#reactor.setTimer(SILENCE_MS, () => {
      if (connection.pendingBytes === 0) connection.end();
      else silence.refresh();
    });
    this.#silence = silence;
    printForTerminal("the server has ended its half; Ctrl-D ends, or 5 seconds without input");
  }

  #closed(error: Error | undefined): void {
    const what = this.#input === undefined ? "cannot connect to" : "lost the connection to";
    this.#isClosed = true;
    this.#silence?.cancel();
    this.#input?.[Symbol.dispose]();
    if (error === undefined) this.#finishIfDone();
    else this.#reject(new SessionError(what, error));
  }

  #abort(error: Error): void {
    this.#reject(error);
    this.#connection.destroy();
  }

  #finishIfDone(): void {
    if (this.#isClosed && this.#writing === 0) this.#resolve();
  }
}

/** Prints a message on standard error when both input and messages are at a terminal. */
function printForTerminal(text: string): void {
  if (process.stdin.isTTY === true && process.stderr.isTTY === true) complain(`${text}\n`);
}

function nameOf(destination: Destination): string {
  if ("path" in destination) return formatPath(destination.path);
  const { host, port } = destination;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
