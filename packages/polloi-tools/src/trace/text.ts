import type {
  CallEvent,
  CompleteEvent,
  ReadyEvent,
  Subject,
  SubmitEvent,
  TraceEvent,
  TurnEvent,
  WaitEvent,
} from "./event.ts";

/** Styles a text for a terminal. */
export type Styler = (
  style: "bold" | "dim" | "red" | "green" | "yellow" | "cyan",
  text: string,
) => string;

/**
 * ```text
 *   0 2          12                                       56                      90       100
 *   | | subject  | call or operation, as in strace         | meaning               |   time |
 * ```
 */
const SUBJECT_WIDTH = 9;
const CALL_WIDTH = 45;
const MEANING_WIDTH = 30;
const TIME_WIDTH = 10;

/** Formats an event as a line of about 100 columns. A long call makes it longer. */
export function textOf(event: TraceEvent, style: Styler): string {
  switch (event.event) {
    case "turn":
      return `${turnText(event, style)}\n`;
    case "end":
      return `${style("dim", `the trace has ended: ${event.reason}`)}\n`;
    case "ready":
      return line(style, event, {
        verb: "ready",
        what: event.events.join("|") || "0",
        meaning: readyMeaning(event),
      });
    case "submit":
      return line(style, event, {
        verb: "submit",
        what: `${event.call}(${event.args.join(", ")})`,
        meaning: submitMeaning(event),
      });
    case "complete":
      return line(style, event, {
        verb: "done",
        what: `${event.call}${event.fd === undefined ? "" : `(${event.fd})`} = ${resultText(event)}`,
        meaning: completeMeaning(event),
      });
    default:
      return line(style, event, {
        verb: "",
        what: `${event.call}(${event.args.join(", ")}) = ${resultText(event)}`,
        meaning: event.event === "wait" ? waitMeaning(event) : callMeaning(event),
      });
  }
}

interface Parts {
  readonly verb: "" | "ready" | "submit" | "done";
  readonly what: string;
  readonly meaning: string;
}

const VERB_STYLES = { ready: "green", submit: "yellow", done: "cyan" } as const;

function line(
  style: Styler,
  event: Subject & { readonly us?: number; readonly errno?: string },
  { verb, what, meaning }: Parts,
): string {
  const shown = verb === "" ? what : `${verb.padEnd(6)} ${what}`;
  const failed = event.errno !== undefined && event.errno !== "EAGAIN";
  const styled =
    verb === "" ? what : `${style(VERB_STYLES[verb], verb)}${shown.slice(verb.length)}`;
  // Widths are those of the text without styles.
  const column = Math.max(CALL_WIDTH, shown.length + 2);
  const subject = subjectText(event);
  const time = event.us === undefined ? "" : timeText(event.us).padStart(TIME_WIDTH);
  const line = [
    `  ${subject === "" ? "" : style("bold", subject)}${" ".repeat(Math.max(1, SUBJECT_WIDTH + 1 - subject.length))}`,
    `${failed ? style("red", shown) : styled}${" ".repeat(column - shown.length)}`,
    meaning === "" ? "" : style("dim", meaning),
    time === ""
      ? ""
      : " ".repeat(Math.max(0, CALL_WIDTH + MEANING_WIDTH - column - meaning.length)),
    time === "" ? "" : style("dim", time),
  ];
  return `${line.join("").trimEnd()}\n`;
}

function turnText(event: TurnEvent, style: Styler): string {
  const { turn, idleMs, wokenBy, outside, unshown } = event;
  const after = `${timeText(idleMs * 1000)} later`;
  if (outside === true) {
    return `${style("bold", `after turn ${turn}`)}  ${style("dim", `${after}, outside of a turn`)}`;
  }
  const woken = wokenBy === undefined ? after : `${after}, woken by ${wokenBy}'s loop`;
  const before =
    unshown === 0
      ? ""
      : `; ${unshown} ${unshown === 1 ? "turn" : "turns"} without events in between`;
  return `${style("bold", `turn ${turn}`)}  ${style("dim", `${woken}${before}`)}`;
}

/** The number of a connection, or the name of anything else. */
function subjectText({ connection, name }: Subject): string {
  return name ?? (connection === undefined ? "" : `#${connection}`);
}

function resultText({
  result,
  errno,
}: {
  readonly result: number;
  readonly errno?: string;
}): string {
  return errno === undefined ? `${result}` : `-1 ${errno}`;
}

function waitMeaning({ call, result }: WaitEvent): string {
  return result > 0 && call !== "io_uring_enter" ? `${result} ready` : "";
}

function readyMeaning({ name, events }: ReadyEvent): string {
  if (name === "listener" || name?.startsWith("listener")) return "a connection is waiting";
  if (events.includes("ERR")) return "an error is pending";
  if (events.includes("HUP")) return "closed in both directions";
  if (events.includes("RDHUP")) return "the peer has ended the stream";
  if (events.includes("IN")) return "data to receive";
  return events.includes("OUT") ? "room to send" : "";
}

function callMeaning(event: CallEvent): string {
  const { call, result, errno, args, connection, address } = event;
  if (call === "accept4") return errno === "EAGAIN" ? "no more connections" : acceptedText(event);
  if (event.name === "eventfd" && call === "read") {
    return errno === undefined ? "wakes the loop" : "no signal";
  }
  if (address !== undefined) return `${event.name} is ${address}`;
  if (call === "close" && connection !== undefined) {
    return `#${connection}: ${event.received} bytes in, ${event.sent} out`;
  }
  if (call === "recv") {
    if (errno === "EAGAIN") return "would block: no more data";
    if (result === 0) return "end of stream";
  }
  if (call === "send" || call === "sendfile") {
    const asked = args[call === "send" ? 1 : 2] as number;
    if (errno === "EAGAIN") return "would block: the buffer is full";
    if (result >= 0 && result < asked) return `${asked - result} bytes were not sent`;
  }
  return dataText(event, result, MEANING_WIDTH - 1);
}

function submitMeaning(event: SubmitEvent): string {
  const { call, flags, group, args } = event;
  const facts: string[] = [];
  if (flags.includes("MULTISHOT")) facts.push("multishot");
  if (flags.includes("LINK")) facts.push("linked to the next");
  if (group !== undefined) facts.push(`buffer group ${group}`);
  if (call === "POLL_ADD" && facts.length === 0) facts.push("one-shot");
  return facts.join(", ") || dataText(event, Number(args[1]), MEANING_WIDTH - 1);
}

function completeMeaning(event: CompleteEvent): string {
  const { call, result, flags, buffer, errno } = event;
  if (call === "ACCEPT" && result >= 0) return acceptedText(event);
  if (errno === "ENOBUFS") return "no free buffer";
  if (call === "RECV" && result === 0) return "end of stream";
  const more = flags.includes("MORE") ? "more will follow" : "";
  if (buffer === undefined) return more;
  const where = `in buffer ${buffer}`;
  const data = dataText(event, result, MEANING_WIDTH + TIME_WIDTH - where.length - 1);
  return data === "" ? `${where}, ${more}` : `${data} ${where}`;
}

/** An excerpt of the bytes that were transferred. */
function dataText({ data }: { readonly data?: string }, length: number, width: number): string {
  return data === undefined ? "" : quoted(data, length, width);
}

function acceptedText({ connection, peer, result }: CallEvent | CompleteEvent): string {
  if (result < 0 || connection === undefined) return "";
  return peer === undefined ? `is #${connection}` : `is #${connection}, ${peer}`;
}

function timeText(us: number): string {
  if (us < 1000) return `${us.toFixed(1)} us`;
  return us < 1e6 ? `${(us / 1000).toFixed(3)} ms` : `${(us / 1e6).toFixed(3)} s`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  '"': '\\"',
  "\\": "\\\\",
};
// Characters that a terminal may not print as they are, and the quote and the backslash.
const UNPRINTABLE = /[^ !#-[\]-~]/g;

const DOTS = "...";

/**
 * Quotes an excerpt as a string of C, in at most `width` columns.
 *
 * @param length - The number of bytes in all. If not all are shown, dots follow.
 */
export function quoted(excerpt: string, length: number, width: number): string {
  const shown = Array.from(excerpt, (character) => character.replace(UNPRINTABLE, escaped));
  const whole = shown.join("");
  if (excerpt.length === length && whole.length + 2 <= width) return `"${whole}"`;
  let text = "";
  for (const character of shown) {
    if (text.length + character.length + DOTS.length + 2 > width) break;
    text += character;
  }
  return `"${text}"${DOTS}`;
}

function escaped(character: string): string {
  const code = character.charCodeAt(0).toString(16).padStart(2, "0");
  return ESCAPES[character] ?? `\\x${code}`;
}
