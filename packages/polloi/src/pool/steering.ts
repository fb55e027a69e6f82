/**
 * Which sockets of an SO_REUSEPORT group are given new connections.
 *
 * @remarks
 * By itself the kernel picks a socket by a hash of the connection's addresses, also one whose thread is in an
 * endless loop. A classic BPF program of the group picks instead: here, at random among those that accept.
 * Nothing is closed, so what already waits in the backlog of the others stays there. The program sees the sockets
 * by their number in the group, which is the order in which they began to listen; when one leaves, the last takes
 * its number.
 *
 * @source socket(7), SO_ATTACH_REUSEPORT_CBPF; Documentation/networking/filter.rst; net/core/sock_reuseport.c
 */
import { SOL_SOCKET } from "../socket/constants.ts";
import { AT_BYTES } from "../socket/scratch.ts";
import type { Kernel } from "../sys/kernel.ts";

const SO_ATTACH_REUSEPORT_CBPF = 51;
const SO_DETACH_REUSEPORT_BPF = 68;

/** `struct sock_filter`: u16 code, u8 jt, u8 jf, u32 k. */
const FILTER_SIZE = 8;
/** `struct sock_fprog`: u16 len, padding, a pointer. */
const FPROG_SIZE = 16;

const LD_WORD_ABS = 0x20;
const MOD_K = 0x94;
const JEQ_K = 0x15;
const RET_K = 0x06;
/** SKF_AD_OFF + SKF_AD_RANDOM: a random number in place of bytes of the packet. */
const RANDOM = 0xffff_f000 + 56;

/**
 * Gives new connections to these sockets of the group only.
 *
 * @param fd - Any socket of the group.
 * @param chosen - Their numbers in the group; none of them for the kernel's own choice among all.
 * @returns 0, or `-errno` where the kernel knows no such program.
 */
export function steerGroup(kernel: Kernel, fd: number, chosen: readonly number[]): number {
  const { libc, scratch, arenas } = kernel;
  if (chosen.length === 0) {
    const result = libc.setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, scratch.address, 4);
    return result;
  }
  const count = 3 + 2 * (chosen.length - 1);
  const program = arenas.map(count * FILTER_SIZE);
  const write = (at: number, code: number, skipIfNot: number, k: number): void => {
    program.view.setUint16(at * FILTER_SIZE, code, true);
    program.u8[at * FILTER_SIZE + 2] = 0;
    program.u8[at * FILTER_SIZE + 3] = skipIfNot;
    program.view.setUint32(at * FILTER_SIZE + 4, k, true);
  };
  write(0, LD_WORD_ABS, 0, RANDOM);
  write(1, MOD_K, 0, chosen.length);
  let at = 2;
  for (const [i, number] of chosen.slice(0, -1).entries()) {
    write(at++, JEQ_K, 1, i);
    write(at++, RET_K, 0, number);
  }
  write(at, RET_K, 0, chosen.at(-1) as number);
  scratch.view.setUint16(AT_BYTES, count, true);
  scratch.setWord(AT_BYTES + 8, program.address);
  const where = scratch.address + AT_BYTES;
  const result = libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, where, FPROG_SIZE);
  arenas.release(program);
  return result;
}
