/**
 * `struct tcp_info`: the kernel's state of a TCP connection.
 *
 * The struct only grows at its end, so an older kernel returns fewer bytes and a newer one more than the fields here.
 * Source: include/uapi/linux/tcp.h.
 */
import type { Kernel } from "../sys/kernel.ts";
import { IPPROTO_TCP, TCP_INFO } from "./constants.ts";

/** The TCP states by the kernel's numbers. RFC 9293, section 3.3.2; include/net/tcp_states.h */
const STATES = [
  "unknown",
  "established",
  "syn-sent",
  "syn-recv",
  "fin-wait-1",
  "fin-wait-2",
  "time-wait",
  "close",
  "close-wait",
  "last-ack",
  "listen",
  "closing",
  "new-syn-recv",
] as const;

/** A TCP state, with the name of ss(8). */
export type TcpState = (typeof STATES)[number];

/** The fields after the first eight bytes, in order, each aligned to its size. */
const FIELDS = [
  ["rtoUs", 4],
  ["atoUs", 4],
  ["sndMss", 4],
  ["rcvMss", 4],
  // Segments.
  ["unacked", 4],
  ["sacked", 4],
  ["lost", 4],
  ["retrans", 4],
  ["fackets", 4],
  // Times since an event.
  ["lastDataSentMs", 4],
  ["lastAckSentMs", 4],
  ["lastDataRecvMs", 4],
  ["lastAckRecvMs", 4],
  ["pmtu", 4],
  ["rcvSsthresh", 4],
  ["rttUs", 4],
  ["rttVarUs", 4],
  ["sndSsthresh", 4],
  ["sndCwnd", 4],
  ["advMss", 4],
  ["reordering", 4],
  ["rcvRttUs", 4],
  ["rcvSpace", 4],
  ["totalRetrans", 4],
  // Bytes per second.
  ["pacingRate", 8],
  ["maxPacingRate", 8],
  ["bytesAcked", 8],
  ["bytesReceived", 8],
  ["segsOut", 4],
  ["segsIn", 4],
  ["notSentBytes", 4],
  ["minRttUs", 4],
  ["dataSegsIn", 4],
  ["dataSegsOut", 4],
  ["deliveryRate", 8],
  // How long the connection was sending, and what limited it.
  ["busyTimeUs", 8],
  ["rwndLimitedUs", 8],
  ["sndbufLimitedUs", 8],
  ["delivered", 4],
  ["deliveredCe", 4],
  ["bytesSent", 8],
  ["bytesRetrans", 8],
  ["dsackDups", 4],
  ["reordSeen", 4],
  ["rcvOoopack", 4],
  ["sndWnd", 4],
  ["rcvWnd", 4],
  ["rehash", 4],
] as const;

/**
 * The kernel's state of a TCP connection, with the kernel's names.
 *
 * @remarks
 * Fields that the kernel does not return are 0. `maxPacingRate` is Infinity if there is no limit.
 *
 * @source tcp(7), TCP_INFO
 */
export interface TcpInfo extends Readonly<Record<(typeof FIELDS)[number][0], number>> {
  readonly state: TcpState;
  /** 0 open, 1 disorder, 2 reduced (CWR), 3 recovery, 4 loss. */
  readonly caState: number;
  readonly retransmits: number;
  readonly probes: number;
  readonly backoff: number;
  /** TCPI_OPT_* bits: timestamps 1, SACK 2, window scale 4, ECN 8. */
  readonly options: number;
  readonly sndWscale: number;
  readonly rcvWscale: number;
  readonly deliveryRateAppLimited: boolean;
  /** The reason why a client did not use fast open, from 0 to 3. */
  readonly fastOpenClientFail: number;
}

/** The offset of the struct in the scratch memory, after its length. */
const AT_INFO = 8;

/** The size of the struct with all fields here. */
export const TCP_INFO_SIZE: number = FIELDS.reduce((offset, [, size]) => offset + size, 8);

/** Reads a `tcp_info` of any length. */
export function decodeTcpInfo(given: Uint8Array): TcpInfo {
  const bytes = new Uint8Array(TCP_INFO_SIZE);
  bytes.set(given.subarray(0, TCP_INFO_SIZE));
  const view = new DataView(bytes.buffer);
  let offset = 8;
  const fields = FIELDS.map(([name, size]) => {
    const value =
      size === 4 ? view.getUint32(offset, true) : fromUint64(view.getBigUint64(offset, true));
    offset += size;
    return [name, value] as const;
  });
  const [state, caState, retransmits, probes, backoff, options, scales, flags] = bytes;
  return {
    state: STATES[state as number] ?? "unknown",
    caState: caState as number,
    retransmits: retransmits as number,
    probes: probes as number,
    backoff: backoff as number,
    options: options as number,
    sndWscale: (scales as number) & 0xf,
    rcvWscale: (scales as number) >> 4,
    deliveryRateAppLimited: ((flags as number) & 1) !== 0,
    fastOpenClientFail: ((flags as number) >> 1) & 3,
    // The type is derived from the same table of names.
    ...(Object.fromEntries(fields) as Record<(typeof FIELDS)[number][0], number>),
  };
}

function fromUint64(value: bigint): number {
  return value === 0xffff_ffff_ffff_ffffn ? Number.POSITIVE_INFINITY : Number(value);
}

/** The `tcp_info` of a connection; null if it has none, as on a unix socket. */
export function readTcpInfo({ libc, scratch }: Kernel, fd: number): TcpInfo | null {
  const { address, u8, u32 } = scratch;
  u32[0] = TCP_INFO_SIZE;
  const result = libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, address + AT_INFO, address);
  return result < 0 ? null : decodeTcpInfo(u8.subarray(AT_INFO, AT_INFO + (u32[0] as number)));
}
