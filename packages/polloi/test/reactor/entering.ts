/** A reactor on io_uring whose io_uring_enter calls fail. */
import assert from "node:assert/strict";
import type { Case } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import type { Connection, SysError } from "../../src/index.ts";
import { SYS } from "../../src/sys/abi.ts";
import type { Libc } from "../../src/sys/libc.ts";
import { kernel } from "../../src/sys/open.ts";
import { Rig, type Variant } from "./rig.ts";

/** Temporary errors. */
const PASSING = {
  EINTR: ERRNO.EINTR,
  EAGAIN: ERRNO.EAGAIN,
  EBUSY: ERRNO.EBUSY,
  ENOMEM: ERRNO.ENOMEM,
} as const;
/** Enough calls to complete an echo. */
const CALLS = 10;

/** Counts the calls of io_uring_enter, and makes those fail for which `fails` returns an errno. */
function entering(fails: (call: number) => number | undefined): Partial<Libc> {
  let calls = 0;
  return {
    syscall: (number, ...args) => {
      const errno = number === SYS.io_uring_enter ? fails(++calls) : undefined;
      return errno === undefined ? kernel.libc.syscall(number, ...args) : -errno;
    },
  };
}

async function echoes(variant: Variant, fails: (call: number) => number | undefined) {
  using rig = new Rig(variant, entering(fails));
  const peer = rig.peer(rig.listen({ data: (it, bytes) => void it.write(bytes) }));
  for (const text of ["hello", "hello again"]) {
    peer.send(text.slice(peer.length));
    await rig.until(`echoed ${text}`, () => peer.text === text);
  }
  peer.shutdown();
  await rig.until("ended", () => peer.ended);
}

export function enteringCases(variant: Variant): Case[] {
  if (variant.engine !== "io_uring") return [];
  return [
    ...Object.entries(PASSING).map(
      ([code, errno]): Case => ({
        name: `an io_uring_enter that fails once with ${code} is repeated, whichever call it is`,
        run: async () => {
          for (let at = 1; at <= CALLS; at++) {
            await echoes(variant, (call) => (call === at ? errno : undefined));
          }
        },
      }),
    ),
    {
      name: "io_uring_enter calls that fail temporarily are repeated until they succeed",
      run: () =>
        echoes(variant, (call) => (call % 12 < 6 ? undefined : Object.values(PASSING)[call % 4])),
    },
    {
      name: "an io_uring_enter that keeps failing closes the reactor, and every connection gets the error",
      run: async () => {
        // An interrupted wait is no failure, unless every wait is interrupted.
        const errno = variant.mode === "hosted" ? ERRNO.ENOMEM : ERRNO.EINTR;
        let failing = false;
        const rig = new Rig(
          variant,
          entering(() => (failing ? errno : undefined)),
        );
        try {
          const open: Connection[] = [];
          const errors: (Error | undefined)[] = [];
          const listener = rig.listen({
            open: (it) => void open.push(it),
            error: (_it, error) => void errors.push(error),
            close: (_it, error) => void errors.push(error),
          });
          rig.peer(listener);
          await rig.until("accepted", () => open.length === 1);
          failing = true;
          open[0]?.write("never sent");
          const code = variant.mode === "hosted" ? "ENOMEM" : "EINTR";
          assert.throws(() => rig.reactor.turn(60_000), { code, syscall: "io_uring_enter" });
          assert.equal(errors.length, 2);
          for (const error of errors) assert.equal((error as SysError).code, code);
          assert.equal(open[0]?.state, "closed");
          assert.equal(listener.port, -1);
          assert.equal(rig.reactor.alive, false);
          assert.throws(() => rig.listen({}), { code: "ERR_CLOSED" });
        } finally {
          failing = false;
          rig[Symbol.dispose]();
        }
      },
    },
  ];
}
