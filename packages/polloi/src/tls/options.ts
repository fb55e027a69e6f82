import {
  booleanOf,
  listOf,
  type NamesOf,
  objectOf,
  optionsOf,
  stringOf,
} from "../base/argument.ts";
import { choiceOf, numberError, show, typeError } from "../base/misuse.ts";
import { MAX_TIMEOUT_MS } from "../base/timeout.ts";
import { TLS_SERVER_COUNTERPARTS } from "./counterparts.ts";
import type { TlsError } from "./tls-error.ts";

/** The versions of TLS that can be chosen. */
export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** PEM text, or several of them. */
export type Pem = string | Uint8Array | readonly (string | Uint8Array)[];

/** Options of TLS that servers and clients have. The names are those of node:tls. */
export interface TlsOptions {
  /**
   * The certificate in PEM format, followed by the intermediate certificates of its chain. With several entries in an
   * array, such as one for RSA and one for ECDSA, each needs its `key` at the same index.
   */
  readonly cert?: Pem | undefined;
  /** The private key of the certificate in PEM format. */
  readonly key?: Pem | undefined;
  /** The passphrase of an encrypted `key`. */
  readonly passphrase?: string | undefined;
  /**
   * The certificates in PEM format that are trusted, instead of the root certificates of the runtime (Node) or of the
   * system (Bun and Deno). With an empty list none is trusted.
   */
  readonly ca?: Pem | undefined;
  /** The oldest version to use. Default "TLSv1.2". */
  readonly minVersion?: TlsVersion | undefined;
  /** The newest version to use. Default "TLSv1.3". */
  readonly maxVersion?: TlsVersion | undefined;
  /**
   * The ciphers to use, separated by colons, in the notation of OpenSSL; those of TLS 1.3 begin with `TLS_`, and with only such, older versions are not used. Default: those of
   * TLS 1.3, and ECDHE with AES-GCM or ChaCha20-Poly1305.
   */
  readonly ciphers?: string | undefined;
  /**
   * The protocols of the application, best first, such as `["http/1.1"]`. A server chooses the first that the client has.
   * With an empty list none is offered or chosen.
   */
  readonly ALPNProtocols?: readonly string[] | undefined;
  /** Whether a peer whose certificate is not accepted is refused. Default true. */
  readonly rejectUnauthorized?: boolean | undefined;
  /** Milliseconds that a handshake may take. Default 10,000. */
  readonly handshakeTimeoutMs?: number | undefined;
  /**
   * Called with the secrets of each session, one line at a time, in the format that Wireshark reads. For debugging: a
   * reader of these lines can decrypt the session.
   */
  readonly keylog?: ((line: string) => void) | undefined;
}

/** A certificate for some of the names of a server. */
export type TlsCertificate = Pick<TlsOptions, "cert" | "key" | "passphrase">;

/** Options of TLS of a server. */
export interface TlsServerOptions extends TlsOptions {
  /** Whether clients are asked for a certificate. Without one they are refused, unless `rejectUnauthorized` is false. Default false. */
  readonly requestCert?: boolean | undefined;
  /**
   * Certificates for other names, by name (SNI). `*.example.com` covers the names of one more label. A client that names
   * no or another server is sent `cert`.
   */
  readonly contexts?: Readonly<Record<string, TlsCertificate>> | undefined;
  /**
   * 80 random bytes with which the tickets for resuming sessions are encrypted. Servers with the same bytes resume the
   * sessions of each other. Default: random bytes for each listener.
   */
  readonly ticketKeys?: Uint8Array | undefined;
  /** The most handshakes in progress, from 1 up. When one more begins, the oldest is ended. Default 1,024. */
  readonly maxHandshakes?: number | undefined;
  /**
   * Called when a handshake fails. No other handler is called for its connection. Default: nothing, because scanners
   * cause such failures all the time.
   */
  handshakeError?(error: TlsError | Error): void;
}

/** Options of TLS of a client. */
export interface TlsClientOptions extends TlsOptions {
  /**
   * The name of the server, which is sent to it (SNI) and which its certificate must have. An IP address is not sent.
   * Default: `host` of `connect`.
   */
  readonly servername?: string | undefined;
  /** A session to resume: see {@link TlsInfo.session}. */
  readonly session?: Uint8Array | undefined;
}

const TLS_OPTIONS: NamesOf<TlsOptions> = {
  cert: true,
  key: true,
  passphrase: true,
  ca: true,
  minVersion: true,
  maxVersion: true,
  ciphers: true,
  ALPNProtocols: true,
  rejectUnauthorized: true,
  handshakeTimeoutMs: true,
  keylog: true,
};
const TLS_CERTIFICATE: NamesOf<TlsCertificate> = { cert: true, key: true, passphrase: true };
export const TLS_SERVER_OPTIONS: NamesOf<TlsServerOptions> = {
  ...TLS_OPTIONS,
  requestCert: true,
  contexts: true,
  ticketKeys: true,
  maxHandshakes: true,
  handshakeError: true,
};
export const TLS_CLIENT_OPTIONS: NamesOf<TlsClientOptions> = {
  ...TLS_OPTIONS,
  servername: true,
  session: true,
};

/** The versions, by the numbers of OpenSSL. */
export const VERSIONS: Readonly<Record<TlsVersion, number>> = {
  "TLSv1.2": 0x0303,
  "TLSv1.3": 0x0304,
};

/** The length of {@link TlsServerOptions.ticketKeys}: a name, and keys for HMAC and AES. */
export const TICKET_KEYS_BYTES = 80;
const DEFAULT_HANDSHAKE_TIMEOUT_MS = 10_000;
const DEFAULT_MAX_HANDSHAKES = 1024;
/** The longest name of a protocol: its length is one byte. */
const MAX_PROTOCOL_BYTES = 255;

/** The options of a handshake with all defaults. */
export function handshakeTimeoutOf(options: TlsOptions): number {
  return options.handshakeTimeoutMs ?? DEFAULT_HANDSHAKE_TIMEOUT_MS;
}

export function maxHandshakesOf(options: TlsServerOptions): number {
  return options.maxHandshakes ?? DEFAULT_MAX_HANDSHAKES;
}

/** @throws TypeError or RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_TIMEOUT` */
export function checkServerOptions(options: TlsServerOptions): TlsServerOptions {
  optionsOf(options, "tls", TLS_SERVER_OPTIONS, TLS_SERVER_COUNTERPARTS);
  checkCommon(options);
  booleanOf(options.requestCert, "tls.requestCert", false);
  const { contexts, ticketKeys, maxHandshakes, handshakeError } = options;
  if (options.cert === undefined || options.key === undefined) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot serve TLS without a certificate: give tls.${options.cert === undefined ? "cert" : "key"}`,
    );
  }
  for (const [name, certificate] of Object.entries(objectOf(contexts ?? {}, "tls.contexts"))) {
    const of = `tls.contexts[${show(name)}]`;
    optionsOf(objectOf(certificate, of), of, TLS_CERTIFICATE);
    checkCertificate(certificate, of);
    if (certificate.cert === undefined || certificate.key === undefined) {
      throw typeError("ERR_INVALID_OPTION", `Cannot use ${of} without cert and key: give both`);
    }
  }
  if (
    ticketKeys !== undefined &&
    !(ticketKeys instanceof Uint8Array && ticketKeys.length === TICKET_KEYS_BYTES)
  ) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${showBytes(ticketKeys)} as tls.ticketKeys: give a Uint8Array of ${TICKET_KEYS_BYTES} random bytes`,
    );
  }
  if (maxHandshakes !== undefined && !(typeof maxHandshakes === "number" && maxHandshakes >= 1)) {
    throw numberError(
      "ERR_INVALID_OPTION",
      maxHandshakes,
      `Cannot use ${show(maxHandshakes)} as tls.maxHandshakes: give a number from 1 up`,
    );
  }
  checkFunction(handshakeError, "tls.handshakeError");
  return options;
}

/** @throws TypeError or RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_TIMEOUT` */
export function checkClientOptions(options: TlsClientOptions): TlsClientOptions {
  optionsOf(options, "tls", TLS_CLIENT_OPTIONS);
  checkCommon(options);
  const { servername, session } = options;
  if (servername !== undefined && stringOf(servername, "tls.servername").includes("\0")) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${show(servername)} as tls.servername: a name has no NUL`,
    );
  }
  if (session !== undefined && !(session instanceof Uint8Array)) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${show(session)} as tls.session: give the bytes that connection.tls.session() returned`,
    );
  }
  return options;
}

function checkCommon(options: TlsOptions): void {
  checkCertificate(options, "tls");
  if (options.ca !== undefined) pemsOf(options.ca, "tls.ca");
  if (options.ciphers !== undefined) stringOf(options.ciphers, "tls.ciphers");
  booleanOf(options.rejectUnauthorized, "tls.rejectUnauthorized", true);
  checkFunction(options.keylog, "tls.keylog");
  const { minVersion, maxVersion, ALPNProtocols, handshakeTimeoutMs } = options;
  for (const [name, version] of Object.entries({ minVersion, maxVersion })) {
    if (version === undefined || Object.hasOwn(VERSIONS, version)) continue;
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${show(version)} as tls.${name}: give ${choiceOf(Object.keys(VERSIONS))}`,
    );
  }
  if (minVersion === "TLSv1.3" && maxVersion === "TLSv1.2") {
    throw typeError("ERR_INVALID_OPTION", "Cannot use a tls.minVersion above tls.maxVersion");
  }
  if (ALPNProtocols !== undefined) {
    for (const protocol of listOf(ALPNProtocols, "tls.ALPNProtocols")) {
      const { length } = encode(stringOf(protocol, "a protocol of tls.ALPNProtocols"));
      if (length > 0 && length <= MAX_PROTOCOL_BYTES) continue;
      throw typeError(
        "ERR_INVALID_OPTION",
        `Cannot use ${show(protocol)} as a protocol of tls.ALPNProtocols: give 1 to ${MAX_PROTOCOL_BYTES} bytes`,
      );
    }
  }
  if (
    handshakeTimeoutMs !== undefined &&
    !(
      typeof handshakeTimeoutMs === "number" &&
      handshakeTimeoutMs > 0 &&
      handshakeTimeoutMs <= MAX_TIMEOUT_MS
    )
  ) {
    throw numberError(
      "ERR_INVALID_TIMEOUT",
      handshakeTimeoutMs,
      `Cannot use ${show(handshakeTimeoutMs)} as tls.handshakeTimeoutMs: give milliseconds above 0, up to ${MAX_TIMEOUT_MS}`,
    );
  }
}

function checkCertificate({ cert, key, passphrase }: TlsCertificate, of: string): void {
  const certs = cert === undefined ? 0 : countOf(cert, `${of}.cert`);
  const keys = key === undefined ? 0 : countOf(key, `${of}.key`);
  if (certs !== keys && certs > 0 && keys > 0) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${certs} entries in ${of}.cert with ${keys} in ${of}.key: give a key for each`,
    );
  }
  if (certs > 0 !== keys > 0) {
    const [one, other] = certs > 0 ? ["cert", "key"] : ["key", "cert"];
    throw typeError("ERR_INVALID_OPTION", `Cannot use ${of}.${one} without ${of}.${other}`);
  }
  if (passphrase !== undefined) stringOf(passphrase, `${of}.passphrase`);
}

/** The number of entries of `tls.cert` or `tls.key`. With an empty list, every handshake of a server would fail. */
function countOf(pem: Pem, name: string): number {
  const { length } = pemsOf(pem, name);
  if (length > 0) return length;
  throw typeError("ERR_INVALID_OPTION", `Cannot use [] as ${name}: give at least one entry`);
}

function checkFunction(value: unknown, name: string): void {
  if (value === undefined || typeof value === "function") return;
  throw typeError("ERR_INVALID_OPTION", `Cannot use ${show(value)} as ${name}: give a function`);
}

/** The entries of an option in PEM format, as bytes. @throws TypeError `ERR_INVALID_OPTION` */
export function pemsOf(pem: Pem, name: string): Uint8Array[] {
  const entries = Array.isArray(pem) ? (pem as readonly (string | Uint8Array)[]) : [pem];
  return entries.map((entry) => {
    const bytes = typeof entry === "string" ? encode(entry) : entry;
    if (!(bytes instanceof Uint8Array)) {
      throw typeError(
        "ERR_INVALID_OPTION",
        `Cannot use ${show(entry)} as ${name}: give PEM text, as a string or a Uint8Array`,
      );
    }
    if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes("-----BEGIN ")) {
      return bytes;
    }
    // Often the path of a file is given. Its contents, which may be a key, are not shown.
    const isPath = typeof entry === "string" && entry.length < 256 && !entry.includes("\n");
    const given = isPath ? show(entry) : showBytes(bytes);
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${given} as ${name}: give the contents of a file in PEM format, which has a line -----BEGIN ...-----`,
    );
  });
}

/** Names bytes without showing them, because they may be a key. */
function showBytes(value: unknown): string {
  return value instanceof Uint8Array ? `${value.length} bytes` : show(value);
}

const encoder = new TextEncoder();

export function encode(text: string): Uint8Array {
  return encoder.encode(text);
}
