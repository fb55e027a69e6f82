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

/** Styles a text where it is looked at by a person on a terminal. */
export type Styler = (
  style: "bold" | "dim" | "red" | "green" | "yellow" | "cyan",
  text: string,
) => string;

/**
 * ```text
 *   0 2          12                                       56                      90       100
 *   | | who      | what, as strace writes it               | what it means         |   time |
 * ```
 */
const WHO = 9;
const WHAT = 45;
const MEANING = 30;
const TIME = 10;

/** One event as a line for a person, at most 100 columns wide where what it says is not longer. */
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
  // Widths are of what is seen: what colours it takes no room.
  const column = Math.max(WHAT, shown.length + 2);
  const who = whoText(event);
  const time = event.us === undefined ? "" : timeText(event.us).padStart(TIME);
  const line = [
    `  ${who === "" ? "" : style("bold", who)}${" ".repeat(Math.max(1, WHO + 1 - who.length))}`,
    `${failed ? style("red", shown) : styled}${" ".repeat(column - shown.length)}`,
    meaning === "" ? "" : style("dim", meaning),
    time === "" ? "" : " ".repeat(Math.max(0, WHAT + MEANING - column - meaning.length)),
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
      : `; ${unshown} ${unshown === 1 ? "turn" : "turns"} in between had nothing to show`;
  return `${style("bold", `turn ${turn}`)}  ${style("dim", `${woken}${before}`)}`;
}

/** A connection by its number, anything else by what it is. */
function whoText({ connection, name }: Subject): string {
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
  if (name === "listener" || name?.startsWith("listener")) return "somebody connects";
  if (events.includes("ERR")) return "an error waits";
  if (events.includes("HUP")) return "hung up, both ways";
  if (events.includes("RDHUP")) return "the peer sends no more";
  if (events.includes("IN")) return "something to receive";
  return events.includes("OUT") ? "room to send" : "";
}

function callMeaning(event: CallEvent): string {
  const { call, result, errno, args, connection, address } = event;
  if (call === "accept4") return errno === "EAGAIN" ? "nobody else waits" : newcomer(event);
  if (event.name === "eventfd" && call === "read") {
    return errno === undefined ? "what woke the loop" : "nobody has signalled";
  }
  if (address !== undefined) return `${event.name} is ${address}`;
  if (call === "close" && connection !== undefined) {
    return `#${connection}: ${event.received} bytes in, ${event.sent} out`;
  }
  if (call === "recv") {
    if (errno === "EAGAIN") return "would block: all is read";
    if (result === 0) return "the peer sends no more";
  }
  if (call === "send" || call === "sendfile") {
    const asked = args[call === "send" ? 1 : 2] as number;
    if (errno === "EAGAIN") return "would block: the peer is slow";
    if (result >= 0 && result < asked) return `${asked - result} bytes did not fit`;
  }
  return dataText(event, result, MEANING - 1);
}

function submitMeaning(event: SubmitEvent): string {
  const { call, flags, group, args } = event;
  const said: string[] = [];
  if (flags.includes("MULTISHOT")) said.push("stays, tells each time");
  if (flags.includes("LINK")) said.push("the next waits for it");
  if (group !== undefined) said.push(`buffers ${group}`);
  if (call === "POLL_ADD" && said.length === 0) said.push("tells once");
  return said.join(", ") || dataText(event, Number(args[1]), MEANING - 1);
}

function completeMeaning(event: CompleteEvent): string {
  const { call, result, flags, buffer, errno } = event;
  if (call === "ACCEPT" && result >= 0) return newcomer(event);
  if (errno === "ENOBUFS") return "no buffer was free";
  if (call === "RECV" && result === 0) return "the peer sends no more";
  const stays = flags.includes("MORE") ? "it stays" : "";
  if (buffer === undefined) return stays;
  const where = `in buffer ${buffer}`;
  const data = dataText(event, result, MEANING + TIME - where.length - 1);
  return data === "" ? `${where}, ${stays}` : `${data} ${where}`;
}

/** What moved, in so many columns. */
function dataText({ data }: { readonly data?: string }, length: number, width: number): string {
  return data === undefined ? "" : quoted(data, length, width);
}

function newcomer({ connection, peer, result }: CallEvent | CompleteEvent): string {
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
// Everything but what any terminal prints as it is.
const UNPRINTABLE = /[^ !#-[\]-~]/g;

const DOTS = "...";

/**
 * An excerpt in quotes, as C would write it, in `width` columns at most.
 *
 * @param length - How many bytes there are in all: dots tell that not all of them are shown.
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
