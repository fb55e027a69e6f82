import assert from "node:assert/strict";
import { ERRNO } from "../../../src/base/errno.ts";
import { UringEngine } from "../../../src/engine/uring-engine.ts";
import { SYS } from "../../../src/sys/abi.ts";
import { IORING_REGISTER_EVENTFD } from "../../../src/uring/constants.ts";
import { assertGivesBack } from "../../arenas.ts";
import { descriptors } from "../../descriptors.ts";
import { Told, type UringRig } from "./rig.ts";

export const making: Readonly<Record<string, (rig: UringRig) => void>> = {
  "one that finds no memory, at whatever step, gives back all that it had": ({ kernel }) => {
    const needed = assertGivesBack(kernel, (scarce) => {
      const engine = new UringEngine(scarce, new Told(), { entries: 8 });
      return () => engine.dispose();
    });
    // Both parts of the ring and its arguments, the buffers and the ring that they are in.
    assert.equal(needed, 5);
  },

  "an eventfd that the ring refuses is closed, and may be asked for again": ({ kernel }) => {
    let refusing = true;
    const { libc } = kernel;
    const syscall: typeof libc.syscall = (number, fd, operation, ...rest) => {
      const asked = number === SYS.io_uring_register && operation === IORING_REGISTER_EVENTFD;
      return asked && refusing ? -ERRNO.ENOMEM : libc.syscall(number, fd, operation, ...rest);
    };
    const engine = new UringEngine({ ...kernel, libc: { ...libc, syscall } }, new Told());
    try {
      const before = descriptors();
      const refused = { code: "ENOMEM", syscall: "io_uring_register" };
      for (let i = 0; i < 2; i++) assert.throws(() => engine.fileno(), refused);
      assert.equal(descriptors(), before);
      refusing = false;
      assert.ok(engine.fileno() >= 0);
    } finally {
      engine.dispose();
    }
  },
};
