import { TCP_CLOSE, TCP_LISTEN } from "./constants.ts";
import type { TcpSocket } from "./tcp-socket.ts";

/** The size of `struct tcp_info` of Linux 6.1. */
const SIZE = 240;
const NO_LIMIT = 0xffff_ffff_ffff_ffffn;

/** The offsets of fields, in bytes. Source: include/uapi/linux/tcp.h */
const AT = {
  options: 5,
  windowScales: 6,
  rto: 8,
  ato: 12,
  sendMss: 16,
  receiveMss: 20,
  unacked: 24,
  pathMtu: 60,
  receiveThreshold: 64,
  rtt: 68,
  rttVariation: 72,
  sendThreshold: 76,
  congestionWindow: 80,
  advertisedMss: 84,
  reordering: 88,
  receiveSpace: 96,
  maxPacingRate: 112,
  bytesAcked: 120,
  bytesReceived: 128,
  segmentsOut: 136,
  segmentsIn: 140,
  notSent: 144,
  minRtt: 148,
  dataIn: 152,
  dataOut: 156,
  delivered: 192,
  bytesSent: 200,
  sendWindow: 228,
  receiveWindow: 232,
} as const;

/** The `tcp_info` of a socket. Times are those of loopback. Source: net/ipv4/tcp.c, tcp_get_info */
export function tcpInfo(socket: TcpSocket): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  const view = new DataView(bytes.buffer);
  const set = (offset: number, value: number): void => view.setUint32(offset, value, true);
  view.setUint8(0, socket.state);
  view.setBigUint64(AT.maxPacingRate, NO_LIMIT, true);
  if (socket.state === TCP_LISTEN) {
    const [waiting, limit] = socket.backlog;
    set(AT.unacked, waiting);
    set(28, limit);
    return bytes;
  }
  const { sending, receiving, counts } = socket;
  const isConnected = socket.state !== TCP_CLOSE;
  view.setUint8(AT.options, isConnected ? 7 : 0);
  view.setUint8(AT.windowScales, isConnected ? 0xaa : 0);
  set(AT.rto, isConnected ? 201_000 : 1_000_000);
  set(AT.ato, isConnected ? 40_000 : 0);
  set(AT.sendMss, socket.segmentBytes);
  set(AT.receiveMss, 536);
  set(AT.unacked, Math.ceil(sending.inFlight / socket.segmentBytes));
  set(AT.pathMtu, isConnected ? 65_535 : 0);
  set(AT.receiveThreshold, 65_483);
  set(AT.rtt, isConnected ? 20 : 0);
  set(AT.rttVariation, isConnected ? 10 : 0);
  set(AT.sendThreshold, 0x7fff_ffff);
  set(AT.congestionWindow, 10);
  set(AT.advertisedMss, 65_483);
  set(AT.reordering, 3);
  set(AT.receiveSpace, 65_483);
  view.setBigUint64(AT.bytesAcked, BigInt(sending.sent - sending.inFlight), true);
  view.setBigUint64(AT.bytesReceived, BigInt(receiving.received), true);
  set(AT.segmentsOut, counts.segmentsOut);
  set(AT.segmentsIn, counts.segmentsIn);
  set(AT.notSent, sending.unsent);
  set(AT.minRtt, isConnected ? 10 : 0);
  set(AT.dataIn, counts.dataIn);
  set(AT.dataOut, counts.dataOut);
  set(AT.delivered, counts.dataOut);
  view.setBigUint64(AT.bytesSent, BigInt(sending.sent), true);
  set(AT.sendWindow, receiving.capacity);
  set(AT.receiveWindow, receiving.window);
  return bytes;
}
