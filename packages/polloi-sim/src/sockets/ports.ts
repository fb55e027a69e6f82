/**
 * The ports of a machine, of one protocol.
 *
 * Sources: ip(7), ip_local_port_range; net/ipv4/inet_connection_sock.c, inet_csk_get_port and inet_bind_conflict.
 */
import { ERRNO } from "polloi/internal/pure";
import type { World } from "../base/world.ts";
import type { InetName, Ip } from "./address.ts";

export const FIRST_EPHEMERAL = 32_768;
export const LAST_EPHEMERAL = 60_999;
/** How long a port stays in TIME_WAIT: TCP_TIMEWAIT_LEN. */
const TIME_WAIT_MS = 60_000;

/** A socket that has a port. */
export interface PortUser {
  readonly local: InetName;
  readonly isListening: boolean;
  readonly settings: {
    readonly reuseAddress: boolean;
    readonly reusePort: boolean;
    readonly isV6Only: boolean;
  };
}

interface TimeWait {
  readonly user: Pick<PortUser, "local" | "settings">;
  readonly until: number;
}

interface Bucket {
  readonly users: Set<PortUser>;
  readonly listeners: Set<PortUser>;
  timeWaits: TimeWait[];
}

export class PortTable {
  readonly #world: World;
  readonly #buckets: Map<number, Bucket> = new Map();
  #nextEphemeral: number;

  /** @param firstPort - The first port that is chosen. Protocols begin with different ones, as they do by chance. */
  constructor(world: World, firstPort: number) {
    this.#world = world;
    this.#nextEphemeral = firstPort;
  }

  /** The sockets that have a port. */
  users(port: number): Iterable<PortUser> {
    return this.#buckets.get(port)?.users ?? [];
  }

  /** The sockets that listen on a port. */
  listeners(port: number): Iterable<PortUser> {
    return this.#buckets.get(port)?.listeners ?? [];
  }

  /** Whether `user` may have the port beside those that have it. */
  isFree(port: number, user: Pick<PortUser, "local" | "settings">): boolean {
    const bucket = this.#buckets.get(port);
    if (bucket === undefined) return true;
    for (const other of bucket.users) {
      if (other !== user && conflicts(user, other, other.isListening)) return false;
    }
    const now = this.#world.now();
    bucket.timeWaits = bucket.timeWaits.filter(({ until }) => until > now);
    return !bucket.timeWaits.some((each) => conflicts(user, each.user, false));
  }

  /** Chooses a free port. @returns The port, or `-EADDRINUSE`. */
  ephemeral(user: Pick<PortUser, "local" | "settings">): number {
    for (let tries = FIRST_EPHEMERAL; tries <= LAST_EPHEMERAL; tries++) {
      const port = this.#nextEphemeral;
      this.#nextEphemeral = port === LAST_EPHEMERAL ? FIRST_EPHEMERAL : port + 1;
      // A port without users, even if this one could share it.
      const bucket = this.#buckets.get(port);
      if (bucket === undefined || (bucket.users.size === 0 && this.isFree(port, user))) return port;
    }
    return -ERRNO.EADDRINUSE;
  }

  add(user: PortUser): void {
    const { port } = user.local;
    const bucket = this.#buckets.get(port);
    if (bucket === undefined) {
      this.#buckets.set(port, { users: new Set([user]), listeners: new Set(), timeWaits: [] });
    } else bucket.users.add(user);
  }

  addListener(user: PortUser): void {
    this.#buckets.get(user.local.port)?.listeners.add(user);
  }

  removeListener(user: PortUser): void {
    this.#buckets.get(user.local.port)?.listeners.delete(user);
  }

  remove(user: PortUser): void {
    const { port } = user.local;
    const bucket = this.#buckets.get(port);
    if (bucket === undefined) return;
    bucket.users.delete(user);
    if (bucket.users.size === 0 && bucket.timeWaits.length === 0) this.#buckets.delete(port);
  }

  /** Removes a socket, and keeps its port in TIME_WAIT. */
  retire(user: PortUser): void {
    const { local, settings } = user;
    const bucket = this.#buckets.get(local.port);
    const { reuseAddress, reusePort, isV6Only } = settings;
    bucket?.timeWaits.push({
      user: { local, settings: { reuseAddress, reusePort, isV6Only } },
      until: this.#world.now() + TIME_WAIT_MS,
    });
    this.remove(user);
  }
}

/** Whether two sockets cannot have the same port. */
function conflicts(
  a: Pick<PortUser, "local" | "settings">,
  b: Pick<PortUser, "local" | "settings">,
  isListening: boolean,
): boolean {
  if (!overlaps(a, b)) return false;
  if (a.settings.reusePort && b.settings.reusePort) return false;
  return !(a.settings.reuseAddress && b.settings.reuseAddress && !isListening);
}

/** Whether a packet could be for both. Source: net/ipv4/inet_connection_sock.c, inet_rcv_saddr_equal */
function overlaps(
  a: Pick<PortUser, "local" | "settings">,
  b: Pick<PortUser, "local" | "settings">,
): boolean {
  return (
    a.local.ip.equals(b.local.ip) ||
    covers(a.local.ip, a.settings.isV6Only, b.local.ip) ||
    covers(b.local.ip, b.settings.isV6Only, a.local.ip)
  );
}

/** Whether the wildcard address `wide` includes `ip`. */
export function covers(wide: Ip, isV6Only: boolean, ip: Ip): boolean {
  if (!wide.isAny) return false;
  if (wide.isV4) return ip.isV4;
  return !isV6Only || !ip.isV4;
}

/** How well a bound socket fits a packet to `ip`: -1 not at all, and the exact address before a wildcard. */
export function fit({ local, settings }: PortUser, ip: Ip): number {
  if (local.ip.equals(ip)) return 3;
  if (!covers(local.ip, settings.isV6Only, ip)) return -1;
  // An IPv4 socket comes before one of both families. Source: net/ipv4/inet_hashtables.c, compute_score
  return local.ip.isV4 === ip.isV4 ? 2 : 1;
}
