/** Random programs of two sides over a faulty kernel: no byte is lost, reordered or duplicated. */
import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import type { EngineName, Trigger } from "../../src/engine/engine.ts";
import { whyNoUring } from "../../src/engine/try-uring.ts";
import { type Connection, type Handlers, Reactor } from "../../src/index.ts";
import { kernel } from "../../src/sys/open.ts";
import { assertReactorBalance } from "../support/balance.ts";
import { ENGINES } from "../support/engines.ts";
import { faultyKernel } from "../support/faulty-kernel.ts";
import { assertSame, pattern } from "./rig.ts";

const RUNS = 300;
/** Far more turns than any program needs, even if every other call fails. */
const MAX_TURNS = 4_000;

/** One step of a program. */
type Step = { readonly side: 0 | 1 } & (
  | { readonly do: "write"; readonly length: number }
  | { readonly do: "file"; readonly offset: number; readonly length: number }
  | { readonly do: "pause" | "resume" | "end" | "close" }
  | { readonly do: "turn"; readonly times: number }
);

const side = fc.constantFrom(0 as const, 1 as const);
const length = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 200 }) },
  { weight: 2, arbitrary: fc.integer({ min: 16_000, max: 17_000 }) },
  { weight: 2, arbitrary: fc.integer({ min: 60_000, max: 400_000 }) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ side, do: fc.constant("write" as const), length }) },
  {
    weight: 2,
    arbitrary: fc.record({
      side,
      do: fc.constant("file" as const),
      offset: fc.integer({ min: 0, max: 50_000 }),
      length,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      side,
      do: fc.constant("turn" as const),
      times: fc.integer({ min: 1, max: 6 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ side, do: fc.constantFrom("pause", "resume") }) },
  { weight: 1, arbitrary: fc.record({ side, do: fc.constantFrom("end", "close") }) },
);
const program = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 30 }),
  seed: fc.integer({ min: 0, max: 0xffff_ffff }),
  zeroCopy: fc.boolean(),
  /** Whether side 1 echoes what it receives, besides what the program makes it write. */
  echo: fc.boolean(),
});

/** All file ranges that are sent are ranges of this file. */
const content: Uint8Array = pattern(500_000, 99);
const folder: string = mkdtempSync(join(tmpdir(), "polloi-faults-"));
writeFileSync(join(folder, "file"), content);
const file: number = openSync(join(folder, "file"), "r");
after(() => {
  closeSync(file);
  rmSync(folder, { recursive: true });
});

/** One side of the connection. */
class Side {
  connection: Connection | undefined;
  readonly written: Uint8Array[] = [];
  readonly received: Uint8Array[] = [];
  error: Error | undefined;
  closes = 0;
  gaveUp = false;
  /** Files whose `done` has not been called. */
  filesOut = 0;

  write(bytes: Uint8Array): void {
    const { connection } = this;
    if (connection?.state !== "open" && connection?.state !== "connecting") return;
    this.written.push(bytes.slice());
    connection.write(bytes);
  }

  sendFile(offset: number, length: number): void {
    const { connection } = this;
    if (connection?.state !== "open" && connection?.state !== "connecting") return;
    this.written.push(content.subarray(offset, offset + length));
    this.filesOut++;
    const done = (error?: Error) => {
      this.filesOut--;
      if (error === undefined) return;
      const { code } = error as { code?: string };
      assert.ok(error === this.error || code === "ECANCELED", `${error}`);
      // Bytes that had not been delivered when it closed.
      this.gaveUp = true;
    };
    connection.sendFile({ fd: file, offset, length, done });
  }
}

interface Program {
  readonly steps: readonly Step[];
  readonly seed: number;
  readonly zeroCopy: boolean;
  readonly echo: boolean;
}

function run(
  engine: EngineName,
  trigger: Trigger | undefined,
  { steps, seed, zeroCopy, echo }: Program,
): void {
  const reactor = new Reactor({ engine, trigger, kernel: faultyKernel(seed) });
  // Not hosted: every turn is made here.
  reactor.run();
  const sides: readonly [Side, Side] = [new Side(), new Side()];
  const handlersOf = (at: 0 | 1): Handlers & { zeroCopy: boolean; highWaterBytes: number } => ({
    zeroCopy,
    highWaterBytes: 50_000,
    open: (connection) => {
      sides[at].connection = connection;
    },
    data: (_connection, bytes) => {
      sides[at].received.push(bytes.slice());
      if (at === 1 && echo) sides[1].write(bytes);
    },
    error: (_connection, error) => {
      sides[at].error = error;
    },
    close: () => {
      sides[at].closes++;
    },
  });
  try {
    const listener = reactor.listen({ host: "127.0.0.1", port: 0, ...handlersOf(1) });
    const { port } = listener;
    sides[0].connection = reactor.connect({ host: "127.0.0.1", port, ...handlersOf(0) });
    let written = 0;
    for (const step of steps) {
      const it = sides[step.side];
      if (step.do === "turn") for (let i = 0; i < step.times; i++) reactor.turn(0);
      else if (step.do === "write") it.write(pattern(step.length, ++written));
      else if (step.do === "file") it.sendFile(step.offset, step.length);
      else it.connection?.[step.do]();
      if (step.do === "close" && it.connection !== undefined) it.gaveUp = true;
    }
    for (let turns = 0; sides.some(({ closes }) => closes === 0); turns++) {
      // Faults may abort the connection before it is accepted. Then there is no other side.
      if (sides[1].connection === undefined && sides[0].closes > 0) break;
      assert.ok(turns < MAX_TURNS, `not over after ${turns} turns: ${states(sides)}`);
      if (turns % 8 === 0) {
        for (const { connection } of sides) {
          connection?.resume();
          if (!echo || connection !== sides[1].connection) connection?.end();
        }
      }
      reactor.turn(turns % 8 === 7 ? 1 : 0);
    }
    for (const at of [0, 1] as const) check(sides[at], sides[1 - at] as Side);
    assertReactorBalance(reactor);
  } finally {
    reactor.close();
  }
}

function states(sides: readonly Side[]): string {
  return sides.map(({ connection }) => `${connection?.state} ${connection?.pendingBytes}`).join();
}

/** One side has received what the other wrote: all of it, unless one of them failed. */
function check(receiver: Side, writer: Side): void {
  assert.ok(receiver.closes <= 1);
  assert.equal(receiver.filesOut, 0, "done is called once for each file");
  const received = Buffer.concat(receiver.received);
  const written = Buffer.concat(writer.written);
  const complete = !receiver.gaveUp && receiver.error === undefined && writer.error === undefined;
  assertSame(received, complete ? written : written.subarray(0, received.length));
  if (!receiver.gaveUp && !writer.gaveUp) assert.equal(receiver.error, undefined);
}

for (const [engine, trigger] of ENGINES) {
  const name = trigger === undefined ? engine : `${engine}, ${trigger}`;
  const skip = (engine === "io_uring" && whyNoUring(kernel)) || false;
  test(`no program loses, reorders or duplicates a byte over a faulty kernel: ${name}`, {
    skip,
  }, () => {
    fc.assert(
      fc.property(program, (it) => run(engine, trigger, it)),
      { numRuns: RUNS },
    );
  });
}
