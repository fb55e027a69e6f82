import assert from "node:assert/strict";
import type { Suite } from "../../../../test/support/suite.ts";
import type { Socket } from "../../src/socket/index.ts";
import { kernel } from "../../src/sys/open.ts";
import { ProvidedBuffers } from "../../src/uring/provided-buffers.ts";
import { RawRing } from "../../src/uring/raw-ring.ts";
import { Opened } from "../socket/opened.ts";

const GROUP = 1;
const BUFFER_BYTES = 4096;

/** A ring with two buffers, and a pair of sockets of which one is received from. */
class Rig {
  readonly opened = new Opened();
  readonly ring = new RawRing({ entries: 8 });
  readonly buffers: ProvidedBuffers;
  readonly #mine: Socket;
  readonly #theirs: Socket;

  constructor() {
    const options = { group: GROUP, bufferBytes: BUFFER_BYTES, maxBuffers: 2, firstBuffers: 2 };
    const buffers = ProvidedBuffers.register(this.ring, kernel, options);
    assert.ok(typeof buffers !== "number", `${buffers}`);
    this.buffers = buffers;
    [this.#mine, this.#theirs] = this.opened.pair();
  }

  [Symbol.dispose](): void {
    this.buffers.close();
    this.ring[Symbol.dispose]();
    this.opened[Symbol.dispose]();
  }

  /** Sends a text and receives it. @returns Where it is. */
  receive(text: string): number {
    const { ring, buffers } = this;
    this.#theirs.send(Buffer.from(text));
    ring.submissions.receive(this.#mine.fileno(), GROUP, 0, 0);
    ring.enter(1, 1000);
    const { completions } = ring;
    assert.equal(completions.length, 1);
    const at = completions.next();
    const result = completions.result(at);
    assert.equal(result, text.length);
    const offset = buffers.take(completions.flags(at), result);
    completions.skip();
    completions.publish();
    assert.equal(this.text(offset, result), text);
    return offset;
  }

  text(offset: number, length: number): string {
    return Buffer.from(this.buffers.memory.u8.slice(offset, offset + length)).toString();
  }

  /** The reader of the bytes at `offset` is done with them. */
  done(offset: number): void {
    this.buffers.drop(this.buffers.numberAt(offset));
    this.buffers.publish();
    this.buffers.rewind();
  }
}

/** The memory that an io_uring receives into. */
export function providedBuffersSuite(): Suite {
  return {
    title: "ProvidedBuffers",
    cases: [
      {
        name: "messages that are read one at a time arrive in the same memory",
        run() {
          using rig = new Rig();
          const offsets = ["one", "two", "a longer one", "4"].map((text) => {
            const offset = rig.receive(text);
            rig.done(offset);
            return offset;
          });
          // Before Linux 6.12 each message has a buffer of its own.
          assert.equal(new Set(offsets).size, rig.buffers.incremental ? 1 : 2);
          assert.equal(rig.buffers.held, 0);
        },
      },
      {
        name: "bytes that are held stay as they are, and a buffer that is consumed is not filled again",
        run() {
          using rig = new Rig();
          const { buffers } = rig;
          const held = rig.receive("held");
          for (let i = 0; i < 10; i++) rig.done(rig.receive(`message ${i}`));
          assert.equal(rig.text(held, 4), "held");
          if (buffers.incremental) {
            // Consumes the rest of the buffer, which then has two readers and no entry.
            const rest = rig.receive("x".repeat(BUFFER_BYTES - 4 - 10 * "message 0".length));
            rig.done(rest);
            const other = rig.receive("other");
            assert.notEqual(buffers.numberAt(other), buffers.numberAt(held));
            rig.done(other);
            assert.equal(rig.text(held, 4), "held");
          }
          rig.done(held);
          assert.equal(buffers.held, 0);
          rig.done(rig.receive("and it goes on"));
          assert.equal(buffers.held, 0);
        },
      },
    ],
  };
}
