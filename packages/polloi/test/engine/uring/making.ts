import assert from "node:assert/strict";
import { assertNoneLeft, openFiles } from "../../../../../test/support/descriptors.ts";
import { ERRNO } from "../../../src/base/errno.ts";
import { UringEngine } from "../../../src/engine/uring-engine.ts";
import { socketpair } from "../../../src/socket/index.ts";
import { SYS } from "../../../src/sys/abi.ts";
import type { Arena } from "../../../src/sys/arena.ts";
import { proxyKernel } from "../../../src/sys/kernel-proxy.ts";
import {
  IORING_REGISTER_EVENTFD,
  IORING_REGISTER_SYNC_CANCEL,
} from "../../../src/uring/constants.ts";
import { assertGivesBack } from "../../support/arenas.ts";
import { Reports, type UringRig } from "./rig.ts";

/** Enough that a kernel which completes twenty at a time would be called many times. */
const MANY = 200;

export const making: Readonly<Record<string, (rig: UringRig) => void>> = {
  "an engine that finds no memory, at any step, releases all that it had": ({ kernel }) => {
    const needed = assertGivesBack(kernel, (scarce) => {
      const engine = new UringEngine(scarce, new Reports(), { entries: 8 });
      return () => engine.dispose();
    });
    // Both parts of the ring and its arguments, the buffers and the ring that they are in.
    assert.equal(needed, 5);
  },

  "an eventfd that the ring refuses is closed, and fileno can be called again": ({ kernel }) => {
    let refusing = true;
    const faulty = proxyKernel(kernel, {
      calls: ({ syscall }) => ({
        syscall: (number, fd, operation, ...rest) => {
          const asked = number === SYS.io_uring_register && operation === IORING_REGISTER_EVENTFD;
          return asked && refusing ? -ERRNO.ENOMEM : syscall(number, fd, operation, ...rest);
        },
      }),
    });
    const engine = new UringEngine(faulty, new Reports());
    try {
      const before = openFiles();
      const refused = { code: "ENOMEM", syscall: "io_uring_register" };
      for (let i = 0; i < 2; i++) assert.throws(() => engine.fileno(), refused);
      assertNoneLeft(before);
      refusing = false;
      assert.ok(engine.fileno() >= 0);
    } finally {
      engine.dispose();
    }
  },

  "an engine that is disposed within a report writes to no memory that it has released": ({
    kernel,
  }) => {
    const released: Arena[] = [];
    const watching = proxyKernel(kernel, { released: (arena) => released.push(arena) });
    const reports = new Reports();
    const engine = new UringEngine(watching, reports, { entries: 8, maxBuffers: 1 });
    const pairs = Array.from({ length: 3 }, () => socketpair());
    try {
      for (const [slot, [left, right]] of pairs.entries()) {
        left.setBlocking(false);
        assert.ok(engine.open(slot, left.fileno()) >= 0);
        right.send(new Uint8Array([1]));
      }
      let isDisposed = false;
      reports.onReceived = () => {
        if (!isDisposed) engine.dispose();
        isDisposed = true;
      };
      engine.turn(0);
      assert.ok(isDisposed);
      // Released memory is filled with zeros, and may belong to another part of the program.
      for (const { byteLength, u8 } of released) {
        assert.equal(
          u8.findIndex((byte) => byte !== 0),
          -1,
          `${byteLength} bytes`,
        );
      }
    } finally {
      for (const each of pairs.flat()) each.close();
    }
  },

  "many streams are cancelled in a few calls, each of which examines all that are left": ({
    kernel,
  }) => {
    let cancels = 0;
    const counting = proxyKernel(kernel, {
      calls: ({ syscall }) => ({
        syscall: (number, fd, operation, ...rest) => {
          const cancel =
            number === SYS.io_uring_register && operation === IORING_REGISTER_SYNC_CANCEL;
          if (cancel) cancels++;
          return syscall(number, fd, operation, ...rest);
        },
      }),
    });
    const engine = new UringEngine(counting, new Reports());
    const pairs = Array.from({ length: MANY }, () => socketpair());
    try {
      for (const [slot, [left]] of pairs.entries()) {
        left.setBlocking(false);
        assert.ok(engine.open(slot, left.fileno()) >= 0);
      }
      engine.turn(0);
      for (const slot of pairs.keys()) engine.forget(slot);
    } finally {
      engine.dispose();
      for (const each of pairs.flat()) each.close();
    }
    assert.ok(cancels > 0 && cancels <= 6, `${cancels} calls`);
  },
};
