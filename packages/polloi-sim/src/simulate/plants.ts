import type { EngineName } from "polloi";
import type { ProgramName } from "./scenario.ts";

/** A change of the built library: text that occurs once in all of its files, with white space ignored. */
export interface Patch {
  readonly find: string;
  readonly replace: string;
}

/** A known way to break the library. */
export interface Plant {
  /** A word, and the fault. */
  readonly name: string;
  /** The engines on which it shows. */
  readonly engines: readonly EngineName[];
  /** The program in which it shows, if few seeds run it. */
  readonly program?: ProgramName;
  readonly patches: readonly Patch[];
}

const ALL: readonly EngineName[] = ["io_uring", "epoll", "poll", "select"];
const READINESS: readonly EngineName[] = ["epoll", "poll", "select"];
const URING: readonly EngineName[] = ["io_uring"];
const EPOLL: readonly EngineName[] = ["epoll"];

/** Faults that the simulation must find. Those with the names of the soak test are its faults as well. */
export const PLANTS: readonly Plant[] = [
  // Events.
  {
    name: "del: a closed descriptor stays in the set of its poller",
    engines: READINESS,
    patches: [
      {
        find: "this.#poller.remove(fd); this.#mirror?.remove(fd);",
        replace: "this.#mirror?.remove(fd);",
      },
    ],
  },
  {
    name: "early: the slot of a closed connection is used again in the same turn",
    engines: READINESS,
    patches: [
      {
        find: "sendLengths[slot] = 0; if (this.#turning) this.#closed.push(slot); else this.#completions.released(slot);",
        replace: "sendLengths[slot] = 0; this.#completions.released(slot);",
      },
    ],
  },
  {
    name: "generation: a late completion is taken for one of the slot's present owner",
    engines: URING,
    patches: [
      {
        find: "return tag >>> OP_BITS === this.generations[slot];",
        replace: "return this.kinds[slot] !== 0;",
      },
    ],
  },
  {
    name: "rewind: a buffer is filled again although completions of it are unread",
    engines: URING,
    patches: [{ find: "if (!isExpected) return;", replace: "" }],
  },
  {
    name: "refill: a buffer is filled again although its bytes are still being sent",
    engines: URING,
    patches: [
      {
        find: "else if (holders === 1) this.#unread = number;",
        replace: "else this.#unread = number;",
      },
      {
        find: "const isOwn = this.#holders[number] === 1 && used < this.bufferBytes;",
        replace: "const isOwn = used < this.bufferBytes;",
      },
    ],
  },
  {
    name: "more: a multishot receive that has ended is not armed again",
    engines: URING,
    patches: [
      {
        find: "if ((flags & IORING_CQE_F_MORE) === 0) slots.lower(slot, FLAG_ARMED); if (result >= 0) { if (slots.has(slot, FLAG_RETRIED))",
        replace: "if (result >= 0) { if (slots.has(slot, FLAG_RETRIED))",
      },
    ],
  },
  {
    name: "accepts: a multishot accept that has ended is not armed again",
    engines: URING,
    patches: [
      {
        find: "if ((flags & IORING_CQE_F_MORE) === 0) slots.lower(slot, FLAG_ARMED); if (result >= 0) { this.#failedAccepts = 0;",
        replace: "if (result >= 0) { this.#failedAccepts = 0;",
      },
    ],
  },
  {
    name: "overflow: completions that the queue had no room for are left in the kernel",
    engines: URING,
    patches: [
      {
        find: "const UNASKED = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;",
        replace: "const UNASKED = 0;",
      },
    ],
  },
  {
    name: "unread: an edge that came while a stream was paused is forgotten",
    engines: EPOLL,
    patches: [
      {
        find: "if (receiving && (was & FLAG_UNREAD) !== 0) this.#readAgain(slot);",
        replace: "",
      },
    ],
  },
  {
    name: "budget: what an edge-triggered stream leaves in a turn is not read",
    engines: EPOLL,
    patches: [{ find: "if (this.#edge) this.#readAgain(slot);", replace: "" }],
  },
  {
    name: "empty: the end behind the last bytes of an edge-triggered stream is not read",
    engines: EPOLL,
    patches: [
      {
        find: "const toEmpty = (mask & -6) !== 0 || this.#slots.has(slot, FLAG_TO_EMPTY);",
        replace: "const toEmpty = false;",
      },
    ],
  },
  {
    name: "hangup: a paused stream that hung up is reported at every wait",
    engines: READINESS,
    patches: [{ find: "else if (!this.#edge) this.#interests.park(slot);", replace: "" }],
  },
  {
    name: "ended: a stream that has ended is still watched for input",
    engines: READINESS,
    patches: [
      {
        find: "this.#slots.raise(slot, FLAG_ENDED); this.#streamInterest(slot);",
        replace: "this.#slots.raise(slot, FLAG_ENDED);",
      },
    ],
  },
  {
    name: "writable: the interest in room to send is never dropped",
    engines: ["poll", "select"],
    patches: [
      {
        find: "this.#interests.modify(slot, this.#sending(slot) ? read | POLLOUT : read)",
        replace: "this.#interests.modify(slot, read | POLLOUT)",
      },
    ],
  },
  {
    name: "room: nobody waits for room for the rest of a send",
    engines: READINESS,
    patches: [
      {
        find: "sendLengths[slot] = length - sent; const result = this.#streamInterest(slot); return result < 0 ? result : sent;",
        replace: "sendLengths[slot] = 0; return sent;",
      },
    ],
  },
  // Bytes.
  {
    name: "short: the rest of a short send is lost",
    engines: READINESS,
    patches: [
      {
        find: "else if (!lent) this.#inFlight = length - taken;",
        replace: "else if (!lent) { this.#dropHead(block); this.pendingBytes -= length - taken; }",
      },
    ],
  },
  {
    name: "again: bytes that were sent are sent again",
    engines: READINESS,
    patches: [
      {
        find: "slots.sendAddresses[slot] = address + sent; slots.sendLengths[slot] = length - sent;",
        replace: "slots.sendLengths[slot] = length - sent;",
      },
    ],
  },
  {
    name: "linked: a send that is linked behind a short one is performed",
    engines: URING,
    patches: [
      {
        find: "let messageFlags = MSG_NOSIGNAL | MSG_WAITALL;",
        replace: "let messageFlags = MSG_NOSIGNAL;",
      },
    ],
  },
  {
    name: "behind: bytes that were written behind lent ones are lost when these are copied",
    engines: ALL,
    patches: [{ find: "if (rest !== null) {", replace: "if (false) {" }],
  },
  {
    name: "reused: the receive buffer is used again before the bytes in it are sent",
    engines: READINESS,
    patches: [
      {
        find: "this.#offset = offset + length + 63 & -64;",
        replace: "this.#offset = 0;",
      },
    ],
  },
  {
    name: "kept: bytes that a handler keeps are overwritten by the next ones",
    engines: ALL,
    patches: [{ find: "this.#used += length + 7 & -8;", replace: "this.#used += length >> 1;" }],
  },
  {
    name: "orphan: the buffer of a lent send whose connection was closed is not returned",
    engines: URING,
    patches: [{ find: "this.#buffers.drop(orphan.buffer);", replace: "" }],
  },
  {
    name: "cancelled: the memory of sends is given back while the kernel sends from it",
    engines: URING,
    patches: [
      {
        find: "for (let tries = 0; tries < MAX_CANCELS; tries++) { const wasQuiet = submissions.pending === 0 && (submissions.flags & IORING_SQ_TASKRUN) === 0;",
        replace: "for (let tries = 0; tries < 0; tries++) { const wasQuiet = false;",
      },
    ],
  },
  // Resources.
  {
    name: "lent: a lent send that fails does not release its buffer",
    engines: URING,
    patches: [
      {
        find: "this.#dropLent(slot); this.#completions.failed(",
        replace: "this.#completions.failed(",
      },
      {
        find: "if (lent >= 0) this.#buffers.drop(lent); return;",
        replace: "return;",
      },
    ],
  },
  {
    name: "twice: the buffer of a lent send is returned twice",
    engines: URING,
    patches: [
      {
        find: "this.#completions.returned(slot); if (lent >= 0) this.#buffers.drop(lent);",
        replace:
          "this.#completions.returned(slot); if (lent >= 0) { this.#buffers.drop(lent); this.#buffers.drop(lent); }",
      },
    ],
  },
  {
    name: "late: connections that were accepted when their listener closes are left open",
    engines: URING,
    patches: [{ find: "for (const fd of fds) this.#completions.accepted(slot, fd);", replace: "" }],
  },
  {
    name: "unserved: a connection that arrives as its listener closes is left open",
    engines: URING,
    patches: [
      {
        find: "this.#refuse(fd); return; } if (this.stopping && this.connections",
        replace: "return; } if (this.stopping && this.connections",
      },
    ],
  },
  {
    name: "detached: a descriptor is closed while a submission names it",
    engines: URING,
    patches: [
      {
        find: "if (!this.#ring.submissions.isTaken(number)) this.#ring.enter(0, 0);",
        replace: "",
      },
    ],
  },
  {
    name: "wrong: a refused connection closes another descriptor",
    engines: ALL,
    patches: [
      {
        find: "if (this.slot >= 0) this.#loop.engine.close(this.slot); else if (this.fd >= 0) this.#loop.kernel.libc.close(this.fd);",
        replace:
          "if (this.slot >= 0) this.#loop.engine.close(this.slot); else if (this.fd >= 0) this.#loop.kernel.libc.close(this.fd - 1);",
      },
    ],
  },
  {
    name: "block: the last block of a stream that is dropped is not returned",
    engines: ALL,
    patches: [
      {
        find: "while (this.#head !== null) this.#dropHead(this.#head);",
        replace:
          "while (this.#head !== null && this.#head.next !== null) this.#dropHead(this.#head);",
      },
    ],
  },
  {
    name: "paused: a paused stream receives without a limit",
    engines: URING,
    patches: [{ find: "const RECEIVE_LIMIT = 65536;", replace: "const RECEIVE_LIMIT = 0;" }],
  },
  // Wake-ups and timers.
  {
    name: "wake: a hosted reactor is not woken for work that its descriptor does not show",
    engines: ALL,
    patches: [{ find: "pending() { this.host?.wake(); }", replace: "pending() {}" }],
  },
  {
    name: "earlier: a timer that is set for an earlier time does not shorten the wait",
    engines: ALL,
    patches: [{ find: "if (timer.index === 0) this.#onEarlier();", replace: "" }],
  },
  {
    name: "timer: a timer that was moved in the heap is forgotten",
    engines: ALL,
    patches: [
      {
        find: "this.#place(last, index); this.#sink(last); this.#rise(last);",
        replace: "this.#place(last, index); this.#sink(last);",
      },
    ],
  },
  {
    name: "idle: timers fire before what arrived during a stall is reported",
    engines: ["epoll", "poll"],
    patches: [{ find: "isLimit: true", replace: "isLimit: false" }],
  },
  {
    name: "touch: received bytes do not restart the idle timeout",
    engines: ALL,
    patches: [
      {
        find: "touch() { this.#receivedAt = this.#timers.now(); }",
        replace: "touch() {}",
      },
    ],
  },
  {
    name: "drain: drain is not called after the last bytes were taken",
    engines: ALL,
    patches: [
      {
        find: "if (!this.#is(FULL) || this.#is(DRAINED) || !this.#isLow()) return; this.#bits |= DRAINED;",
        replace:
          "if (!this.#is(FULL) || this.#is(DRAINED) || !this.#isLow() || this.isEmpty) return; this.#bits |= DRAINED;",
      },
    ],
  },
  {
    name: "taskrun: a failed io_uring_enter is treated as a completed wait",
    engines: URING,
    patches: [
      { find: "#mayRetry(result) {", replace: "#mayRetry(result) { return false;" },
      { find: "isWaitOver(result) {", replace: "isWaitOver(result) { return true;" },
      {
        find: "if (announced && result < 0 && result !== -ERRNO.ETIME) submissions.restoreTaskRun();",
        replace: "",
      },
    ],
  },
  {
    name: "moment: an io_uring_enter that fails temporarily ends the reactor",
    engines: URING,
    patches: [{ find: "#mayRetry(result) {", replace: "#mayRetry(result) { return false;" }],
  },
  {
    name: "starved: a stream that found no buffer is not armed again",
    engines: URING,
    patches: [
      {
        find: "if (this.#starved.length > 0) this.#armStarved(this.#starved);",
        replace: "this.#starved.length = 0;",
      },
    ],
  },
  // Accepting, connecting and ending.
  {
    name: "accept: a forbidden accept is retried without a pause",
    engines: READINESS,
    patches: [
      {
        find: "if (fd >= 0 || !isOfConnection(-fd) || failed === MAX_FAILED_CONNECTIONS) return fd;",
        replace: "if (fd >= 0 || fd === -ERRNO.EAGAIN || isOutOfResources(-fd)) return fd;",
      },
    ],
  },
  {
    name: "retry: accepting does not continue after a failure",
    engines: ALL,
    patches: [
      {
        find: "this.#retry = timers.add(delayMs, () => this.#tryAgain(), false);",
        replace: "",
      },
      {
        find: "descriptorFreed() { if (this.loop.starved.has(this)) this.#tryAgain(); }",
        replace: "descriptorFreed() {}",
      },
    ],
  },
  {
    name: "full: accepting does not continue when a listener has room again",
    engines: ALL,
    patches: [
      {
        find: "if (this.#options.maxConnections !== void 0 && !this.#paused) this.#accept();",
        replace: "",
      },
    ],
  },
  {
    name: "signal: a wait that a signal interrupts fails the reactor",
    engines: ["epoll"],
    patches: [
      {
        find: "while (count === -ERRNO.EINTR) count = this.#waitOnce(max, timeLeft(this.#kernel, deadline));",
        replace: "",
      },
    ],
  },
  {
    name: "refused: a connect that has failed is reported as established",
    engines: ALL,
    patches: [
      {
        find: "if (errno !== 0) this.#failed(attempt,",
        replace: "if (errno < 0) this.#failed(attempt,",
      },
    ],
  },
  {
    name: "truncated: data that is cut off ends as if it were complete",
    engines: ALL,
    patches: [
      { find: "if (this.#fd >= 0 && !this.isEmpty)", replace: "if (false)" },
      {
        find: "if (this.#fd >= 0) resetOnClose(this.loop.kernel, this.#fd); this.destroy(error);",
        replace: "this.destroy(error);",
      },
    ],
  },
  {
    name: "linger: a close resets a peer that is still sending",
    engines: ALL,
    patches: [
      {
        find: "if (this.#is(PEER_ENDED)) this.destroy(); else this.#linger();",
        replace: "this.destroy();",
      },
    ],
  },
  {
    name: "deferred: bytes that arrive for a stream after it was paused are lost",
    engines: URING,
    patches: [
      {
        find: "else this.#defer(slot, memory.u8.subarray(offset, offset + result));",
        replace: "",
      },
    ],
  },
  {
    name: "grace: connections outlive the grace period of a stop",
    engines: ALL,
    patches: [
      {
        find: "if (graceMs > 0) this.#cutOffTimer = timers.add(graceMs, this.#ending.cutOff, false);",
        replace: "",
      },
    ],
  },
  {
    name: "backlog: a listener that stops resets the connections of its backlog",
    engines: READINESS,
    patches: [
      {
        find: "if (!this.#acceptBacklog(this.#maxConnections)) return;",
        replace: "",
      },
    ],
  },
  {
    name: "order: the end is reported before deferred bytes",
    engines: URING,
    patches: [
      {
        find: "if (slots.has(slot, FLAG_INPUT) && !this.#deferred.has(slot)) { if (result === 0) this.#ended(slot);",
        replace: "if (slots.has(slot, FLAG_INPUT)) { if (result === 0) this.#ended(slot);",
      },
    ],
  },
  // HTTP.
  {
    name: "saved: bytes behind the request that is answered are lost",
    engines: ALL,
    patches: [
      {
        find: "if (at < bytes.length) this.#save(bytes.slice(at));",
        replace: "",
      },
    ],
  },
  {
    name: "resumed: a body that was paused is not received again when the reply has room",
    engines: ALL,
    patches: [{ find: "drained() { this.#hasRoom(); this.goOn(); }", replace: "drained() {}" }],
  },
  {
    name: "left: a handler is not notified when its client has left",
    engines: ALL,
    patches: [
      {
        find: "for (const callback of callbacks) this.call(() => callback(error));",
        replace: "",
      },
    ],
  },
  // Pools.
  {
    name: "stop: a child does not stop when it is asked to",
    engines: ALL,
    program: "pool",
    patches: [{ find: "if (graceMs !== null) server.stop(graceMs);", replace: "" }],
  },
  {
    name: "overtime: a child that does not stop is not killed",
    engines: ALL,
    program: "pool",
    patches: [
      {
        find: 'this.#timer = kernel.after(graceMs + OVERTIME_MS, () => this.#process.kill("SIGKILL"));',
        replace: "",
      },
    ],
  },
  {
    name: "passed: the listener that was passed to a process stays open",
    engines: ALL,
    program: "pool",
    patches: [{ find: "if (this.#fd >= 0) this.#parts.kernel.libc.close(this.#fd);", replace: "" }],
  },
  {
    name: "backoff: a child that exits again and again is replaced at once",
    engines: ALL,
    program: "pool",
    patches: [
      { find: "this.delayMs = this.#backoff.next().delayMs;", replace: "this.delayMs = 1;" },
    ],
  },
  {
    name: "pong: the answer of a child to a ping is ignored",
    engines: ALL,
    program: "pool",
    patches: [
      { find: "this.hasAnswered = true; this.#parts.message", replace: "this.#parts.message" },
    ],
  },
  {
    name: "refuse: a pool that stops accepts connections that its children reset",
    engines: ALL,
    program: "pool",
    patches: [{ find: "listeners?.refuse();", replace: "listeners?.address;" }],
  },
  {
    name: "shared: connections wait for a child that does nothing",
    engines: URING,
    program: "pool",
    patches: [
      {
        find: 'if (state === "running") child?.acceptWaiting();',
        replace: "",
      },
    ],
  },
  {
    name: "once: a ping that could not be sent makes a child unresponsive for ever",
    engines: ALL,
    program: "pool",
    patches: [
      {
        find: 'this.hasAnswered = !this.#send({ type: "ping" });',
        replace: 'this.hasAnswered = false; this.#send({ type: "ping" });',
      },
    ],
  },
  // Streams of a connection.
  {
    name: "queued: the end of a connection is read before the bytes that came before it",
    engines: ALL,
    program: "streams",
    patches: [
      {
        find: "const bytes = this.#queue.shift();",
        replace: "const bytes = this.#isDone ? undefined : this.#queue.shift();",
      },
    ],
  },
  {
    name: "reader: a connection stays paused after its reader has taken what was queued",
    engines: ALL,
    program: "streams",
    patches: [
      { find: "this.#isFull = false; this.#stream.resume();", replace: "this.#isFull = false;" },
    ],
  },
  {
    name: "writer: a writer is not called back when its connection has room again",
    engines: ALL,
    program: "streams",
    patches: [{ find: "this.#draining?.resolve(); this.#draining = void 0;", replace: "" }],
  },
  {
    name: "duplex: a write of a Duplex is not called back when its connection has room again",
    engines: ALL,
    program: "streams",
    patches: [{ find: "this.#writing = void 0; callback?.();", replace: "" }],
  },
  {
    name: "flow: a connection stays paused when its Duplex is read again",
    engines: ALL,
    program: "streams",
    patches: [{ find: "_read() { this.#stream.resume(); }", replace: "_read() {}" }],
  },
  // Datagrams.
  {
    name: "rewatch: a datagram socket stays deaf after a watch that found no memory",
    engines: ["select"],
    program: "datagrams",
    patches: [
      {
        find: "this.#rewatch = this.loop.timers.add(REWATCH_MS, () => this.#watch(), false);",
        replace: "",
      },
    ],
  },
];

function pattern(find: string): RegExp {
  const words = find.split(/\s+/).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(words.join("\\s+"), "g");
}

/**
 * Applies a patch to the files of the library.
 *
 * @param files - The text of each file by its name, which is changed.
 * @throws Error if the text that the patch replaces does not occur exactly once.
 */
export function apply(files: Map<string, string>, { find, replace }: Patch): void {
  const place = pattern(find);
  const matches = [...files].map(([name, text]) => [name, text.match(place)?.length ?? 0] as const);
  const count = matches.reduce((sum, [, found]) => sum + found, 0);
  const file = matches.find(([, found]) => found > 0)?.[0];
  if (count !== 1 || file === undefined) {
    throw new Error(`The library contains the text that a plant replaces ${count} times: ${find}`);
  }
  files.set(
    file,
    (files.get(file) as string).replace(place, () => replace),
  );
}
