/**
 * A process that serves one connection, or accepts from a listener on an event loop of its own: what
 * {@link Processes} start.
 *
 * It is told by its first message what to serve, with the descriptor beside it, and never outlives its
 * parent: the kernel kills it when that dies (PR_SET_PDEATHSIG), and the end of the channel tells as well.
 */
import process, { argv, exit } from "node:process";
import { Reactor } from "../reactor/reactor.ts";
import { EVENT_READ } from "../selectors/events.ts";
import { AF_UNIX, MSG_DONTWAIT, SOCK_SEQPACKET } from "../socket/constants.ts";
import { receiveFds } from "../socket/pass-fds.ts";
import { Socket } from "../socket/socket.ts";
import { PR_SET_PDEATHSIG, SYS } from "../sys/abi.ts";
import { kernel } from "../sys/open.ts";
import { Conversations } from "./blocking-connection.ts";
import { markChild } from "./child-mark.ts";
import { EventServing } from "./event-serving.ts";
import {
  type ChildMessage,
  type ProcessInput,
  type StopOrder,
  tellingObserver,
  toldError,
} from "./messages.ts";
import { loadHandlers, type ModelHandlers } from "./module.ts";
import { type Orders, StopTime } from "./orders.ts";
import { Served } from "./served.ts";

const SIGKILL = 9;
/** More than any message has: they are no longer than a socket's buffer. */
const MAX_MESSAGE = 256 * 1024;
/** Numbers that change all the time are told so often. */
const TELL_MS = 50;

/** The channel to the parent: orders come in, reports go out. */
class Channel implements Orders {
  readonly #socket = new Socket(AF_UNIX, SOCK_SEQPACKET);
  readonly #time = new StopTime();
  #graceMs: number | null = null;

  constructor(path: string) {
    this.#socket.connect({ path });
  }

  get fd(): number {
    return this.#socket.fileno();
  }

  /** What to serve, and the descriptor. */
  begin(): { input: ProcessInput; fd: number } {
    const received = receiveFds(this.#socket, MAX_MESSAGE, 1);
    const [fd] = received?.fds ?? [];
    // The parent has gone before it said anything.
    if (received === null || fd === undefined) exit(1);
    return { input: JSON.parse(Buffer.from(received.bytes).toString()) as ProcessInput, fd };
  }

  hear(): void {
    for (;;) {
      const bytes = this.#socket.recv(MAX_MESSAGE, MSG_DONTWAIT);
      if (bytes === null) return;
      // Nobody is left to serve for.
      if (bytes.length === 0) exit(1);
      this.#graceMs = (JSON.parse(Buffer.from(bytes).toString()) as StopOrder).stopWithinMs;
    }
  }

  leftMs(): number | null {
    return this.#time.leftMs(this.#graceMs);
  }

  tell(message: ChildMessage): void {
    this.#socket.send(JSON.stringify(message));
  }
}

function serveConnection(
  channel: Channel,
  input: ProcessInput,
  fd: number,
  handlers: ModelHandlers,
): void {
  const { observed, idleTimeoutMs } = input;
  const served = new Served(observed ? tellingObserver((said) => channel.tell(said)) : undefined);
  channel.tell({ type: "ready" });
  try {
    new Conversations({ kernel, handlers, served, orders: channel, idleTimeoutMs }).hold(fd);
  } finally {
    channel.tell({ type: "tally", tally: served.tally() });
  }
}

function serveListener(
  channel: Channel,
  input: ProcessInput,
  fd: number,
  handlers: ModelHandlers,
): void {
  const { engine, trigger, exclusive, observed } = input;
  using reactor = new Reactor({ engine, trigger });
  let waiting = false;
  const served: Served = new Served(
    observed ? tellingObserver((said) => channel.tell(said)) : undefined,
    () => {
      if (waiting) return;
      waiting = true;
      reactor.setTimer(TELL_MS, tellNumbers);
    },
  );
  const tellNumbers = (): void => {
    waiting = false;
    channel.tell({ type: "tally", tally: served.tally() });
  };
  const acceptError = (_: unknown, error: Error): void =>
    channel.tell({ type: "cannot accept", error: toldError(error) });
  const serving = new EventServing(
    { fd, exclusive, acceptError },
    { reactor, handlers, served, treatment: input },
  );
  const watch = reactor.watch(channel.fd, EVENT_READ, () => {
    channel.hear();
    const graceMs = channel.leftMs();
    if (graceMs !== null) serving.stop(graceMs, () => watch.close());
  });
  channel.tell({ type: "ready", engine: { engine: reactor.engine, trigger: reactor.trigger } });
  try {
    reactor.run();
  } finally {
    tellNumbers();
  }
}

async function serve(channel: Channel): Promise<void> {
  const { input, fd } = channel.begin();
  const handlers = await loadHandlers(input.module, input.data);
  if (input.serves === "connection") serveConnection(channel, input, fd, handlers);
  else serveListener(channel, input, fd, handlers);
}

kernel.libc.syscall(SYS.prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
// A Ctrl-C goes to every process of the terminal. It is for the parent to say when to stop.
process.on("SIGINT", () => {});
markChild();
try {
  const channel = new Channel(`\0${argv[2]}`);
  try {
    await serve(channel);
    exit(0);
  } catch (error) {
    channel.tell({ type: "failed", error: toldError(error) });
    exit(1);
  }
} catch {
  // The parent is not there any more.
  exit(1);
}
