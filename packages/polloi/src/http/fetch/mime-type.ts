import { MIMEType } from "node:util";

/** Splits a list at commas that are not in quotes. */
const VALUES = /(?:[^",]|"(?:[^"\\]|\\.)*"?)+/g;

/**
 * The normalized type of a Content-Type; empty if it has none.
 *
 * @param contentType - The value of `Headers.get`: several are joined by commas, and the last valid one counts.
 * @source Fetch standard, "extract a MIME type"
 */
export function extractMimeType(contentType: string | null): string {
  let found: MIMEType | undefined;
  let charset: string | null = null;
  for (const value of contentType?.match(VALUES) ?? []) {
    const type = parsed(value);
    if (type === undefined || type.essence === "*/*") continue;
    if (type.essence !== found?.essence) charset = type.params.get("charset");
    else if (charset !== null && !type.params.has("charset")) type.params.set("charset", charset);
    found = type;
  }
  return found === undefined ? "" : String(found);
}

function parsed(value: string): MIMEType | undefined {
  try {
    return new MIMEType(value.trim());
  } catch {
    return undefined;
  }
}
