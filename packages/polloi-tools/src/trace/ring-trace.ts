import {
  type CompletionEntry,
  errnoCode,
  type MemoryMap,
  type RingReader,
  type SubmissionEntry,
} from "polloi/internal";
import {
  IORING_ACCEPT_MULTISHOT,
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  IORING_OP,
  IORING_POLL_ADD_MULTI,
  IORING_RECV_MULTISHOT,
  IOSQE_BUFFER_SELECT,
  IOSQE_CQE_SKIP_SUCCESS,
} from "polloi/uring";
import { excerptAt } from "./calls.ts";
import { type Descriptors, type Known, subjectOf } from "./descriptors.ts";
import type { CompleteEvent, Shown, SubmitEvent, Untimed } from "./event.ts";
import {
  bitNames,
  bitsText,
  COMPLETION_BITS,
  MESSAGE_BITS,
  nameOf,
  OPERATIONS,
  POLL_BITS,
  SUBMISSION_BITS,
} from "./names.ts";

/** An operation that was submitted and has not completed. */
interface Pending {
  readonly operation: number;
  readonly known: Known;
  readonly group: number;
  submittedAt: number;
  /** The number of operations with this tag, which the sends of one stream share. */
  count: number;
}

/** The most operations without a completion on success that are remembered. Most of them never complete. */
const MAX_QUIET = 1024;

/** Makes events of the submissions and completions of rings. */
export class RingTrace {
  readonly #memory: MemoryMap;
  readonly #descriptors: Descriptors;
  readonly #rings: RingReader;
  /** Pending operations, by ring and tag. */
  readonly #pending: Map<string, Pending> = new Map();
  readonly #quiet: Map<string, Pending> = new Map();
  /** The operations that the next call submits. */
  #batch: Pending[] = [];

  constructor(rings: RingReader, descriptors: Descriptors) {
    this.#rings = rings;
    this.#memory = rings.memory;
    this.#descriptors = descriptors;
  }

  closed(fd: number): void {
    for (const key of this.#pending.keys()) if (key.startsWith(`${fd}:`)) this.#pending.delete(key);
  }

  /** Returns the new submissions, before the kernel is entered. */
  submitted(ring: number, at: number): Untimed<SubmitEvent>[] {
    return this.#rings.submissions(ring).map((submission) => this.#submitted(ring, submission, at));
  }

  /** The call that submitted them began at `at`. */
  entered(at: number): void {
    for (const pending of this.#batch) pending.submittedAt = at;
    this.#batch = [];
  }

  /** Returns the new completions, after the kernel was entered. */
  completed(ring: number, at: number): Untimed<CompleteEvent>[] {
    return this.#rings.completions(ring).map((completion) => this.#completed(ring, completion, at));
  }

  #submitted(ring: number, submission: SubmissionEntry, at: number): Untimed<SubmitEvent> {
    const { operation, flags, fd, group } = submission;
    const target =
      operation === IORING_OP.ASYNC_CANCEL
        ? this.#pending.get(`${ring}:${submission.target}`)
        : undefined;
    const known = target?.known ?? this.#descriptors.of(fd);
    this.#remember(`${ring}:${submission.tag}`, submission, known, at);
    const names = bitNames(SUBMISSION_BITS, flags);
    return {
      event: "submit",
      call: `${nameOf(OPERATIONS, operation)}`,
      ...(known.fd < 0 ? {} : subjectOf(known)),
      args: shownArgs(submission, target),
      flags: isMultishot(submission) ? ["MULTISHOT", ...names] : names,
      ...((flags & IOSQE_BUFFER_SELECT) === 0 ? {} : { group }),
      ...this.#contents(operation === IORING_OP.SEND ? submission.address : 0, submission.length),
    };
  }

  #contents(address: number, length: number): { readonly data?: string } {
    const data = address === 0 ? undefined : excerptAt(this.#memory, address, length);
    return data === undefined ? {} : { data };
  }

  #remember(
    key: string,
    { operation, flags, group }: SubmissionEntry,
    known: Known,
    at: number,
  ): void {
    const isQuiet = (flags & IOSQE_CQE_SKIP_SUCCESS) !== 0;
    const map = isQuiet ? this.#quiet : this.#pending;
    if (isQuiet && map.size >= MAX_QUIET) map.clear();
    const before = map.get(key);
    if (before !== undefined && before.operation === operation && !isQuiet) before.count++;
    else {
      const pending = { operation, known, group, submittedAt: at, count: 1 };
      map.set(key, pending);
      this.#batch.push(pending);
    }
  }

  #completed(
    ring: number,
    { tag, result, flags }: CompletionEntry,
    at: number,
  ): Untimed<CompleteEvent> {
    const key = `${ring}:${tag}`;
    const pending = this.#pending.get(key) ?? this.#quiet.get(key);
    const more = (flags & IORING_CQE_F_MORE) !== 0;
    if (pending !== undefined && !more && --pending.count === 0) this.#pending.delete(key);
    const { known, operation } = pending ?? {};
    const accepted =
      operation === IORING_OP.ACCEPT && result >= 0 ? this.#descriptors.accepted(result) : known;
    if (known !== undefined && result > 0) count(known, operation, result);
    const { connection, peer } = accepted ?? {};
    const hasBuffer = (flags & IORING_CQE_F_BUFFER) !== 0;
    const buffer = flags >>> IORING_CQE_BUFFER_SHIFT;
    const group = pending?.group ?? 0;
    const length = Math.max(result, 0);
    const address = hasBuffer
      ? this.#rings.receivedAt(ring, { group, number: buffer }, length)
      : undefined;
    const multishot = operation === IORING_OP.ACCEPT || operation === IORING_OP.RECV || more;
    return {
      event: "complete",
      call: operation === undefined ? "?" : `${nameOf(OPERATIONS, operation)}`,
      ...(known === undefined || known.fd < 0 ? {} : subjectOf(known)),
      ...(connection === undefined ? {} : { connection }),
      ...(peer === undefined ? {} : { peer }),
      result,
      ...(result < 0 ? { errno: errnoCode(-result) } : {}),
      // The upper 16 bits are the number of the buffer.
      flags: bitNames(COMPLETION_BITS, flags & ((1 << IORING_CQE_BUFFER_SHIFT) - 1)),
      ...(hasBuffer ? { buffer } : {}),
      ...this.#contents(address ?? 0, length),
      ...(pending === undefined || multishot
        ? {}
        : { us: Math.round((at - pending.submittedAt) * 10_000) / 10 }),
    };
  }
}

function count(known: Known, operation: number | undefined, bytes: number): void {
  if (operation === IORING_OP.RECV || operation === IORING_OP.READ) known.received += bytes;
  if (operation === IORING_OP.SEND || operation === IORING_OP.WRITE) known.sent += bytes;
}

function isMultishot({ operation, priority, length }: SubmissionEntry): boolean {
  if (operation === IORING_OP.ACCEPT) return (priority & IORING_ACCEPT_MULTISHOT) !== 0;
  if (operation === IORING_OP.RECV) return (priority & IORING_RECV_MULTISHOT) !== 0;
  return operation === IORING_OP.POLL_ADD && (length & IORING_POLL_ADD_MULTI) !== 0;
}

function shownArgs(submission: SubmissionEntry, target: Pending | undefined): Shown {
  const { operation, fd, length, operationFlags } = submission;
  switch (operation) {
    case IORING_OP.ACCEPT:
      return [fd];
    case IORING_OP.RECV:
    case IORING_OP.SEND: {
      // A receive into provided buffers has no length.
      const shown = length === 0 ? [fd] : [fd, length];
      return operationFlags === 0 ? shown : [...shown, bitsText(MESSAGE_BITS, operationFlags)];
    }
    case IORING_OP.POLL_ADD:
      return [fd, bitsText(POLL_BITS, operationFlags)];
    case IORING_OP.ASYNC_CANCEL:
      return target === undefined ? [] : [nameOf(OPERATIONS, target.operation)];
    default:
      return fd < 0 ? [] : [fd, length];
  }
}
