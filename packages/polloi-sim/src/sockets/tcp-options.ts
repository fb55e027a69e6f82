/** Options of TCP. Source: tcp(7); net/ipv4/tcp.c, do_tcp_setsockopt and do_tcp_getsockopt */
import {
  ERRNO,
  IPPROTO_TCP,
  TCP_CONGESTION,
  TCP_CORK,
  TCP_DEFER_ACCEPT,
  TCP_FASTOPEN,
  TCP_FASTOPEN_CONNECT,
  TCP_INFO,
  TCP_INQ,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_LINGER2,
  TCP_MAXSEG,
  TCP_NODELAY,
  TCP_NOTSENT_LOWAT,
  TCP_QUICKACK,
  TCP_SYNCNT,
  TCP_THIN_DUPACK,
  TCP_THIN_LINEAR_TIMEOUTS,
  TCP_ULP,
  TCP_USER_TIMEOUT,
  TCP_WINDOW_CLAMP,
} from "polloi/internal/pure";
import { TCP_CLOSE, TCP_LISTEN } from "./constants.ts";
import { intOf, intValue, readStored, store } from "./option-values.ts";
import { storedKey } from "./socket-file.ts";
import { tcpInfo } from "./tcp-info.ts";
import type { TcpSocket } from "./tcp-socket.ts";

const NAME_BYTES = 16;
const ALGORITHMS = ["cubic", "reno"];

/** Options that only read back, with their defaults. */
const STORED: Readonly<Record<number, number>> = {
  [TCP_KEEPIDLE]: 7200,
  [TCP_KEEPINTVL]: 75,
  [TCP_KEEPCNT]: 9,
  [TCP_SYNCNT]: 6,
  [TCP_LINGER2]: 60,
  [TCP_DEFER_ACCEPT]: 0,
  [TCP_WINDOW_CLAMP]: 0,
  [TCP_QUICKACK]: 1,
  [TCP_USER_TIMEOUT]: 0,
  [TCP_FASTOPEN]: 0,
  [TCP_FASTOPEN_CONNECT]: 0,
  [TCP_THIN_LINEAR_TIMEOUTS]: 0,
  [TCP_THIN_DUPACK]: 0,
  [TCP_INQ]: 0,
  [TCP_MAXSEG]: 0,
};

/** The values that an option can have. */
const RANGES: Readonly<Record<number, readonly [number, number]>> = {
  [TCP_KEEPIDLE]: [1, 32_767],
  [TCP_KEEPINTVL]: [1, 32_767],
  [TCP_KEEPCNT]: [1, 127],
  [TCP_SYNCNT]: [1, 127],
  [TCP_USER_TIMEOUT]: [0, 0x7fff_ffff],
  [TCP_FASTOPEN]: [0, 0x7fff_ffff],
  [TCP_FASTOPEN_CONNECT]: [0, 1],
  [TCP_MAXSEG]: [88, 32_767],
};

/** Options that are flags: every value but 0 reads back as 1. */
const FLAGS: readonly number[] = [TCP_QUICKACK, TCP_THIN_LINEAR_TIMEOUTS, TCP_INQ];

export function getTcp(socket: TcpSocket, option: number): Uint8Array | number {
  const { settings } = socket;
  switch (option) {
    case TCP_NODELAY:
      return intValue(settings.noDelay ? 1 : 0);
    case TCP_CORK:
      return intValue(settings.cork ? 1 : 0);
    case TCP_NOTSENT_LOWAT:
      return intValue(settings.notSentLowAt);
    case TCP_INFO:
      return tcpInfo(socket);
    case TCP_MAXSEG: {
      const wanted = settings.stored?.get(storedKey(IPPROTO_TCP, TCP_MAXSEG)) ?? 0;
      const isUnconnected = socket.state === TCP_CLOSE || socket.state === TCP_LISTEN;
      if (wanted > 0 && isUnconnected) return intValue(wanted);
      return intValue(socket.segmentBytes);
    }
    case TCP_CONGESTION: {
      const name = settings.congestion;
      const bytes = new Uint8Array(NAME_BYTES);
      bytes.set(new TextEncoder().encode(name));
      return bytes;
    }
    default:
      return readStored(settings, IPPROTO_TCP, option, STORED);
  }
}

export function setTcp(socket: TcpSocket, option: number, value: Uint8Array): number {
  const { settings } = socket;
  if (option === TCP_CONGESTION) {
    if (value.length < 1) return -ERRNO.EINVAL;
    const end = value.indexOf(0);
    const name = new TextDecoder().decode(
      value.slice(0, Math.min(end < 0 ? value.length : end, NAME_BYTES - 1)),
    );
    if (!ALGORITHMS.includes(name)) return -ERRNO.ENOENT;
    settings.congestion = name;
    return 0;
  }
  if (option === TCP_ULP) return -ERRNO.ENOENT;
  const number = intOf(value);
  if (number === undefined) return -ERRNO.EINVAL;
  switch (option) {
    case TCP_NODELAY:
      settings.noDelay = number !== 0;
      if (settings.noDelay) socket.push();
      return 0;
    case TCP_CORK:
      settings.cork = number !== 0;
      if (!settings.cork) socket.push();
      return 0;
    case TCP_NOTSENT_LOWAT:
      settings.notSentLowAt = number >>> 0;
      socket.writeSpace();
      return 0;
    case TCP_DEFER_ACCEPT:
      return store(
        settings,
        { level: IPPROTO_TCP, option, value: secondsOf(attemptsIn(number)) },
        STORED,
      );
  }
  const range = RANGES[option];
  if (range !== undefined && (number < range[0] || number > range[1])) return -ERRNO.EINVAL;
  const isFlag = FLAGS.includes(option) && number !== 0;
  return store(settings, { level: IPPROTO_TCP, option, value: isFlag ? 1 : number }, STORED);
}

const FIRST_TIMEOUT_S = 1;
const LONGEST_TIMEOUT_S = 120;

/** A time is kept as a number of retransmissions. Source: net/ipv4/tcp.c, secs_to_retrans */
function attemptsIn(seconds: number): number {
  let attempts = 0;
  while (seconds > secondsOf(attempts) && attempts < 255) attempts++;
  return attempts;
}

/** Source: net/ipv4/tcp.c, retrans_to_secs */
function secondsOf(attempts: number): number {
  let seconds = 0;
  for (let i = 0; i < attempts; i++) {
    seconds += Math.min(FIRST_TIMEOUT_S * 2 ** i, LONGEST_TIMEOUT_S);
  }
  return seconds;
}
