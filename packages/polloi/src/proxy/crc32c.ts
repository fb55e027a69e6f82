/** The polynomial of Castagnoli, with its bits reversed. */
const POLYNOMIAL = 0x82f63b78;

let table: Uint32Array | undefined;

function makeTable(): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) {
      value = (value & 1) === 0 ? value >>> 1 : (value >>> 1) ^ POLYNOMIAL;
    }
    return value;
  });
}

/** The CRC-32C checksum of `bytes`. @source RFC 4960 appendix B */
export function crc32c(bytes: Uint8Array): number {
  table ??= makeTable();
  let value = 0xffff_ffff;
  for (const byte of bytes) value = (value >>> 8) ^ (table[(value ^ byte) & 0xff] as number);
  return ~value >>> 0;
}
