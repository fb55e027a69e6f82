import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Descriptor, Opened } from "../../../../test/support/descriptors.ts";
import { EVENT_ERROR, EVENT_HANGUP, EVENT_READ, EVENT_WRITE } from "../../src/selectors/events.ts";
import {
  EpollSelector,
  PollSelector,
  type Selector,
  SelectSelector,
} from "../../src/selectors/index.ts";

const PIPES = 4;
const READ_WRITE = EVENT_READ | EVENT_WRITE;
const BROKEN = EVENT_ERROR | EVENT_HANGUP;

/** The expected state of a pipe. */
interface Pipe {
  readonly reader: Descriptor;
  readonly writer: Descriptor;
  bytes: number;
  full: boolean;
  readerOpen: boolean;
  writerOpen: boolean;
}

/** An end of a pipe: `pipe * 2`, plus 1 for the writing end. */
type End = number;

type Step =
  | { readonly do: "register" | "modify"; readonly end: End; readonly events: number }
  | { readonly do: "unregister" | "close"; readonly end: End }
  | { readonly do: "write" | "read" | "fill" | "drain"; readonly pipe: number };

const end = fc.nat({ max: PIPES * 2 - 1 });
const pipe = fc.nat({ max: PIPES - 1 });
const events = fc.nat({ max: READ_WRITE });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom("register" as const, "modify" as const), end, events }),
  fc.record({ do: fc.constant("unregister" as const), end }),
  fc.record({ do: fc.constantFrom("write" as const, "read" as const), pipe }),
  fc.record({ do: fc.constantFrom("fill" as const, "drain" as const), pipe }),
  fc.record({ do: fc.constant("close" as const), end }),
);

/** Pipes, one selector of each engine that watches them, and the expected events. */
class World {
  readonly opened = new Opened();
  readonly selectors: Selector<End>[] = [
    new EpollSelector<End>(),
    new PollSelector<End>(),
    new SelectSelector<End>(),
  ];
  readonly pipes: Pipe[] = Array.from({ length: PIPES }, () => ({
    ...this.opened.pipe(),
    bytes: 0,
    full: false,
    readerOpen: true,
    writerOpen: true,
  }));
  readonly asked: Map<End, number> = new Map();

  take(step: Step): void {
    if ("end" in step) this.#takeEnd(step);
    else this.#takePipe(step.do, this.#pipe(step.pipe));
  }

  #takeEnd(step: Extract<Step, { end: End }>): void {
    const { end } = step;
    const it = this.#descriptor(end);
    const open = it.fileno() >= 0;
    switch (step.do) {
      case "register": {
        const allowed = open && !this.asked.has(end);
        for (const selector of this.selectors) {
          const register = () => selector.register(it, step.events, end);
          if (allowed) register();
          else assert.throws(register, { code: /^ERR_(ALREADY_REGISTERED|INVALID_FD)$/ });
        }
        if (allowed) this.asked.set(end, step.events);
        break;
      }
      case "modify":
        for (const selector of this.selectors) {
          const modify = () => selector.modify(it, step.events, end);
          if (this.asked.has(end)) modify();
          else assert.throws(modify, { code: "ERR_NOT_REGISTERED" });
        }
        if (this.asked.has(end)) this.asked.set(end, step.events);
        break;
      case "unregister":
        this.#unregister(end, it);
        break;
      case "close": {
        // Every other time in the opposite order, which must work as well.
        const first = end % 4 < 2;
        if (first) this.#unregister(end, it);
        it.close();
        if (!first) this.#unregister(end, it);
        const pipe = this.#pipe(end >> 1);
        if (end % 2 === 0) pipe.readerOpen = false;
        else pipe.writerOpen = false;
        break;
      }
    }
  }

  #unregister(end: End, it: Descriptor): void {
    for (const selector of this.selectors) {
      const unregister = () => selector.unregister(it);
      if (this.asked.has(end)) assert.equal(unregister().data, end);
      else assert.throws(unregister, { code: "ERR_NOT_REGISTERED" });
    }
    this.asked.delete(end);
  }

  #takePipe(what: "write" | "read" | "fill" | "drain", pipe: Pipe): void {
    const { reader, writer } = pipe;
    if (what === "write" || what === "fill") {
      if (!pipe.writerOpen || !pipe.readerOpen || pipe.full) return;
      if (what === "write") {
        pipe.bytes += Math.max(writer.write(), 0);
      } else {
        writer.fill();
        pipe.bytes = Number.POSITIVE_INFINITY;
        pipe.full = true;
      }
    } else if (pipe.readerOpen) {
      // A full pipe is writable only when a whole page is free, so a full pipe is read completely.
      if (what === "read" && !pipe.full) {
        pipe.bytes -= Math.max(reader.read(1), 0);
      } else {
        reader.drain();
        pipe.bytes = 0;
        pipe.full = false;
      }
    }
  }

  /** The expected events of each watched end, and those of a broken pipe. */
  expected(): Map<End, { readonly events: number; readonly broken: number }> {
    const found = new Map<End, { events: number; broken: number }>();
    for (const [end, asked] of this.asked) {
      const { bytes, full, readerOpen, writerOpen } = this.#pipe(end >> 1);
      const reads = end % 2 === 0;
      const broken = reads ? (writerOpen ? 0 : EVENT_HANGUP) : readerOpen ? 0 : EVENT_ERROR;
      const ready = reads ? (bytes > 0 ? EVENT_READ : 0) : full ? 0 : EVENT_WRITE;
      const events = asked & (broken !== 0 ? READ_WRITE : ready);
      if (events !== 0 || broken !== 0) found.set(end, { events, broken });
    }
    return found;
  }

  check(): void {
    const expected = this.expected();
    for (const selector of this.selectors) {
      const seen = new Map(selector.select(0).map(([key, events]) => [key.data, events]));
      if (selector.capabilities.hangup) {
        const all = [...expected].map(
          ([end, { events, broken }]) => [end, events | broken] as const,
        );
        assert.deepEqual(sorted(seen), sorted(new Map(all)), selector.name);
      } else {
        // Select reports the end of a pipe as readable to readers, and an error as both.
        for (const [end, events] of seen) {
          assert.equal(events & BROKEN, 0, selector.name);
          const wanted = expected.get(end);
          assert.ok(wanted !== undefined, `${selector.name} reports end ${end}`);
          assert.equal(events & ~wanted.events, 0, selector.name);
        }
        for (const [end, { events, broken }] of expected) {
          const told = broken === EVENT_HANGUP ? events & EVENT_READ : events;
          assert.equal((seen.get(end) ?? 0) & told, told, `${selector.name} on end ${end}`);
        }
      }
    }
  }

  [Symbol.dispose](): void {
    for (const selector of this.selectors) selector.close();
    this.opened[Symbol.dispose]();
  }

  #pipe(index: number): Pipe {
    return this.pipes[index] as Pipe;
  }

  #descriptor(end: End): Descriptor {
    const { reader, writer } = this.#pipe(end >> 1);
    return end % 2 === 0 ? reader : writer;
  }
}

function sorted(seen: Map<End, number>): [End, number][] {
  return [...seen].sort(([a], [b]) => a - b);
}

describe("the engines agree", () => {
  test("on the readiness of pipes after random operations, with each other and with a model", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        using world = new World();
        for (const step of steps) {
          world.take(step);
          world.check();
        }
      }),
      { numRuns: 200 },
    );
  });
});
