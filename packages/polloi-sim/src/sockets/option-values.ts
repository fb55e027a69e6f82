/** Values of socket options: ints of four bytes, and options that only read back. */
import { ERRNO } from "polloi/internal/pure";
import { type SocketSettings, storedKey } from "./socket-file.ts";

const ONE = new Uint8Array(4);
const ONE_VIEW = new DataView(ONE.buffer);

/** The bytes of an int, valid until the next call. */
export function intValue(value: number): Uint8Array {
  ONE_VIEW.setInt32(0, value, true);
  return ONE;
}

/** The int at an offset of a value. */
export function readInt(value: Uint8Array, offset: number): number {
  return (
    (value[offset] as number) |
    ((value[offset + 1] as number) << 8) |
    ((value[offset + 2] as number) << 16) |
    ((value[offset + 3] as number) << 24)
  );
}

/** The int that a value begins with; undefined when it is shorter (EINVAL). */
export function intOf(value: Uint8Array): number | undefined {
  return value.length < 4 ? undefined : readInt(value, 0);
}

/** @param defaults - The options that only read back, with their defaults. */
export function readStored(
  { stored }: SocketSettings,
  level: number,
  option: number,
  defaults: Readonly<Record<number, number>>,
): Uint8Array | number {
  const value = stored?.get(storedKey(level, option)) ?? defaults[option];
  return value === undefined ? -ERRNO.ENOPROTOOPT : intValue(value);
}

export function store(
  settings: SocketSettings,
  setting: { readonly level: number; readonly option: number; readonly value: number },
  defaults: Readonly<Record<number, number>>,
): number {
  const { level, option, value } = setting;
  if (defaults[option] === undefined) return -ERRNO.ENOPROTOOPT;
  settings.stored ??= new Map();
  settings.stored.set(storedKey(level, option), value);
  return 0;
}
