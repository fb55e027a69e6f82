import { contentOf, differsAt, FILE_STREAM } from "../content.ts";
import { MODES, type Mode, type Step } from "../scenario.ts";
import { ClientPeer } from "./client-peer.ts";

/** The header of a connection: the mode, 0, the number of the peer in 16 bits, and a length in 32 bits. */
export const HEADER_BYTES = 8;

/** Modes in which the peer receives what it has sent. */
const ECHOES: readonly Mode[] = ["echo", "flood", "late", "handover", "throw", "close", "kill"];
/** Modes in which the server sends bytes of its own. */
const SERVES: readonly Mode[] = ["serve", "pump", "destroy", "file"];

export function doesEcho(mode: Mode): boolean {
  return ECHOES.includes(mode);
}

/** The stream of the bytes that a peer sends, and of those that the server sends by itself. */
export function streamTo(peer: number): number {
  return 2 * peer;
}
export function streamFrom(peer: number): number {
  return 2 * peer + 1;
}

/** The part of the file that a peer receives begins here. */
export function fileOffset(peer: number): number {
  return 100 * (peer % 8);
}

/** The stream of the bytes that a peer receives. */
function streamOf(peer: number, mode: Mode): number {
  if (mode === "file") return FILE_STREAM;
  return doesEcho(mode) ? streamTo(peer) : streamFrom(peer);
}

/** A client of the echo server. */
export class EchoPeer extends ClientPeer {
  /** The bytes of its stream that it has begun to send. */
  begun = 0;
  #sentHeader = false;
  /** Where the first wrong byte is, or -1. */
  wrongAt = -1;

  /** The number of bytes behind the header that its socket has taken. */
  get payloadSent(): number {
    return Math.max(0, this.sent - HEADER_BYTES);
  }

  /** The number of bytes that it is to receive, if everything is served. */
  get expected(): number {
    const { mode, length } = this.plan;
    if (!this.#sentHeader) return 0;
    if (doesEcho(mode)) return this.begun;
    return SERVES.includes(mode) ? length : 0;
  }

  protected override get isAnswered(): boolean {
    const { mode, length } = this.plan;
    // It waits for the reset.
    if (mode === "reset" && this.begun >= length) return false;
    return this.received >= this.expected;
  }

  protected override took(bytes: Uint8Array): void {
    const { number, plan } = this;
    const skipped = plan.mode === "file" ? fileOffset(number) : 0;
    const from = skipped + this.received - bytes.length;
    const at = differsAt(streamOf(number, plan.mode), from, bytes);
    if (at >= 0 && this.wrongAt < 0) this.wrongAt = at;
  }

  protected override bytesOf(step: Step): Uint8Array {
    if (step.do !== "send") throw new RangeError(`Cannot perform ${step.do} on an echo server`);
    const content = contentOf(streamTo(this.number), this.begun, step.length);
    this.begun += step.length;
    if (this.#sentHeader) return content;
    const bytes = new Uint8Array(HEADER_BYTES + content.length);
    bytes.set(this.#header());
    bytes.set(content, HEADER_BYTES);
    return bytes;
  }

  /** A silent peer is silent, unless the server is to do something. */
  protected override last(): Uint8Array {
    if (this.#sentHeader || this.plan.mode === "echo") return NOTHING;
    return this.#header();
  }

  #header(): Uint8Array {
    this.#sentHeader = true;
    const { mode, length } = this.plan;
    const header = new Uint8Array(HEADER_BYTES);
    const view = new DataView(header.buffer);
    header[0] = MODES.indexOf(mode);
    view.setUint16(2, this.number, true);
    view.setUint32(4, length, true);
    return header;
  }
}

const NOTHING: Uint8Array = new Uint8Array(0);
