import type { Choices } from "../base/choices.ts";
import type { Filter } from "./filter.ts";

/**
 * The sockets that share a port by SO_REUSEPORT.
 *
 * @remarks
 * Their numbers are the order in which they joined; the last one takes the number of one that leaves. A program picks a
 * number, and without one, or when it picks none that exists, a hash of the addresses does. Source: socket(7),
 * SO_REUSEPORT and SO_ATTACH_REUSEPORT_CBPF; net/core/sock_reuseport.c
 */
export class ReuseGroup<Member extends object> {
  readonly #members: Member[] = [];
  program: Filter | undefined;

  join(member: Member): void {
    this.#members.push(member);
  }

  leave(member: Member): void {
    const at = this.#members.indexOf(member);
    if (at < 0) return;
    const last = this.#members.pop() as Member;
    if (at < this.#members.length) this.#members[at] = last;
  }

  /** @param hash - Of the addresses of the packet, from 0 to 2 ** 32 - 1. */
  pick(packet: Uint8Array, hash: number, choices: Choices): Member | undefined {
    const chosen = this.program?.run(packet, choices);
    const member = chosen === undefined ? undefined : this.#members[chosen];
    return member ?? this.#members[Math.floor((hash / 0x1_0000_0000) * this.#members.length)];
  }
}

/** A hash of two ports: connections spread as over a real one, though not in the same way. */
export function hashOf(from: number, to: number): number {
  let hash = Math.imul(from ^ 0x9e37_79b9, 0x85eb_ca6b) ^ to;
  hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2_ae35);
  return (hash ^ (hash >>> 13)) >>> 0;
}
