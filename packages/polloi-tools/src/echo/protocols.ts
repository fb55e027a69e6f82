/**
 * The oldest protocols there are, each as what it does with the bytes that come.
 *
 * Source: RFC 862 (echo), RFC 863 (discard).
 */
import type { Connection } from "polloi";

/** The protocols by name. */
export type ProtocolName = "echo" | "upper" | "discard";

/**
 * Answers bytes that were received.
 *
 * @param bytes - Lent, and the protocol's to change: they are gone when this returns.
 * @returns Whether to go on receiving; false waits until the connection has drained.
 */
export type Protocol = (connection: Pick<Connection, "write">, bytes: Uint8Array) => boolean;

/** Every protocol. The queue of each connection is its own: what the kernel does not take waits there. */
export const PROTOCOLS: Readonly<Record<ProtocolName, Protocol>> = {
  echo: (connection, bytes) => connection.write(bytes),
  upper: (connection, bytes) => connection.write(capitalise(bytes)),
  discard: () => true,
};

const LOWER_A = 97;
const LOWER_Z = 122;
const TO_UPPER = -32;

/**
 * Turns a to z into A to Z, in place, and leaves every other byte as it is.
 *
 * @remarks
 * Bytes, not characters: a message may end in the middle of a character, and its parts must come out
 * the same however they were cut.
 */
export function capitalise(bytes: Uint8Array): Uint8Array {
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    if (byte >= LOWER_A && byte <= LOWER_Z) bytes[i] = byte + TO_UPPER;
  }
  return bytes;
}
