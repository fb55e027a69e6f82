/** Content-Range of some of `size` bytes. RFC 9110 section 14.4. */
export function contentRange(offset: number, length: number, size: number): string {
  return `bytes ${offset}-${offset + length - 1}/${size}`;
}
