import mime from "mime";

const OTHERS = "application/octet-stream";
/** Names are as many as there are files; their endings are not. */
const known = new Map<string, string>();

/**
 * The Content-Type of a file, by the ending of its name.
 *
 * @remarks
 * Text is said to be UTF-8. JSON and XML are not text in this sense: they say it themselves, or are it always.
 */
export function contentType(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  // A name that only begins with a dot has no ending.
  const ending = dot <= 0 ? "" : name.slice(dot + 1).toLowerCase();
  let type = known.get(ending);
  if (type === undefined) {
    const found = ending === "" ? null : mime.getType(ending);
    type = found?.startsWith("text/") ? `${found}; charset=utf-8` : (found ?? OTHERS);
    // An ending that nobody knows is not kept: there is no end to them.
    if (found !== null) known.set(ending, type);
  }
  return type;
}
