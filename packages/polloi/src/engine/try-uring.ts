import { ERRNO, errnoCode } from "../base/errno.ts";
import { check, SysError } from "../base/sys-error.ts";
import { AF_UNIX, SHUT_WR, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from "../socket/constants.ts";
import { O_CLOEXEC } from "../sys/abi.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { Completions } from "./engine.ts";
import { UringEngine } from "./uring-engine.ts";

/** Errors that report a lack of descriptors, not that io_uring does not work on this system. */
const NO_ROOM: readonly number[] = [-ERRNO.EMFILE, -ERRNO.ENFILE];

const NEEDED = "Linux 6.1 or later is needed, for io_uring with multishot receives";

/** The bytes of `sa_family_t`. An address of this length asks for an autobind. */
const FAMILY_BYTES = 2;
/** The layout of the scratch memory: an address, and its length. */
const AT_LENGTH = 128;

/** Records what an engine reports of one accept, and of a stream that receives a byte and its end. */
class Trial implements Completions {
  fd = -1;
  bytes = 0;
  ended = false;
  failure = "";

  accepted(_slot: number, fd: number): void {
    this.fd = fd;
  }
  received(_slot: number, _arena: Arena, _offset: number, length: number): void {
    this.bytes += length;
    if (length === 0) this.ended = true;
  }
  acceptFailed(_slot: number, errno: number): void {
    this.failure = `accept ${errnoCode(errno)}`;
  }
  failed(_slot: number, errno: number, syscall: string): void {
    this.failure = `${syscall} ${errnoCode(errno)}`;
  }
  connected(): void {}
  sent(): void {}
  returned(): void {}
  ready(): void {}
  settle(): void {}
  released(): void {}
  woken(): void {}
  pending(): void {}
}

/** Earlier results, which do not change. */
const found: WeakMap<Kernel, { readonly reason: string | undefined }> = new WeakMap();

/**
 * Why io_uring does not work on this system, found by using it; undefined when it does.
 *
 * @throws SysError `EMFILE` or `ENFILE`, which say nothing about io_uring.
 */
export function whyNoUring(kernel: Kernel): string | undefined {
  const known = found.get(kernel);
  if (known !== undefined) return known.reason;
  const reason = tryUring(kernel);
  found.set(kernel, { reason });
  return reason;
}

function tryUring(kernel: Kernel): string | undefined {
  const trial = new Trial();
  let engine: UringEngine | undefined;
  try {
    engine = new UringEngine(kernel, trial, { entries: 8 });
    return tryStream(kernel, engine, trial);
  } catch (error) {
    if (!(error instanceof SysError) || NO_ROOM.includes(error.errno)) throw error;
    return reasonFor(error, () => readSetting(kernel));
  } finally {
    engine?.dispose();
  }
}

/** Accepts a connection, and receives a byte and the end. */
function tryStream(kernel: Kernel, engine: UringEngine, trial: Trial): string | undefined {
  const { libc, scratch } = kernel;
  const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const listener = check(libc.socket(AF_UNIX, type, 0), "socket");
  let peer = -1;
  let isListening = false;
  try {
    listenAnywhere(kernel, listener);
    isListening = check(engine.listen(0, listener), "listen") >= 0;
    peer = check(libc.socket(AF_UNIX, type, 0), "socket");
    connectTo(kernel, peer, listener);
    engine.turn(0);
    if (trial.fd < 0) return `it does not accept (${trial.failure || "nothing came"})`;
    engine.open(1, trial.fd);
    engine.turn(0);
    scratch.u8[0] = 1;
    libc.send(peer, scratch.address, 1, 0);
    // Both before the next turn: some kernels then lose the end.
    libc.shutdown(peer, SHUT_WR);
    engine.turn(0);
    engine.turn(0);
    if (trial.bytes !== 1) return `it does not receive (${trial.failure || "nothing came"})`;
    if (!trial.ended) return "its multishot receive loses the end of a stream; update the kernel";
    return undefined;
  } finally {
    if (trial.fd >= 0) engine.close(1);
    if (isListening) engine.close(0);
    else libc.close(listener);
    if (peer >= 0) libc.close(peer);
  }
}

/**
 * Listens on an abstract name that the kernel chooses, because other threads and processes may try at the same time.
 *
 * @source unix(7), "Autobind feature"
 */
function listenAnywhere({ libc, scratch }: Kernel, fd: number): void {
  scratch.view.setUint16(0, AF_UNIX, true);
  check(libc.bind(fd, scratch.address, FAMILY_BYTES), "bind");
  check(libc.listen(fd, 1), "listen");
}

/** Connects to the address of a listener. */
function connectTo({ libc, scratch }: Kernel, fd: number, listener: number): void {
  const { address, u32 } = scratch;
  u32[AT_LENGTH >> 2] = AT_LENGTH;
  check(libc.getsockname(listener, address, address + AT_LENGTH), "getsockname");
  check(libc.connect(fd, address, u32[AT_LENGTH >> 2] as number), "connect");
}

/**
 * Records that io_uring failed although it worked when it was tried, which happens when there is memory for a
 * small ring and none for a large one.
 *
 * @returns The reason, in one sentence.
 * @throws SysError `error` itself when it says nothing about io_uring.
 */
export function noteFailure(kernel: Kernel, error: SysError): string {
  if (NO_ROOM.includes(error.errno)) throw error;
  const reason = reasonFor(error, () => readSetting(kernel));
  found.set(kernel, { reason });
  return reason;
}

/**
 * Describes `error` and what the user can do about it.
 *
 * @param setting - Reads kernel.io_uring_disabled; undefined where there is none.
 */
export function reasonFor(
  { errno, code, message, syscall }: SysError,
  setting: () => string | undefined,
): string {
  switch (errno) {
    case -ERRNO.ENOSYS:
      return `this kernel has no io_uring, or a sandbox hides it (${message}); ${NEEDED}`;
    case -ERRNO.EINVAL:
      return `this kernel's io_uring lacks a feature (${message}); ${NEEDED}`;
    case -ERRNO.EPERM:
    case -ERRNO.EACCES:
      return whyForbidden(message, setting());
    case -ERRNO.ENOMEM:
      return `there is no memory for its rings (${message}); free some, or raise the limit on locked memory (ulimit -l)`;
    default:
      return `${syscall} fails with ${code}`;
  }
}

function whyForbidden(message: string, setting: string | undefined): string {
  if (setting === "2") {
    return `it is switched off (${message}): kernel.io_uring_disabled is 2; "sysctl kernel.io_uring_disabled=0" switches it on`;
  }
  if (setting === "1") {
    return `it is only for root and the group kernel.io_uring_group (${message}): kernel.io_uring_disabled is 1; "sysctl kernel.io_uring_disabled=0" lets everyone have it`;
  }
  return `it is forbidden (${message}), as the seccomp profiles of containers do; one that allows io_uring_setup, io_uring_enter and io_uring_register lifts that`;
}

/** Reads kernel.io_uring_disabled. */
function readSetting({ libc, scratch }: Kernel): string | undefined {
  const { address, u8 } = scratch;
  u8.set(new TextEncoder().encode("/proc/sys/kernel/io_uring_disabled\0"));
  const fd = libc.open(address, O_CLOEXEC, 0);
  if (fd < 0) return undefined;
  const length = libc.read(fd, address, 16);
  libc.close(fd);
  return new TextDecoder().decode(u8.slice(0, Math.max(length, 0))).trim();
}
