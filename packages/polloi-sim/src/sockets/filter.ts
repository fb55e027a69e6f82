/**
 * Classic BPF programs, as sockets run them.
 *
 * Source: Documentation/networking/filter.rst; net/core/filter.c, bpf_check_classic and convert_bpf_extensions.
 */
import type { Choices } from "../base/choices.ts";

// Classes, and the parts of an instruction's code.
const LD = 0;
const LDX = 1;
const ST = 2;
const STX = 3;
const ALU = 4;
const JMP = 5;
const RET = 6;
const MISC = 7;
/** Offsets from here on are ancillary data and no bytes of the packet: SKF_AD_OFF. */
const ANCILLARY = 0xffff_f000;
const ANCILLARY_CPU = 36;
const ANCILLARY_RANDOM = 56;
const MAX_INSTRUCTIONS = 4096;
const INSTRUCTION_BYTES = 8;

interface Instruction {
  readonly code: number;
  readonly ifTrue: number;
  readonly ifFalse: number;
  readonly k: number;
}

/** A program of a socket. */
export class Filter {
  readonly #program: readonly Instruction[];

  private constructor(program: readonly Instruction[]) {
    this.#program = program;
  }

  /** @returns undefined for a program that the kernel refuses (EINVAL). */
  static of(bytes: Uint8Array): Filter | undefined {
    const count = bytes.length / INSTRUCTION_BYTES;
    if (count === 0 || count > MAX_INSTRUCTIONS) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const program = Array.from({ length: count }, (_, i): Instruction => {
      const at = i * INSTRUCTION_BYTES;
      return {
        code: view.getUint16(at, true),
        ifTrue: view.getUint8(at + 2),
        ifFalse: view.getUint8(at + 3),
        k: view.getUint32(at + 4, true),
      };
    });
    // A program ends with a return, so no jump leaves it.
    const isInside = (at: number): boolean => at < count;
    const isValid = program.every(({ code, ifTrue, ifFalse, k }, i) => {
      if ((code & 7) !== JMP) return true;
      return (code & 0xf0) === 0
        ? isInside(i + 1 + k)
        : isInside(i + 1 + ifTrue) && isInside(i + 1 + ifFalse);
    });
    return isValid && ((program.at(-1) as Instruction).code & 7) === RET
      ? new Filter(program)
      : undefined;
  }

  /** Runs the program on a packet. @returns Its result: the bytes to keep, or a number of a socket. */
  run(packet: Uint8Array, choices: Choices): number {
    const memory: number[] = [];
    let a = 0;
    let x = 0;
    for (let at = 0; at < this.#program.length; at++) {
      const { code, ifTrue, ifFalse, k } = this.#program[at] as Instruction;
      switch (code & 7) {
        case LD:
        case LDX: {
          const loaded = load(code, k, x, { packet, memory, choices });
          // A load beyond the packet ends the program with 0.
          if (loaded === undefined) return 0;
          if ((code & 7) === LD) a = loaded;
          else x = loaded;
          break;
        }
        case ST:
          memory[k] = a;
          break;
        case STX:
          memory[k] = x;
          break;
        case ALU: {
          const result = calculate(code & 0xf0, a, (code & 8) === 0 ? k : x);
          if (result === undefined) return 0;
          a = result;
          break;
        }
        case JMP:
          if ((code & 0xf0) === 0) at += k;
          else at += holds(code & 0xf0, a, (code & 8) === 0 ? k : x) ? ifTrue : ifFalse;
          break;
        case RET:
          return (code & 0x18) === 0x10 ? a : k;
        case MISC:
          if ((code & 0xf8) === 0) x = a;
          else a = x;
          break;
      }
    }
    return 0;
  }
}

interface Sources {
  readonly packet: Uint8Array;
  readonly memory: readonly number[];
  readonly choices: Choices;
}

function load(
  code: number,
  k: number,
  x: number,
  { packet, memory, choices }: Sources,
): number | undefined {
  const size = (code & 0x18) === 0 ? 4 : (code & 0x18) === 8 ? 2 : 1;
  switch (code & 0xe0) {
    case 0x00: // A constant.
      return k;
    case 0x20: // At an absolute offset.
      if (k === ANCILLARY + ANCILLARY_RANDOM) return choices.below(0x1_0000_0000);
      if (k === ANCILLARY + ANCILLARY_CPU) return 0;
      return bytesAt(packet, k, size);
    case 0x40: // At an offset from the index register.
      return bytesAt(packet, x + k, size);
    case 0x60:
      return memory[k] ?? 0;
    case 0x80:
      return packet.length;
    case 0xa0: {
      // The length of an IPv4 header.
      const first = packet[k];
      return first === undefined ? undefined : (first & 0xf) * 4;
    }
    default:
      return undefined;
  }
}

function bytesAt(packet: Uint8Array, at: number, size: number): number | undefined {
  if (at + size > packet.length) return undefined;
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + (packet[at + i] as number);
  return value;
}

function calculate(operation: number, a: number, b: number): number | undefined {
  switch (operation) {
    case 0x00:
      return (a + b) >>> 0;
    case 0x10:
      return (a - b) >>> 0;
    case 0x20:
      return Math.imul(a, b) >>> 0;
    case 0x30:
      return b === 0 ? undefined : Math.floor(a / b);
    case 0x40:
      return (a | b) >>> 0;
    case 0x50:
      return (a & b) >>> 0;
    case 0x60:
      return (a << b) >>> 0;
    case 0x70:
      return a >>> b;
    case 0x80:
      return -a >>> 0;
    case 0x90:
      return b === 0 ? undefined : a % b;
    case 0xa0:
      return (a ^ b) >>> 0;
    default:
      return undefined;
  }
}

function holds(condition: number, a: number, b: number): boolean {
  switch (condition) {
    case 0x10:
      return a === b;
    case 0x20:
      return a > b;
    case 0x30:
      return a >= b;
    default:
      return (a & b) !== 0;
  }
}
