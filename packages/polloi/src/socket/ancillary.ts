/**
 * The ancillary data of a message: one `cmsghdr` with its data after the other, each aligned to 8 bytes.
 *
 * ```text
 *   0        8       12     16            len     next multiple of 8
 *   | len    | level | type | data ...    | (pad) | len | level | ...
 * ```
 *
 * Source: cmsg(3), unix(7).
 */
import { flagsOf, integerOf, listOf } from "../base/argument.ts";
import { filenoOf } from "../base/descriptor.ts";
import { rangeError, show, typeError } from "../base/misuse.ts";
import type { Arena } from "../sys/arena.ts";
import { SCM_CREDENTIALS, SCM_RIGHTS, SOL_SOCKET } from "./constants.ts";
import { type Credentials, decodeCredentials, UCRED_SIZE } from "./options.ts";

/** Descriptors for another process: SCM_RIGHTS. */
export interface RightsMessage {
  /** Sent: descriptors to share. Received: new descriptors, close-on-exec, which the receiver must close. */
  readonly fds: readonly number[];
}

/** The credentials of the sender: SCM_CREDENTIALS. Requires `options.passCredentials` at the receiver. */
export interface CredentialsMessage {
  readonly credentials: Credentials;
}

/** Any other ancillary message, as its bytes. */
export interface RawAncillaryMessage {
  readonly level: number;
  readonly type: number;
  readonly data: Uint8Array;
}

/** One message of ancillary data. */
export type AncillaryMessage = RightsMessage | CredentialsMessage | RawAncillaryMessage;

const HEADER = 16;
const FD_SIZE = 4;

/** The longest ancillary message, in bytes. */
const MAX_LENGTH = 0x7fff_ffff;

/** SCM_MAX_FD: the most descriptors in one message. */
export const MAX_FDS = 253;

/**
 * The length of an ancillary message of `dataLength` bytes without padding: CMSG_LEN.
 *
 * @remarks
 * Use this for the buffer of a last message. With CMSG_SPACE, one descriptor more than expected may arrive.
 *
 * @throws TypeError, RangeError `ERR_INVALID_LENGTH`
 */
export function ancillaryLength(dataLength: number): number {
  return HEADER + dataLengthIn(dataLength);
}

/**
 * The length of an ancillary message of `dataLength` bytes with padding, if another one follows: CMSG_SPACE.
 *
 * @throws TypeError, RangeError `ERR_INVALID_LENGTH`
 */
export function ancillarySpace(dataLength: number): number {
  return HEADER + Math.ceil(dataLengthIn(dataLength) / 8) * 8;
}

function dataLengthIn(bytes: number): number {
  return integerOf(bytes, "a length in bytes", [0, MAX_LENGTH], "ERR_INVALID_LENGTH");
}

/**
 * The length of `messages` when they are encoded, in bytes.
 *
 * @throws TypeError or RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_FD`; RangeError `ERR_INVALID_LENGTH`
 */
export function encodedLength(messages: readonly AncillaryMessage[]): number {
  return listOf(messages, "ancillary data").reduce(
    (sum, message) => sum + ancillarySpace(dataLengthOf(message)),
    0,
  );
}

/** Writes `messages` at `offset`, a multiple of 8 with {@link encodedLength} bytes of space. */
export function encodeAncillary(
  arena: Arena,
  offset: number,
  messages: readonly AncillaryMessage[],
): void {
  let at = offset;
  for (const message of messages) {
    const length = dataLengthOf(message);
    const next = at + ancillarySpace(length);
    arena.u8.fill(0, at, next);
    arena.setWord(at, ancillaryLength(length));
    const [level, type] = kindOf(message);
    arena.view.setInt32(at + 8, level, true);
    arena.view.setInt32(at + 12, type, true);
    encodeData(arena, at + HEADER, message);
    at = next;
  }
}

/**
 * Reads the ancillary messages in the `length` bytes at `offset`.
 *
 * @remarks
 * A truncated message (MSG_CTRUNC) states a larger length than it has. It is read as far as it goes, so that every
 * descriptor that arrived is in the result.
 */
export function decodeAncillary(arena: Arena, offset: number, length: number): AncillaryMessage[] {
  const messages: AncillaryMessage[] = [];
  const end = offset + length;
  for (let at = offset; at + HEADER <= end; ) {
    const claimed = arena.getWord(at);
    // A length below that of the header is invalid, and the loop would not end.
    if (claimed < HEADER) break;
    const dataEnd = Math.min(at + claimed, end);
    const level = arena.view.getInt32(at + 8, true);
    const type = arena.view.getInt32(at + 12, true);
    messages.push(decodeMessage(level, type, arena.u8.slice(at + HEADER, dataEnd)));
    at += ancillarySpace(claimed - HEADER);
  }
  return messages;
}

function decodeMessage(level: number, type: number, data: Uint8Array): AncillaryMessage {
  if (level === SOL_SOCKET && type === SCM_RIGHTS) {
    // `slice` makes a copy with its own buffer.
    return { fds: [...new Int32Array(data.buffer, 0, Math.floor(data.length / FD_SIZE))] };
  }
  if (level === SOL_SOCKET && type === SCM_CREDENTIALS && data.length >= UCRED_SIZE) {
    return { credentials: decodeCredentials(data) };
  }
  return { level, type, data };
}

/** @throws TypeError or RangeError for a message that cannot be encoded. */
function dataLengthOf(message: AncillaryMessage): number {
  if (typeof message !== "object" || message === null) throw notAMessage(message);
  if ("fds" in message) {
    const { length } = listOf(message.fds, "descriptors", "ERR_INVALID_FD");
    if (length > MAX_FDS) {
      throw rangeError(
        "ERR_INVALID_LENGTH",
        `Cannot send ${length} descriptors with one message: at most ${MAX_FDS}`,
      );
    }
    message.fds.forEach(filenoOf);
    return length * FD_SIZE;
  }
  if ("credentials" in message) {
    if (typeof message.credentials !== "object" || message.credentials === null) {
      throw notAMessage(message.credentials);
    }
    const { pid, uid, gid } = message.credentials;
    for (const [name, id] of Object.entries({ pid, uid, gid })) flagsOf(id, name);
    return UCRED_SIZE;
  }
  if (!(message.data instanceof Uint8Array)) throw notAMessage(message.data);
  flagsOf(message.level, "a level");
  flagsOf(message.type, "a type");
  return message.data.length;
}

function notAMessage(value: unknown): TypeError {
  return typeError(
    "ERR_INVALID_OPTION",
    `Cannot send ${show(value)} as ancillary data: give { fds }, { credentials } or { level, type, data }`,
  );
}

function kindOf(message: AncillaryMessage): readonly [level: number, type: number] {
  if ("fds" in message) return [SOL_SOCKET, SCM_RIGHTS];
  if ("credentials" in message) return [SOL_SOCKET, SCM_CREDENTIALS];
  return [message.level, message.type];
}

function encodeData({ view, u8 }: Arena, at: number, message: AncillaryMessage): void {
  if ("fds" in message) {
    message.fds.forEach((fd, i) => {
      view.setInt32(at + i * FD_SIZE, fd, true);
    });
  } else if ("credentials" in message) {
    view.setInt32(at, message.credentials.pid, true);
    view.setUint32(at + 4, message.credentials.uid, true);
    view.setUint32(at + 8, message.credentials.gid, true);
  } else {
    u8.set(message.data, at);
  }
}
