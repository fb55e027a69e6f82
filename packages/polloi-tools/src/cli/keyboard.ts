import { fstatSync } from "node:fs";
import type { Reactor, Timer, Watch } from "polloi";
import type { Kernel } from "polloi/internal";
import { EVENT_READ } from "polloi/selectors";
import { mayRead, readReady, STDIN } from "./terminal.ts";

/** In the background, how long until the terminal is looked at again. */
const BACKGROUND_MS = 500;

const NEWLINE = 10;

/**
 * Calls back once a line is entered on standard input, which is one more descriptor of the reactor.
 *
 * @remarks
 * At the end of input nothing happens: without a keyboard a server keeps serving. That holds for files
 * too, whatever is in them.
 */
export class Keyboard implements Disposable {
  readonly #reactor: Reactor;
  readonly #kernel: Kernel;
  readonly #onLine: () => void;
  #watch: Watch | undefined;
  #again: Timer | undefined;

  constructor(reactor: Reactor, kernel: Kernel, onLine: () => void) {
    this.#reactor = reactor;
    this.#kernel = kernel;
    this.#onLine = onLine;
    if (!isFile(STDIN)) this.#listen();
  }

  /** Whether someone could enter a line. */
  get listening(): boolean {
    return this.#watch !== undefined;
  }

  [Symbol.dispose](): void {
    this.#watch?.close();
    this.#watch = undefined;
    this.#again?.cancel();
  }

  #listen(): void {
    try {
      this.#watch = this.#reactor.watch(STDIN, EVENT_READ, () => this.#ready());
    } catch {
      // Epoll refuses /dev/null, among others: nobody types there.
    }
  }

  #ready(): void {
    if (!mayRead(this.#kernel, STDIN)) {
      // It stays ready until the shell has read it, so look away for a while.
      this[Symbol.dispose]();
      this.#again = this.#reactor.setTimer(BACKGROUND_MS, () => this.#listen());
      return;
    }
    const bytes = this.#read();
    if (bytes === null) return;
    if (bytes.length === 0) this[Symbol.dispose]();
    else if (bytes.includes(NEWLINE)) this.#onLine();
  }

  #read(): Uint8Array | null {
    try {
      return readReady(this.#kernel, STDIN);
    } catch {
      // What cannot be read is no keyboard.
      return new Uint8Array(0);
    }
  }
}

function isFile(fd: number): boolean {
  try {
    return fstatSync(fd).isFile();
  } catch {
    return true;
  }
}
