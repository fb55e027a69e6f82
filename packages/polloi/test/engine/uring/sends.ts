import assert from "node:assert/strict";
import { ERRNO } from "../../../src/base/errno.ts";
import { SEND_LENT, SEND_MORE } from "../../../src/engine/engine.ts";
import { OP_MASK, OP_SEND } from "../../../src/engine/uring-slots.ts";
import { SO_LINGER, SOL_SOCKET } from "../../../src/socket/constants.ts";
import type { Socket } from "../../../src/socket/socket.ts";
import { SYS } from "../../../src/sys/abi.ts";
import { proxyKernel } from "../../../src/sys/kernel-proxy.ts";
import { kernel } from "../../../src/sys/open.ts";
import { RingReader } from "../../../src/uring/ring-reader.ts";
import { assertSame, pattern } from "../../reactor/rig.ts";
import { randomFrom } from "../../support/faulty-kernel.ts";
import { readAll, UringRig } from "./rig.ts";

/** The longest chain. */
const CHAIN = 16;
/** Fills memory as soon as it belongs to its owner again. Not a byte of any message. */
const POISON = 0xee;

/** Sends `chain` pieces of `each` bytes, of which the last ends the chain. */
function sendChain(
  { engine }: UringRig,
  slot: number,
  address: number,
  chain: number,
  each: number,
): void {
  for (let i = 0; i < chain; i++) {
    const flags = i === chain - 1 ? 0 : SEND_MORE;
    const result = engine.send(slot, address + i * each, each, flags);
    assert.ok(result === 0 || result < -1, `${result}`);
  }
}

export const sends: Readonly<Record<string, (rig: UringRig) => void>> = {
  "a chain of large sends to a slow reader is sent in order, and each part is reported once": (
    rig,
  ) => {
    const [mine, theirs] = rig.tcp();
    const each = 150_000;
    const memory = rig.memory(CHAIN * each);
    const wanted = pattern(CHAIN * each);
    memory.u8.set(wanted);
    rig.engine.open(0, mine.fileno());
    sendChain(rig, 0, memory.address, CHAIN, each);
    const parts: Buffer[] = [];
    const room = new Uint8Array(30_000);
    const record = rig.reports.of(0);
    let read = 0;
    rig.until("everything sent", () => {
      const length = theirs.recvInto(room) ?? 0;
      if (length > 0) parts.push(Buffer.from(room.subarray(0, length)));
      read += length;
      return read === wanted.length || record.returned > 0;
    });
    rig.turns(2);
    assert.equal(record.returned, 0);
    assert.equal(record.sent, wanted.length);
    assertSame(Buffer.concat(parts), wanted);
    rig.engine.forget(0);
  },

  "a chain that the kernel takes in two calls, for lack of memory, is sent in order": () => {
    // As a kernel does that can allocate three requests at a time.
    const few = proxyKernel(kernel, {
      calls: ({ syscall }) => ({
        syscall: (number, fd, submitted, ...rest) => {
          const most = number === SYS.io_uring_enter ? Math.min(submitted, 3) : submitted;
          return syscall(number, fd, most, ...rest);
        },
      }),
    });
    using rig = new UringRig(few);
    const [mine, theirs] = rig.tcp();
    const each = 150_000;
    const total = CHAIN * each;
    const memory = rig.memory(total);
    const wanted = pattern(total);
    memory.u8.set(wanted);
    rig.engine.open(0, mine.fileno());
    const record = rig.reports.of(0);
    const parts: Buffer[] = [];
    let read = 0;
    for (let returned = 0; record.sent < total; returned++) {
      // The rest of the chain, as often as it is returned.
      const left = total - record.sent;
      const pieces = Math.ceil(left / each);
      for (let i = 0; i < pieces; i++) {
        const at = record.sent + i * each;
        const flags = i === pieces - 1 ? 0 : SEND_MORE;
        rig.engine.send(0, memory.address + at, Math.min(each, total - at), flags);
      }
      rig.until("sent or returned", () => {
        read += readAll(theirs, parts);
        return record.sent === total || record.returned > returned;
      });
      assert.ok(returned < 2 * CHAIN, "it is returned without an end");
    }
    rig.until("read", () => {
      read += readAll(theirs, parts);
      return read === total;
    });
    assert.ok(record.returned > 0, "no chain was taken in parts");
    assertSame(Buffer.concat(parts), wanted);
    rig.engine.forget(0);
  },

  "sends that are linked to a short lent send are not performed": (rig) => {
    const { engine, reports, opened } = rig;
    for (const kind of ["unix", "tcp"]) {
      const [mine, theirs] = kind === "unix" ? opened.pair() : rig.tcp();
      const memory = rig.memory(65_536);
      memory.u8.fill(POISON);
      const size = 60_000;
      const filler = new Uint8Array(1 << 16).fill(1);
      const lent = new Uint8Array(size).fill(2);
      const { libc, scratch } = rig.kernel;
      const write = (fd: number, bytes: Uint8Array): number => {
        scratch.u8.set(bytes.subarray(0, 65_536));
        return libc.send(fd, scratch.address, Math.min(bytes.length, 65_536), 0x4040);
      };
      const read = (length: number): Buffer => {
        const got = libc.recv(theirs.fileno(), scratch.address, Math.min(length, 65_536), 0x40);
        return Buffer.from(scratch.u8.subarray(0, Math.max(got, 0)));
      };
      engine.open(0, mine.fileno());
      assert.ok(write(theirs.fileno(), lent) === size);
      let waiting = 0;
      for (const piece of [filler, filler.subarray(0, 100)]) {
        for (let took = write(mine.fileno(), piece); took > 0; took = write(mine.fileno(), piece)) {
          waiting += took;
        }
      }
      // Room for a part.
      waiting -= read(kind === "unix" ? 40_000 : 65_536).length;
      let went = 0;
      reports.onReceived = (slot, arena, offset, length) => {
        if (went > 0 || length === 0) return;
        // The rest of the receive buffer may be less than was sent.
        went = length;
        engine.setReceiving(0, false);
        engine.send(slot, arena.address + offset, length, SEND_LENT | SEND_MORE);
        engine.send(slot, memory.address, 20, 0);
      };
      rig.until("sent", () => went > 0);
      const record = reports.of(0);
      rig.until("reports of the send", () => record.returned > 0 || record.sent >= 20);
      rig.turns(5);
      const all: Buffer[] = [];
      // TCP sends the rest when there is room for it, which takes time.
      let came = 0;
      rig.until("read", () => {
        const part = read(65_536);
        all.push(part);
        came += part.length;
        return part.length === 0 && came >= waiting + record.sent;
      });
      const bytes = Buffer.concat(all);
      const at = bytes.indexOf(POISON);
      const before = bytes.subarray(bytes.indexOf(2) < 0 ? bytes.length : bytes.indexOf(2));
      const lentBytes = at < 0 ? before.length : before.indexOf(POISON);
      if (at >= 0) assert.equal(lentBytes, went, `${kind}: bytes went ahead of the lent ones`);
      assert.ok(
        record.sent === before.length,
        `${kind}: ${record.sent} reported, ${before.length} received`,
      );
      engine.forget(0);
      reports.forget(0);
    }
  },

  "the buffer of a lent send returns however the send and those linked to it end": ({ kernel }) => {
    const results = [ERRNO.ECONNRESET, ERRNO.EPIPE, ERRNO.EIO, ERRNO.ENOBUFS, ERRNO.ENOMEM];
    let errno = 0;
    const { kernel: faulty } = new RingReader(kernel, {
      completed: (completion) => {
        const isSend = (completion.tagHigh & OP_MASK) === OP_SEND;
        if (isSend && errno > 0 && completion.result > 0) completion.result = -errno;
      },
    });
    using rig = new UringRig(faulty);
    const { engine, reports } = rig;
    const own = rig.memory(4096);
    for (const [round, failure] of [0, ...results, ERRNO.EAGAIN, ERRNO.ECANCELED].entries()) {
      for (const behind of [0, 1, 2]) {
        for (const ending of ["forgets at once", "forgets later", "forgets before"]) {
          const [mine, theirs] = rig.opened.pair();
          assert.ok(engine.open(0, mine.fileno()) >= 0);
          errno = failure;
          reports.onReceived = (slot, arena, offset, length) => {
            const flags = behind > 0 ? SEND_LENT | SEND_MORE : SEND_LENT;
            engine.send(slot, arena.address + offset, length, flags);
            for (let i = 1; i <= behind; i++) {
              engine.send(slot, own.address, own.byteLength, i < behind ? SEND_MORE : 0);
            }
            if (ending === "forgets before") engine.forget(slot);
          };
          reports.onFailed = (slot) => {
            if (ending === "forgets at once") engine.forget(slot);
          };
          theirs.write(2000);
          rig.turns(6);
          engine.forget(0);
          rig.turns(2);
          const balance = Object.entries(engine.balance()).filter(([, left]) => left !== 0);
          assert.deepEqual(balance, [], `round ${round}, ${behind} behind, ${ending}`);
          reports.forget(0);
        }
      }
    }
  },

  "memory belongs to its owner when close returns: bytes written there later are not sent": (
    rig,
  ) => {
    const { engine, reports } = rig;
    const each = 400_000;
    const memory = rig.memory(CHAIN * each);
    for (let seed = 1; seed <= 100; seed++) {
      const random = randomFrom(seed);
      const [mine, theirs] = rig.tcp();
      const fd = mine.detach();
      memory.u8.fill(1);
      engine.open(0, fd);
      const chain = 1 + Math.floor(random() * CHAIN);
      sendChain(rig, 0, memory.address, chain, each);
      const parts: Buffer[] = [];
      for (let i = Math.floor(random() * 20); i > 0; i--) {
        if (random() < 0.8) engine.turn(0);
        else if (random() < 0.2) engine.submit();
        else if (random() < 0.5) readSome(theirs, random, parts);
        else readAll(theirs, parts);
      }
      if (random() < 0.2) reset(theirs);
      engine.close(0);
      memory.u8.fill(POISON);
      // Enough turns for all sends that may still be in the kernel.
      for (let i = 0; i < 8; i++) {
        if (!theirs.closed) readAll(theirs, parts);
        engine.turn(0);
      }
      if (!theirs.closed) readAll(theirs, parts);
      const at = Buffer.concat(parts).indexOf(POISON);
      assert.equal(at, -1, `seed ${seed}: byte ${at} was written after the close`);
      theirs.close();
      reports.forget(0);
    }
  },
};

function readSome(peer: Socket, random: () => number, into: Buffer[]): void {
  const room = new Uint8Array(1 + Math.floor(random() * 200_000));
  const length = peer.recvInto(room) ?? 0;
  into.push(Buffer.from(room.subarray(0, length)));
}

function reset(peer: Socket): void {
  peer.setsockopt(SOL_SOCKET, SO_LINGER, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]));
  peer.close();
}
