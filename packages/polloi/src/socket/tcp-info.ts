/**
 * `struct tcp_info`: what the kernel knows of a TCP connection.
 *
 * Only ever added to at its end, so an older kernel gives fewer bytes and a newer one more than are
 * named here. Source: include/uapi/linux/tcp.h.
 */
import type { Kernel } from "../sys/kernel.ts";
import { IPPROTO_TCP, TCP_INFO } from "./constants.ts";

/** The states of TCP, by the kernel's numbers. RFC 9293, section 3.3.2; include/net/tcp_states.h */
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

/** A state of TCP, spelt as ss(8) does. */
export type TcpState = (typeof STATES)[number];

/** What follows the first eight bytes, in order, each aligned to its size. */
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
  // How long ago.
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
  // Bytes a second.
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
  // Of the connection's life, how long it sent, and what held it back.
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
 * A TCP connection as the kernel sees it, by the kernel's names.
 *
 * @remarks
 * Numbers that this kernel does not give are 0. `maxPacingRate` is Infinity when nothing limits it.
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
  /** Why fast open did not happen on a client, 0 to 3. */
  readonly fastOpenClientFail: number;
}

/** Where in the scratch memory the struct is read to, behind its length. */
const AT_INFO = 8;

/** Room for the struct with all fields named here. */
export const TCP_INFO_SIZE: number = FIELDS.reduce((offset, [, size]) => offset + size, 8);

/** Reads a `tcp_info`, of any length that a kernel gives. */
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
    // Made from the table of names, which the type is made from as well.
    ...(Object.fromEntries(fields) as Record<(typeof FIELDS)[number][0], number>),
  };
}

function fromUint64(value: bigint): number {
  return value === 0xffff_ffff_ffff_ffffn ? Number.POSITIVE_INFINITY : Number(value);
}

/** The `tcp_info` of a connection; null when it has none, as on a unix socket. */
export function readTcpInfo({ libc, scratch }: Kernel, fd: number): TcpInfo | null {
  const { address, u8, u32 } = scratch;
  u32[0] = TCP_INFO_SIZE;
  const result = libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, address + AT_INFO, address);
  return result < 0 ? null : decodeTcpInfo(u8.subarray(AT_INFO, AT_INFO + (u32[0] as number)));
}
