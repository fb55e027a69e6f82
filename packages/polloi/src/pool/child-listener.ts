import { acceptingOf, type Listener } from "../reactor/listener.ts";
import { Reactor } from "../reactor/reactor.ts";
import { EVENT_READ } from "../selectors/events.ts";
import type { Channel } from "./channel.ts";
import { EventServing, type LoopServing } from "./event-serving.ts";
import { type ProcessInput, tellingObserver, toldError } from "./messages.ts";
import { loadForLoop, type ModelHandlers, type StartOn } from "./model-module.ts";
import { OwnServing } from "./own-serving.ts";
import { Served } from "./served.ts";

/** Numbers that change all the time are told so often. */
const TELL_MS = 50;

/** Serves a listener on an event loop until it is to stop. */
export async function serveListener(
  channel: Channel,
  input: ProcessInput,
  fd: number,
): Promise<void> {
  const starting = (): void => channel.tell({ type: "starting" });
  const module = await loadForLoop(input.module, input.data, starting);
  const child = new ListeningChild(channel, input, fd);
  if (typeof module === "function") await child.serveOwn(module);
  else child.serveHandlers(module);
}

/** A process that accepts from a listener. */
class ListeningChild {
  readonly #channel: Channel;
  readonly #input: ProcessInput;
  readonly #fd: number;
  // Never closed: the process ends with it, and what a handler has thrown is to be told before anything else.
  readonly #reactor: Reactor;
  readonly #served: Served;
  #waiting = false;

  constructor(channel: Channel, input: ProcessInput, fd: number) {
    this.#channel = channel;
    this.#input = input;
    this.#fd = fd;
    const { engine, trigger, observed } = input;
    this.#reactor = new Reactor({ engine, trigger });
    this.#served = new Served(
      observed ? tellingObserver((said) => channel.tell(said)) : undefined,
      () => this.#tellSoon(),
    );
    // Also when a handler throws, or calls exit.
    process.once("exit", () => this.#tellNumbers());
  }

  /** On a loop that has the process to itself: handlers do not await. */
  serveHandlers(handlers: ModelHandlers): void {
    const serving = new EventServing(this.#where(), { ...this.#parts(), handlers });
    const watch = this.#heed(serving, () => watch.close());
    this.#ready();
    this.#reactor.run();
  }

  /** On a loop that is a guest of the runtime's: what the module serves may await anything. */
  async serveOwn(startOn: StartOn): Promise<void> {
    const channel = this.#channel;
    const post = (message: unknown): void => channel.tell({ type: "post", message });
    const parts = { ...this.#parts(), data: this.#input.data, post };
    const serving = await OwnServing.start(this.#where(), parts, startOn);
    const failed = new Promise<never>((_, reject) => {
      process.once("uncaughtException", reject);
    });
    const stopped = new Promise<void>((resolve) => {
      this.#heed(serving, resolve);
    });
    this.#ready();
    await Promise.race([stopped, failed]);
  }

  #where(): ConstructorParameters<typeof EventServing>[0] {
    const acceptError = (error: Error): void =>
      this.#channel.tell({ type: "cannot accept", error: toldError(error) });
    return { fd: this.#fd, exclusive: this.#input.exclusive, acceptError };
  }

  #parts(): { reactor: Reactor; served: Served; treatment: ProcessInput } {
    return { reactor: this.#reactor, served: this.#served, treatment: this.#input };
  }

  /** Watches for what the parent asks. */
  #heed(serving: LoopServing, stopped: () => void): { close(): void } {
    const channel = this.#channel;
    return this.#reactor.watch(channel.fd, EVENT_READ, () => {
      channel.hear();
      if (channel.takeAsk()) channel.tell({ type: "alive" });
      if (channel.takeAccept()) {
        acceptingOf(serving.listener as Listener).acceptWaiting();
      }
      const graceMs = channel.leftMs();
      if (graceMs !== null) serving.stop(graceMs, stopped);
    });
  }

  #ready(): void {
    const { engine, trigger } = this.#reactor;
    this.#channel.tell({ type: "ready", engine: { engine, trigger } });
  }

  #tellSoon(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#reactor.setTimer(TELL_MS, () => this.#tellNumbers());
  }

  #tellNumbers(): void {
    this.#waiting = false;
    this.#channel.tell({ type: "tally", tally: this.#served.tally() });
  }
}
