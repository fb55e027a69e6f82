/** The length as UTF-8. Counted here while that is quicker than a call out of JavaScript. */
export function utf8Length(text: string): number {
  const { length } = text;
  if (length > 32) return Buffer.byteLength(text);
  for (let i = 0; i < length; i++) if (text.charCodeAt(i) > 127) return Buffer.byteLength(text);
  return length;
}
