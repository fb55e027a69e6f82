import { ERRNO } from "../../src/base/errno.ts";
import { SYS } from "../../src/sys/abi.ts";
import type { Kernel } from "../../src/sys/kernel.ts";
import { proxyKernel } from "../../src/sys/kernel-proxy.ts";
import {
  IORING_OP,
  IORING_REGISTER_PBUF_RING,
  IOU_PBUF_RING_INC,
} from "../../src/uring/constants.ts";
import { RingReader } from "../../src/uring/ring-reader.ts";

/** A kernel without incremental buffers, as before Linux 6.12. */
export function withoutIncrementalBuffers(from: Kernel): Kernel {
  const { scratch } = from;
  return proxyKernel(from, {
    calls: ({ syscall }) => ({
      syscall: (number, fd, operation, ...rest) => {
        const registers =
          number === SYS.io_uring_register && operation === IORING_REGISTER_PBUF_RING;
        const flags = (scratch.u32[3] as number) >>> 16;
        if (registers && (flags & IOU_PBUF_RING_INC) !== 0) return -ERRNO.EINVAL;
        return syscall(number, fd, operation, ...rest);
      },
    }),
  });
}

/** A kernel that refuses a multishot receive with a limit, as before Linux 6.17. */
export function withoutReceiveLimits(from: Kernel): Kernel {
  return new RingReader(from, {
    submitting: ({ operation, limit }) =>
      operation === IORING_OP.RECV && limit !== 0 ? -ERRNO.EINVAL : undefined,
  }).kernel;
}
