import { rangeError, show, typeError } from "../base/misuse.ts";
import { TOKEN, VALUE } from "./wire/characters.ts";

/** Checks a field. @throws TypeError `ERR_INVALID_DATA` */
export function checkField(name: string, value: string, reserved: boolean): void {
  if (!consistsOf(name, TOKEN) || name === "" || reserved) {
    throw typeError(
      "ERR_INVALID_DATA",
      `Cannot set the header ${show(name)}: no such name can be set`,
    );
  }
  if (consistsOf(value, VALUE)) return;
  throw typeError(
    "ERR_INVALID_DATA",
    `Cannot set ${name} to ${show(value)}: it has characters no header has`,
  );
}

/** The options of a Connection field, in lower case. @throws TypeError `ERR_INVALID_DATA` */
export function connectionOptions(value: string): string[] {
  const options = value.split(",").map((option) => option.replace(/^[ \t]+|[ \t]+$/g, ""));
  for (const option of options) {
    if (consistsOf(option, TOKEN)) continue;
    throw typeError(
      "ERR_INVALID_DATA",
      `Cannot set Connection to ${show(value)}: give a list of tokens, such as "close"`,
    );
  }
  return options.filter((option) => option !== "").map((option) => option.toLowerCase());
}

/** The error of a body that ended before its Content-Length. */
export function shortBy(left: number): RangeError {
  return rangeError(
    "ERR_INVALID_LENGTH",
    `Cannot end the body: ${left} bytes are left of Content-Length`,
  );
}

/** The error of a file whose length differs from what is left of Content-Length. */
export function wrongLength(length: number, left: number): RangeError {
  return rangeError(
    "ERR_INVALID_LENGTH",
    `Cannot send ${length} bytes of a file: ${left} are left of Content-Length`,
  );
}

function consistsOf(text: string, table: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (table[text.charCodeAt(i)] !== 1) return false;
  return true;
}
