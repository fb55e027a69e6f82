import assert from "node:assert/strict";
import { test } from "node:test";
import type { TraceEvent } from "./event.ts";
import { quoted, type Styler, textOf } from "./text.ts";

const plain: Styler = (_, text) => text;
const coloured: Styler = (style, text) => `\u001b[${style.length}m${text}\u001b[0m`;
// biome-ignore lint/suspicious/noControlCharactersInRegex: it matches the colours.
const COLOURS = /\u001b\[\d+m/g;

const moment = { turn: 17, ms: 12.5 };
const EVENTS: readonly TraceEvent[] = [
  { event: "turn", ...moment, idleMs: 3.214, wokenBy: "node", unshown: 0 },
  {
    event: "wait",
    ...moment,
    ...{ call: "epoll_wait", fd: 6, name: "epoll", args: [6, 1024, "0 ms"] },
    ...{ result: 2, us: 1.94, timeoutMs: 0 },
  },
  { event: "ready", ...moment, fd: 5, name: "listener", events: ["IN"] },
  { event: "ready", ...moment, fd: 9, connection: 3, events: ["IN", "RDHUP"] },
  {
    event: "call",
    ...moment,
    ...{ call: "accept4", fd: 5, name: "listener", args: [5, "NONBLOCK|CLOEXEC"], result: 10 },
    ...{ us: 12, connection: 4, peer: "127.0.0.1:40122" },
  },
  {
    event: "call",
    ...moment,
    ...{
      call: "recv",
      fd: 9,
      connection: 3,
      args: [9, 65_536],
      result: -11,
      errno: "EAGAIN",
      us: 1,
    },
  },
  {
    event: "call",
    ...moment,
    ...{ call: "send", fd: 9, connection: 3, args: [9, 100, "NOSIGNAL"], result: 60, us: 1235 },
  },
  {
    event: "call",
    ...moment,
    ...{ call: "recv", fd: 9, connection: 3, args: [9, 65_536], result: -104 },
    ...{ errno: "ECONNRESET", us: 1 },
  },
  {
    event: "call",
    ...moment,
    ...{ call: "close", fd: 9, connection: 3, args: [9], result: 0, us: 9, received: 64, sent: 60 },
  },
  {
    event: "submit",
    ...moment,
    ...{ call: "RECV", fd: 9, connection: 3, args: [9], flags: ["MULTISHOT"], group: 0 },
  },
  {
    event: "complete",
    ...moment,
    ...{ call: "RECV", fd: 9, connection: 3, result: 64, flags: ["BUFFER", "MORE"], buffer: 2 },
    data: "GET / HTTP/1.1\r\nHost: a\u001b[2J",
  },
  { event: "turn", ...moment, idleMs: 1500, outside: true, unshown: 0 },
  { event: "turn", ...moment, idleMs: 0.05, unshown: 32 },
  { event: "end", ...moment, reason: "2 turns were traced" },
];

test("each event is a line with a call and its meaning", () => {
  const text = EVENTS.map((event) => textOf(event, plain)).join("");
  assert.equal(
    text,
    `turn 17  3.214 ms later, woken by node's loop
  epoll     epoll_wait(6, 1024, 0 ms) = 2                2 ready                           1.9 us
  listener  ready  IN                                    a connection is waiting
  #3        ready  IN|RDHUP                              the peer has ended the stream
  listener  accept4(5, NONBLOCK|CLOEXEC) = 10            is #4, 127.0.0.1:40122           12.0 us
  #3        recv(9, 65536) = -1 EAGAIN                   would block: no more data         1.0 us
  #3        send(9, 100, NOSIGNAL) = 60                  40 bytes were not sent          1.235 ms
  #3        recv(9, 65536) = -1 ECONNRESET                                                 1.0 us
  #3        close(9) = 0                                 #3: 64 bytes in, 60 out           9.0 us
  #3        submit RECV(9)                               multishot, buffer group 0
  #3        done   RECV(9) = 64                          "GET / HTTP/1.1\\r\\nHost:"... in buffer 2
after turn 17  1.500 s later, outside of a turn
turn 17  50.0 us later; 32 turns without events in between
the trace has ended: 2 turns were traced
`,
  );
});

test("colours do not change the layout", () => {
  for (const event of EVENTS) {
    const line = textOf(event, coloured);
    assert.notEqual(line, textOf(event, plain));
    assert.equal(line.replace(COLOURS, "").trimEnd(), textOf(event, plain).trimEnd());
  }
});

test("a text that is too long for its column is not cut", () => {
  const line = textOf(
    {
      event: "call",
      ...moment,
      ...{ call: "epoll_ctl", fd: 9, connection: 12_345, result: -17, errno: "EEXIST", us: 1 },
      args: [6, "ADD", 9, "IN|PRI|OUT|RDHUP|ONESHOT|EXCLUSIVE|ET"],
    },
    plain,
  );
  assert.match(line, /^ {2}#12345 {4}epoll_ctl\(.*ET\) = -1 EEXIST {2,}1\.0 us\n$/);
});

test("an excerpt is one line without control characters", () => {
  assert.equal(quoted("hello\n", 6, 30), '"hello\\n"');
  assert.equal(quoted('a"b\\c', 5, 30), '"a\\"b\\\\c"');
  assert.equal(quoted("\u001b[2J\u0000\u00e4", 6, 30), '"\\x1b[2J\\x00\\xe4"');
});

test("an incomplete excerpt ends in dots, and never exceeds its width", () => {
  assert.equal(quoted("abc", 100, 30), '"abc"...');
  assert.equal(quoted("abcdefghijkl", 12, 14), '"abcdefghijkl"');
  assert.equal(quoted("abcdefghijkl", 12, 13), '"abcdefgh"...');
  for (let width = 8; width < 20; width++) {
    for (const text of ["abcdefghijkl", "\n".repeat(12), "\u0000".repeat(12)]) {
      for (const length of [12, 13]) {
        const line = quoted(text, length, width);
        assert.ok(line.length <= width, `${line} in ${width}`);
      }
    }
  }
});
