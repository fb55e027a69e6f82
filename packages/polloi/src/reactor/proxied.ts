import { type NamesOf, optionsOf } from "../base/argument.ts";
import { show, typeError } from "../base/misuse.ts";
import { PROXY_FAILURES, type ProxyFailure, type ProxyHeader } from "../proxy/header.ts";
import { NEED_MORE, ProxyHeaderParser } from "../proxy/header-parser.ts";
import type { SocketAddress } from "../socket/address.ts";
import { IpRanges, LOOPBACK } from "../socket/ip-ranges.ts";
import type { Loop } from "./loop.ts";
import { checkCallbacks, checkTimeout } from "./options.ts";
import type { Preface } from "./preface.ts";
import type { Timer } from "./timers.ts";

/** A connection that was closed because of its PROXY header. */
export interface ProxyRefusal {
  /** The code of the reason. */
  readonly code: ProxyFailure;
  /** The reason, as a part of a sentence. */
  readonly reason: string;
  /** The address of the peer, which is that of the proxy; `null` if the connection is closed. */
  readonly remoteAddress: SocketAddress | null;
}

/** How a listener receives PROXY headers. */
export interface ProxyProtocolOptions {
  /**
   * The proxies: every connection of one of these peers must begin with a PROXY header. Connections of other peers are
   * served as they are, and a PROXY header of theirs is data as any other. IP addresses, ranges in CIDR notation, and
   * `"unix"` for the peers on a unix socket. Default: the machine itself, `["127.0.0.0/8", "::1", "unix"]`. With an
   * empty list there is no proxy: every PROXY header is data.
   */
  readonly trusted?: readonly string[];
  /** Milliseconds for a complete header, from the time at which the connection is accepted. Default 5,000. */
  readonly timeoutMs?: number;
  /** Called for each connection that is closed because its header is missing, malformed or late. */
  refused?(refusal: ProxyRefusal): void;
}

const PROXY_PROTOCOL_OPTIONS: NamesOf<ProxyProtocolOptions> = {
  trusted: true,
  timeoutMs: true,
  refused: true,
};

/** A segment may be lost and be sent again after three seconds: see section 2.2 of the protocol. */
const HEADER_TIMEOUT_MS = 5000;
/** The time for a header when the listener stops. */
const STOPPING_TIMEOUT_MS = 500;

/** The members of a stream that {@link ProxiedConnections} uses. */
interface ProxiedStream {
  readonly remoteAddress: SocketAddress | null;
  destroy(): void;
  setProxyHeader(header: ProxyHeader): void;
}

/** The PROXY headers of the connections of a listener. */
export class ProxiedConnections {
  /** The number of refused connections, by the code of the reason. */
  readonly failures: Partial<Record<ProxyFailure, number>> = {};
  readonly #loop: Loop;
  readonly #options: ProxyProtocolOptions;
  readonly #trusted: IpRanges;
  readonly #timeoutMs: number;

  /** @throws TypeError or RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_TIMEOUT` */
  constructor(loop: Loop, options: ProxyProtocolOptions) {
    optionsOf(options, "proxyProtocol", PROXY_PROTOCOL_OPTIONS);
    const { trusted = LOOPBACK, timeoutMs = HEADER_TIMEOUT_MS } = options;
    checkTimeout("timeoutMs", timeoutMs);
    checkCallbacks(options, ["refused"]);
    this.#loop = loop;
    this.#options = options;
    this.#trusted = new IpRanges(trusted, "trusted");
    this.#timeoutMs = timeoutMs;
  }

  /** The preface of an accepted connection; undefined if its peer is not trusted. */
  prefaceOf(stream: ProxiedStream): Preface | undefined {
    const { remoteAddress } = stream;
    if (remoteAddress === null) return withoutPeer(stream);
    if (!this.#trusted.has(remoteAddress)) return undefined;
    const { timers } = this.#loop;
    const parser = new ProxyHeaderParser();
    const refuse = (code: ProxyFailure): void => this.#refuse(stream, code);
    let timer: Timer = timers.limit(this.#timeoutMs, () => refuse("TIMEOUT"));
    return {
      read(bytes) {
        if (bytes.length === 0) {
          // A health check may connect and send nothing.
          if (parser.isEmpty) stream.destroy();
          else refuse("ENDED");
          return -1;
        }
        const length = parser.read(bytes);
        if (parser.failure !== null) refuse(parser.failure);
        if (length < 0) return NEED_MORE;
        stream.setProxyHeader(parser.header as ProxyHeader);
        return length;
      },
      hurry() {
        timer.cancel();
        timer = timers.limit(STOPPING_TIMEOUT_MS, () => refuse("TIMEOUT"));
      },
      abandon: () => timer.cancel(),
    };
  }

  #refuse(stream: ProxiedStream, code: ProxyFailure): void {
    this.failures[code] = (this.failures[code] ?? 0) + 1;
    const { remoteAddress } = stream;
    stream.destroy();
    try {
      this.#options.refused?.({ code, reason: PROXY_FAILURES[code], remoteAddress });
    } catch (thrown) {
      this.#loop.fail(thrown);
    }
  }
}

/**
 * The preface of a connection that was reset before it was accepted. The kernel has forgotten its peer, so it is not known
 * whether the received bytes begin with a PROXY header. They are dropped.
 */
function withoutPeer(stream: ProxiedStream): Preface {
  return {
    read() {
      stream.destroy();
      return -1;
    },
    // The reset itself closes the connection if it sent no bytes.
    hurry() {},
    abandon() {},
  };
}

/**
 * The PROXY headers that the option `proxyProtocol` of a listener asks for.
 *
 * @throws TypeError or RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_TIMEOUT`
 */
export function proxiedConnections(
  loop: Loop,
  option: boolean | ProxyProtocolOptions | undefined,
): ProxiedConnections | undefined {
  if (option === undefined || option === false) return undefined;
  if (option === true) return new ProxiedConnections(loop, {});
  if (typeof option === "object" && option !== null && !Array.isArray(option)) {
    return new ProxiedConnections(loop, option);
  }
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot use ${show(option)} as proxyProtocol: give true, or { trusted: ["10.0.0.0/8"] }`,
  );
}
