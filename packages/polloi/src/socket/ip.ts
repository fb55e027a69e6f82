/**
 * IP literals and their bytes.
 *
 * `isIP` of node:net would tell what is a literal, but to import it is to load all of that module, which is a
 * good part of what it takes to start a process that serves one connection.
 */

/** Which IP version `text` is a literal of, without a zone; 0 when of none. */
export function ipVersion(text: string): 4 | 6 | 0 {
  if (isIPv4(text)) return 4;
  return isIPv6(text) ? 6 : 0;
}

function isIPv4(text: string): boolean {
  const parts = text.split(".");
  return (
    parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && +part < 256)
  );
}

/** RFC 4291, section 2.2. */
function isIPv6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const [front, back] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const groups = [...(front as string[]), ...(back ?? [])];
  // Two of the groups may be written as an IPv4 literal, if they are the last.
  const last = (back ?? front)?.at(-1) ?? "";
  const mixed = isIPv4(last);
  if (mixed) groups.pop();
  if (!groups.every((group) => /^[\da-f]{1,4}$/i.test(group))) return false;
  const count = groups.length + (mixed ? 2 : 0);
  return back === undefined ? count === 8 : count < 8;
}

/** Writes the four bytes of a valid IPv4 literal. */
export function writeIPv4(bytes: Uint8Array, offset: number, literal: string): void {
  const parts = literal.split(".");
  for (let i = 0; i < 4; i++) bytes[offset + i] = Number(parts[i]);
}

/** The IPv4 literal of four bytes. */
export function readIPv4(bytes: Uint8Array, offset: number): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

/** Writes the sixteen bytes of a valid IPv6 literal without a zone. RFC 4291, section 2.2. */
export function writeIPv6(bytes: Uint8Array, offset: number, literal: string): void {
  const [head = "", tail] = literal.split("::");
  const front = groupBytes(head);
  // Without "::" the front is all sixteen. With it, what is between front and back is zero.
  const back = tail === undefined ? [] : groupBytes(tail);
  bytes.fill(0, offset, offset + 16);
  bytes.set(front, offset);
  bytes.set(back, offset + 16 - back.length);
}

function groupBytes(groups: string): number[] {
  if (groups === "") return [];
  return groups.split(":").flatMap((group) => {
    if (group.includes(".")) return group.split(".").map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** The IPv6 literal of sixteen bytes, in the one form that RFC 5952 gives each address. */
export function readIPv6(bytes: Uint8Array, offset: number): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) {
    groups.push(((bytes[offset + i] as number) << 8) | (bytes[offset + i + 1] as number));
  }
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${readIPv4(bytes, offset + 12)}`;
  }
  const [start, length] = longestZeros(groups);
  const hex = groups.map((group) => group.toString(16));
  // A single zero group is written out.
  if (length < 2) return hex.join(":");
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + length).join(":")}`;
}

/** Start and length of the first of the longest runs of zero groups. */
function longestZeros(groups: readonly number[]): [start: number, length: number] {
  let best: [number, number] = [0, 0];
  let length = 0;
  groups.forEach((group, i) => {
    length = group === 0 ? length + 1 : 0;
    if (length > best[1]) best = [i + 1 - length, length];
  });
  return best;
}
