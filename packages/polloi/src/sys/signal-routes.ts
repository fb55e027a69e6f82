import { check } from "../base/sys-error.ts";
import { ARCH, PAGE_SIZE, PROT_EXEC, PROT_READ, SIGACTION, SYS } from "./abi.ts";
import type { Arena } from "./arena.ts";
import { openDenoSignals } from "./deno.ts";
import type { Kernel } from "./kernel.ts";

const SA_ONSTACK = 0x0800_0000;
const SA_RESTART = 0x1000_0000;
/** Signals are numbered from 1 to 64. */
const SIGNALS = 65;
/** The offset of the old `struct sigaction` in scratch memory, after the new one. */
const OLD = 256;

/**
 * Writes signals to descriptors.
 *
 * @remarks
 * A runtime runs its signal handlers in its event loop, so never while a reactor waits in the kernel. signalfd(2)
 * needs the signal blocked in every thread, which a library cannot do in a running process. This is the self-pipe
 * trick: a signal handler writes the number of the signal to a pipe.
 *
 * A signal handler can interrupt any thread at any instruction, where no JavaScript can run. This one consists of a
 * dozen machine instructions, the same under every runtime. It looks up the descriptor of the signal in a table and
 * makes the system call write(2), which does not change errno.
 *
 * The code and the table are never unmapped, because a thread may run the handler at any time.
 *
 * @source signal-safety(7), sigaction(2)
 */
export class SignalRoutes {
  readonly #kernel: Kernel;
  readonly #handler: number;
  /** The descriptor of each signal, or -1. */
  readonly #table: Arena;
  /** The previous handler of each signal, as `struct sigaction`. */
  readonly #before: Map<number, Uint8Array> = new Map();

  /** @throws SysError `ENOMEM`; `EACCES` where memory must not be executable. */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    // Otherwise Deno would replace the handlers later.
    if (kernel.runtime === "deno") openDenoSignals();
    const { arenas, libc } = kernel;
    this.#table = arenas.mapPermanent(SIGNALS * 4);
    this.#table.i32.fill(-1);
    const code = arenas.mapPermanent(PAGE_SIZE);
    code.u8.set(handlerCode(this.#table.address));
    this.#handler = code.address;
    check(
      libc.syscall(SYS.mprotect, code.address, PAGE_SIZE, PROT_READ | PROT_EXEC, 0, 0, 0),
      "mprotect",
    );
  }

  has(signal: number): boolean {
    return this.#before.has(signal);
  }

  /**
   * Writes the number of `signal` to `fd`, as 4 bytes, each time that it is delivered.
   *
   * @returns 0, or `-errno`: EINVAL for a signal that cannot be handled.
   */
  add(signal: number, fd: number): number {
    const { libc, scratch } = this.#kernel;
    scratch.u8.fill(0, 0, SIGACTION.size);
    scratch.setWord(SIGACTION.handler, this.#handler);
    scratch.u32[SIGACTION.flags / 4] = SA_RESTART | SA_ONSTACK;
    this.#table.i32[signal] = fd;
    const result = libc.sigaction(signal, scratch.address, scratch.address + OLD);
    if (result === 0) this.#before.set(signal, scratch.u8.slice(OLD, OLD + SIGACTION.size));
    return result;
  }

  /** Restores the previous handler of a signal, unless another one has been set since. */
  remove(signal: number): void {
    const before = this.#before.get(signal);
    if (before === undefined) return;
    this.#before.delete(signal);
    const { libc, scratch } = this.#kernel;
    libc.sigaction(signal, 0, scratch.address + OLD);
    if (scratch.getWord(OLD + SIGACTION.handler) === this.#handler) {
      scratch.u8.set(before);
      libc.sigaction(signal, scratch.address, 0);
    }
    this.#table.i32[signal] = -1;
  }
}

/** Returns the machine code of `void handler(int signal) { write(table[signal], &signal, 4); }`. */
function handlerCode(table: number): Uint8Array {
  return ARCH === "x64" ? x64Code(table) : arm64Code(table);
}

function x64Code(table: number): Uint8Array {
  const address = new Uint8Array(new BigUint64Array([BigInt(table)]).buffer);
  return Uint8Array.from([
    ...[0xf3, 0x0f, 0x1e, 0xfa], //        endbr64
    ...[0x57], //                          push   rdi
    ...[0x48, 0xb8, ...address], //        movabs rax, table
    ...[0x48, 0x63, 0xff], //              movsxd rdi, edi
    ...[0x8b, 0x3c, 0xb8], //              mov    edi, [rax + rdi * 4]
    ...[0xb8, 0x01, 0x00, 0x00, 0x00], //  mov    eax, 1 (write)
    ...[0x48, 0x89, 0xe6], //              mov    rsi, rsp
    ...[0xba, 0x04, 0x00, 0x00, 0x00], //  mov    edx, 4
    ...[0x0f, 0x05], //                    syscall
    ...[0x5f], //                          pop    rdi
    ...[0xc3], //                          ret
  ]);
}

function arm64Code(table: number): Uint8Array {
  const bits = BigInt(table);
  /** Returns 16 bits of the address at the position of the immediate value in an instruction. */
  const part = (shift: bigint): number => Number((bits >> shift) & 0xffffn) << 5;
  const instructions = [
    0xd10043ff, //               sub  sp, sp, #16
    0xb90003e0, //               str  w0, [sp]
    0xd2800009 | part(0n), //    movz x9, #table
    0xf2a00009 | part(16n), //   movk x9, #table, lsl #16
    0xf2c00009 | part(32n), //   movk x9, #table, lsl #32
    0xb860d920, //               ldr  w0, [x9, w0, sxtw #2]
    0x910003e1, //               mov  x1, sp
    0xd2800082, //               mov  x2, #4
    0xd2800808, //               mov  x8, #64 (write)
    0xd4000001, //               svc  #0
    0x910043ff, //               add  sp, sp, #16
    0xd65f03c0, //               ret
  ];
  return new Uint8Array(Uint32Array.from(instructions).buffer);
}
