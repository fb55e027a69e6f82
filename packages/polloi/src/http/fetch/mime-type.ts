import { MIMEType } from "node:util";

/** The values of a list, whose commas may be in quotes. */
const VALUES = /(?:[^",]|"(?:[^"\\]|\\.)*"?)+/g;

/**
 * The type that a Content-Type says, in its normal form; empty when it says none.
 *
 * @param contentType - As `Headers.get` gives it: several are joined by commas, and the last that is one counts.
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
