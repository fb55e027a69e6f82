import mime from "mime";

const DEFAULT_TYPE = "application/octet-stream";
/** Types by extension. Unknown extensions are not cached, because their number has no bound. */
const types = new Map<string, string>();

/**
 * The Content-Type of a file, by the extension of its name.
 *
 * @remarks
 * `text/*` is sent with `charset=utf-8`. JSON and XML have no charset parameter: JSON is always UTF-8, and XML declares
 * its encoding.
 */
export function contentType(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  // A name whose only dot is the first character has no extension.
  const extension = dot <= 0 ? "" : name.slice(dot + 1).toLowerCase();
  let type = types.get(extension);
  if (type === undefined) {
    const found = extension === "" ? null : mime.getType(extension);
    type = found?.startsWith("text/") ? `${found}; charset=utf-8` : (found ?? DEFAULT_TYPE);
    if (found !== null) types.set(extension, type);
  }
  return type;
}
