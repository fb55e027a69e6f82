/**
 * IP addresses as text and as bytes.
 *
 * `isIP` of node:net is not used, because importing it loads the whole module, which takes a considerable part of the start
 * of a process that serves one connection.
 */

/** The IP version of an address without a zone; 0 if it is none. */
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
  // The last two groups may be written as an IPv4 address.
  const last = (back ?? front)?.at(-1) ?? "";
  const mixed = isIPv4(last);
  if (mixed) groups.pop();
  if (!groups.every((group) => /^[\da-f]{1,4}$/i.test(group))) return false;
  const count = groups.length + (mixed ? 2 : 0);
  return back === undefined ? count === 8 : count < 8;
}

/** Writes the four bytes of a valid IPv4 address. */
export function writeIPv4(bytes: Uint8Array, offset: number, literal: string): void {
  const parts = literal.split(".");
  for (let i = 0; i < 4; i++) bytes[offset + i] = Number(parts[i]);
}

/** Formats four bytes as an IPv4 address. */
export function readIPv4(bytes: Uint8Array, offset: number): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

/** Writes the sixteen bytes of a valid IPv6 address without a zone. RFC 4291, section 2.2. */
export function writeIPv6(bytes: Uint8Array, offset: number, literal: string): void {
  const [head = "", tail] = literal.split("::");
  const front = groupBytes(head);
  // Without "::" the front has all sixteen bytes. With it, the bytes between front and back are zero.
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

/** Formats sixteen bytes as an IPv6 address in the canonical form of RFC 5952. */
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
  // A single zero group is not shortened.
  if (length < 2) return hex.join(":");
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + length).join(":")}`;
}

/** The start and the length of the first longest run of zero groups. */
function longestZeros(groups: readonly number[]): [start: number, length: number] {
  let best: [number, number] = [0, 0];
  let length = 0;
  groups.forEach((group, i) => {
    length = group === 0 ? length + 1 : 0;
    if (length > best[1]) best = [i + 1 - length, length];
  });
  return best;
}
