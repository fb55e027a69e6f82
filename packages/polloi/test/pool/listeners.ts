/** The listeners of a pool. */
import assert from "node:assert/strict";
import type { Suite } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { SysError } from "../../src/base/sys-error.ts";
import { Listeners } from "../../src/pool/listeners.ts";
import { proxyKernel } from "../../src/sys/kernel-proxy.ts";
import { kernel } from "../../src/sys/open.ts";

export function listenersSuite(): Suite {
  return {
    title: "listeners of a pool",
    cases: [
      {
        // Found by seeds from 3000 on of the program `pool` of the simulation: the error ended the program.
        name: "connections are steered also when the system has no memory to map",
        run() {
          let isExhausted = false;
          const exhausted = proxyKernel(kernel, {
            mapping() {
              if (isExhausted) throw new SysError("mmap", ERRNO.ENOMEM);
            },
          });
          const where = { host: "127.0.0.1", port: 0 };
          const listeners = new Listeners(exhausted, { where, sharing: "reuseport", count: 3 });
          try {
            isExhausted = true;
            for (const running of [[0], [1, 2], [], [0, 1, 2]]) {
              assert.doesNotThrow(() => listeners.steer((index) => running.includes(index)));
            }
          } finally {
            listeners.close();
          }
        },
      },
    ],
  };
}
