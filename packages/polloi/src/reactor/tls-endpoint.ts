import { show, typeError } from "../base/misuse.ts";
import { ipVersion } from "../socket/ip.ts";
import type { Kernel } from "../sys/kernel.ts";
import { TlsContext } from "../tls/context.ts";
import { type TlsLibrary, tlsLibrary } from "../tls/library.ts";
import {
  checkClientOptions,
  checkServerOptions,
  handshakeTimeoutOf,
  maxHandshakesOf,
  type TlsClientOptions,
  type TlsServerOptions,
} from "../tls/options.ts";
import type { Handshake, TlsEndpoint } from "./tls-stream.ts";

/**
 * What the TLS connections of a listener share.
 *
 * @throws TypeError or RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_TIMEOUT`; UnsupportedError without OpenSSL.
 */
export function serverEndpoint(kernel: Kernel, options: TlsServerOptions): TlsEndpoint {
  checkServerOptions(objectOrThrow(options));
  const handshakes = new Set<Handshake>();
  return {
    context: new TlsContext(tlsLibrary(kernel), options, true),
    expected: {},
    handshakeTimeoutMs: handshakeTimeoutOf(options),
    handshakes,
    maxHandshakes: maxHandshakesOf(options),
    failed: (error) => options.handshakeError?.(error),
  };
}

/**
 * What a connect needs for TLS; undefined without TLS.
 *
 * @param host - The host that is connected to.
 * @throws TypeError or RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_TIMEOUT`; UnsupportedError without OpenSSL.
 */
export function clientEndpoint(
  kernel: Kernel,
  tls: boolean | TlsClientOptions | undefined,
  host = "localhost",
): TlsEndpoint | undefined {
  if (tls === undefined || tls === false) return undefined;
  const options = tls === true ? DEFAULTS : checkClientOptions(objectOrThrow(tls));
  const { servername = hostname(host), session } = options;
  return {
    context: clientContext(tlsLibrary(kernel), options),
    expected: { servername, isAddress: ipVersion(servername) !== 0, session },
    handshakeTimeoutMs: handshakeTimeoutOf(options),
  };
}

/** The options of `tls: true`. */
const DEFAULTS: TlsClientOptions = {};

/** Contexts of clients by their options, because making one takes longer than a connect. */
const contexts = new WeakMap<TlsLibrary, WeakMap<TlsClientOptions, TlsContext>>();

/** Frees the contexts whose options are not used any more. */
const unused = new FinalizationRegistry<TlsContext>((context) => context.dispose());

function clientContext(library: TlsLibrary, options: TlsClientOptions): TlsContext {
  let known = contexts.get(library);
  if (known === undefined) {
    known = new WeakMap();
    contexts.set(library, known);
  }
  let context = known.get(options);
  if (context === undefined) {
    context = new TlsContext(library, options, false);
    known.set(options, context);
    unused.register(options, context);
  }
  return context;
}

/** A name or an address without the zone of a link-local address. The connector checks its type. */
function hostname(host: string): string {
  return String(host).split("%")[0] as string;
}

function objectOrThrow<T extends object>(options: T): T {
  if (typeof options === "object" && options !== null && !Array.isArray(options)) return options;
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot use ${show(options)} as tls: give an object, such as { cert, key }`,
  );
}
