import { createHash } from "node:crypto";
import { ERRNO } from "../base/errno.ts";
import { typeError } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import type { TlsLibrary } from "./library.ts";
import {
  encode,
  type Pem,
  pemsOf,
  TICKET_KEYS_BYTES,
  type TlsCertificate,
  type TlsClientOptions,
  type TlsServerOptions,
  VERSIONS,
} from "./options.ts";

// The commands of SSL_CTX_ctrl. Source: ssl.h
const CTRL_MODE = 33;
const CTRL_SET_SESS_CACHE_MODE = 44;
const CTRL_SET_TLSEXT_SERVERNAME_CB = 53;
const CTRL_SET_TLSEXT_SERVERNAME_ARG = 54;
const CTRL_SET_TLSEXT_TICKET_KEYS = 59;
const CTRL_CHAIN_CERT = 89;
const CTRL_SET_MIN_PROTO_VERSION = 123;
const CTRL_SET_MAX_PROTO_VERSION = 124;

const MODE_ACCEPT_MOVING_WRITE_BUFFER = 2;
const MODE_RELEASE_BUFFERS = 0x10;
const OP_NO_COMPRESSION = 0x2_0000;
const OP_CIPHER_SERVER_PREFERENCE = 0x40_0000;
const OP_NO_RENEGOTIATION = 0x4000_0000;
const VERIFY_PEER = 1;
const VERIFY_FAIL_IF_NO_PEER_CERT = 2;
const TLSEXT_NAMETYPE_HOST_NAME = 0;
// What callbacks return.
const TLSEXT_ERR_OK = 0;
const TLSEXT_ERR_ALERT_FATAL = 2;
const TLSEXT_ERR_NOACK = 3;

/** The ciphers below TLS 1.3: forward secret, and with authenticated encryption. */
const DEFAULT_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20";

/** The callbacks of OpenSSL, which serve all contexts of a thread. Each is made when it is needed first. */
interface Callbacks {
  alpn?: number;
  servername?: number;
  keylog?: number;
  acceptAny?: number;
}

/** What the contexts of a library share. */
interface State {
  /** The contexts by their address. */
  readonly contexts: Map<number, TlsContext>;
  readonly callbacks: Callbacks;
  /** Lines for `keylog`. Within a call of OpenSSL, it could free the session that the call is about. */
  readonly secrets: { readonly context: TlsContext; readonly line: string }[];
}

const states = new WeakMap<TlsLibrary, State>();

function stateOf(library: TlsLibrary): State {
  let state = states.get(library);
  if (state === undefined) {
    state = { contexts: new Map(), callbacks: {}, secrets: [] };
    states.set(library, state);
  }
  return state;
}

/**
 * The settings of sessions of a server or of a client: an SSL_CTX.
 *
 * @remarks
 * Sessions keep what they need of it, so it may be disposed of while there are some. It is freed when the handshakes in
 * progress have ended.
 */
export class TlsContext {
  readonly library: TlsLibrary;
  readonly isServer: boolean;
  readonly verifies: boolean;
  /** The address of the SSL_CTX; 0 once it is disposed of. */
  address: number;
  readonly #protocols: readonly Uint8Array[];
  readonly #keylog: ((line: string) => void) | undefined;
  /** The contexts for other names. */
  readonly #named: Map<string, TlsContext> = new Map();
  /** The number of handshakes in progress, whose callbacks it serves. */
  #handshakes = 0;
  #disposed = false;

  /**
   * @param options - Checked options.
   * @throws TypeError `ERR_INVALID_OPTION` for values that OpenSSL does not accept.
   */
  constructor(
    library: TlsLibrary,
    options: TlsServerOptions & TlsClientOptions,
    isServer: boolean,
    of = "tls",
  ) {
    const { calls } = library;
    this.library = library;
    this.isServer = isServer;
    this.verifies =
      options.rejectUnauthorized !== false && (!isServer || options.requestCert === true);
    this.#protocols = (options.ALPNProtocols ?? []).map(encode);
    this.#keylog = options.keylog;
    calls.ERR_clear_error();
    this.address = calls.SSL_CTX_new(
      isServer ? calls.TLS_server_method() : calls.TLS_client_method(),
    );
    if (this.address === 0) throw new SysError("SSL_CTX_new", ERRNO.ENOMEM);
    stateOf(library).contexts.set(this.address, this);
    try {
      this.#setUp(options, of);
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** A handshake begins. The context stays until it has ended. */
  hold(): void {
    this.#handshakes++;
  }

  /** A handshake has ended. */
  release(): void {
    this.#handshakes--;
    if (this.#disposed) this.dispose();
  }

  /** Frees it, when no handshake is in progress. */
  dispose(): void {
    this.#disposed = true;
    if (this.address === 0 || this.#handshakes > 0) return;
    stateOf(this.library).contexts.delete(this.address);
    for (const context of this.#named.values()) context.dispose();
    this.#named.clear();
    this.library.calls.SSL_CTX_free(this.address);
    this.address = 0;
  }

  #setUp(options: TlsServerOptions & TlsClientOptions, of: string): void {
    const { address, library } = this;
    const { calls } = library;
    calls.SSL_CTX_ctrl(
      address,
      CTRL_MODE,
      MODE_RELEASE_BUFFERS | MODE_ACCEPT_MOVING_WRITE_BUFFER,
      0,
    );
    calls.SSL_CTX_set_options(
      address,
      OP_NO_COMPRESSION | OP_NO_RENEGOTIATION | (this.isServer ? OP_CIPHER_SERVER_PREFERENCE : 0),
    );
    // Sessions are resumed by tickets, which the client keeps.
    calls.SSL_CTX_ctrl(address, CTRL_SET_SESS_CACHE_MODE, 0, 0);
    const { minVersion = "TLSv1.2", maxVersion = "TLSv1.3" } = options;
    calls.SSL_CTX_ctrl(address, CTRL_SET_MIN_PROTO_VERSION, VERSIONS[minVersion], 0);
    calls.SSL_CTX_ctrl(address, CTRL_SET_MAX_PROTO_VERSION, VERSIONS[maxVersion], 0);
    this.#setCiphers(options);
    this.#setCertificates(options, of);
    this.#setTrust(options);
    this.#setProtocols();
    if (this.#keylog !== undefined) {
      calls.SSL_CTX_set_keylog_callback(address, keylogCallback(library));
    }
    if (this.isServer) this.#setServer(options);
  }

  #setCiphers({ ciphers, maxVersion }: TlsServerOptions & TlsClientOptions): void {
    const { address, library } = this;
    const { calls } = library;
    const names = (ciphers ?? DEFAULT_CIPHERS).split(":");
    const suites = names.filter((name) => name.startsWith("TLS_")).join(":");
    const older = names.filter((name) => !name.startsWith("TLS_")).join(":");
    // Without a cipher for TLS 1.2, OpenSSL would use ciphers that nobody has asked for.
    const isNewest = older === "" && suites !== "" && maxVersion !== "TLSv1.2";
    const isSet =
      (isNewest || calls.SSL_CTX_set_cipher_list(address, library.put(older)) === 1) &&
      (suites === "" || calls.SSL_CTX_set_ciphersuites(address, library.put(suites)) === 1);
    if (!isSet) {
      const reason = library.takeReason() || "no cipher match";
      throw typeError(
        "ERR_INVALID_OPTION",
        `Cannot use ${JSON.stringify(ciphers)} as tls.ciphers: ${reason}`,
      );
    }
    if (isNewest) calls.SSL_CTX_ctrl(address, CTRL_SET_MIN_PROTO_VERSION, VERSIONS["TLSv1.3"], 0);
  }

  #setCertificates({ cert, key, passphrase }: TlsCertificate, of: string): void {
    if (cert === undefined || key === undefined) return;
    const keys = pemsOf(key, `${of}.key`);
    for (const [i, pem] of pemsOf(cert, `${of}.cert`).entries()) {
      this.#useCertificate(pem, `${of}.cert`);
      this.#useKey(keys[i] as Uint8Array, passphrase, of);
    }
  }

  /** Uses the first certificate of a PEM text, and those behind it as its chain. */
  #useCertificate(pem: Uint8Array, name: string): void {
    const { address, library } = this;
    const { calls } = library;
    const [leaf, ...chain] = library.certificatesOf(pem, name) as [number, ...number[]];
    if (calls.X509_cmp_current_time(calls.X509_get0_notAfter(leaf)) < 0) {
      process.emitWarning(`the certificate in ${name} has expired`, "PolloiWarning");
    }
    const isUsed = calls.SSL_CTX_use_certificate(address, leaf) === 1;
    calls.X509_free(leaf);
    for (const each of chain) {
      // The context owns it then.
      if (!isUsed || calls.SSL_CTX_ctrl(address, CTRL_CHAIN_CERT, 0, each) !== 1) {
        calls.X509_free(each);
      }
    }
    if (isUsed) return;
    throw typeError("ERR_INVALID_OPTION", `Cannot use ${name}: ${library.takeReason()}`);
  }

  #useKey(pem: Uint8Array, passphrase: string | undefined, of: string): void {
    const { address, library } = this;
    const { calls } = library;
    const key = library.withBio(pem, (bio) =>
      // Without a text of its own, OpenSSL would ask for it on the terminal.
      library.withBytes(encode(passphrase ?? ""), (text) =>
        calls.PEM_read_bio_PrivateKey(bio, 0, 0, text),
      ),
    );
    if (key === 0) {
      const reason = library.takeReason();
      const isEncrypted = Buffer.from(pem).includes("ENCRYPTED");
      const text = !isEncrypted
        ? `there is no valid private key in it (${reason})`
        : passphrase === undefined
          ? "it is encrypted; give passphrase"
          : "the passphrase is wrong";
      throw typeError("ERR_INVALID_OPTION", `Cannot use ${of}.key: ${text}`);
    }
    const isUsed = calls.SSL_CTX_use_PrivateKey(address, key) === 1;
    calls.EVP_PKEY_free(key);
    if (isUsed && calls.SSL_CTX_check_private_key(address) === 1) return;
    const reason = library.takeReason();
    const isOther = /mismatch/.test(reason);
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${of}.key: ${isOther ? `it is not the key of ${of}.cert` : reason}`,
    );
  }

  /** Sets the certificates that those of peers are checked against, and whether they are. */
  #setTrust(options: TlsServerOptions & TlsClientOptions): void {
    const { address, library, isServer } = this;
    const { calls } = library;
    const { ca, rejectUnauthorized = true, requestCert = false } = options;
    if (isServer && !requestCert) return;
    if (ca === undefined) {
      calls.SSL_CTX_set1_cert_store(address, library.roots());
    } else {
      this.#trust(ca);
    }
    if (!isServer) {
      calls.SSL_CTX_set_verify(address, rejectUnauthorized ? VERIFY_PEER : 0, 0);
    } else if (rejectUnauthorized) {
      calls.SSL_CTX_set_verify(address, VERIFY_PEER | VERIFY_FAIL_IF_NO_PEER_CERT, 0);
    } else {
      calls.SSL_CTX_set_verify(address, VERIFY_PEER, acceptAnyCallback(library));
    }
  }

  #trust(ca: Pem): void {
    const { address, library, isServer } = this;
    const { calls } = library;
    const store = calls.X509_STORE_new();
    try {
      for (const pem of pemsOf(ca, "tls.ca")) {
        for (const certificate of library.certificatesOf(pem, "tls.ca")) {
          calls.X509_STORE_add_cert(store, certificate);
          if (isServer) calls.SSL_CTX_add_client_CA(address, certificate);
          calls.X509_free(certificate);
        }
      }
      calls.SSL_CTX_set1_cert_store(address, store);
    } finally {
      calls.X509_STORE_free(store);
      calls.ERR_clear_error();
    }
  }

  #setProtocols(): void {
    const { address, library, isServer } = this;
    const { calls } = library;
    if (this.#protocols.length === 0) return;
    if (isServer) {
      calls.SSL_CTX_set_alpn_select_cb(address, alpnCallback(library), address);
      return;
    }
    const list = this.#protocols.flatMap((protocol) => [protocol.length, ...protocol]);
    library.withBytes(Uint8Array.from(list), (bytes, length) =>
      calls.SSL_CTX_set_alpn_protos(address, bytes, length),
    );
  }

  #setServer(options: TlsServerOptions): void {
    const { address, library } = this;
    const { calls } = library;
    library.withBytes(sessionIdContext(options), (bytes, length) =>
      calls.SSL_CTX_set_session_id_context(address, bytes, length),
    );
    const { ticketKeys, contexts = {} } = options;
    if (ticketKeys !== undefined) {
      library.withBytes(ticketKeys, (bytes) =>
        calls.SSL_CTX_ctrl(address, CTRL_SET_TLSEXT_TICKET_KEYS, TICKET_KEYS_BYTES, bytes),
      );
    }
    const names = Object.entries(contexts);
    if (names.length === 0) return;
    for (const [name, certificate] of names) {
      const { contexts: _, ...common } = options;
      const named = { ...common, passphrase: undefined, ...certificate };
      const context = new TlsContext(library, named, true, `tls.contexts[${JSON.stringify(name)}]`);
      this.#named.set(name.toLowerCase(), context);
    }
    calls.SSL_CTX_callback_ctrl(
      address,
      CTRL_SET_TLSEXT_SERVERNAME_CB,
      servernameCallback(library),
    );
    calls.SSL_CTX_ctrl(address, CTRL_SET_TLSEXT_SERVERNAME_ARG, 0, address);
  }

  /** The context for a name that a client has sent; undefined if this one serves it. */
  named(name: string): TlsContext | undefined {
    const lower = name.toLowerCase();
    return this.#named.get(lower) ?? this.#named.get(lower.replace(/^[^.]*/, "*"));
  }

  /**
   * Chooses a protocol.
   *
   * @param offered - The client's list: each name behind its length.
   * @returns The offset of its length in the list; -1 if there is none.
   */
  choose(offered: Uint8Array): number {
    for (const protocol of this.#protocols) {
      for (let at = 0; at < offered.length; at += 1 + (offered[at] as number)) {
        const name = offered.subarray(at + 1, at + 1 + (offered[at] as number));
        if (Buffer.compare(name, protocol) === 0) return at;
      }
    }
    return -1;
  }

  /** Calls `keylog`, which may do anything to any session. */
  log(line: string): void {
    this.#keylog?.(line);
  }
}

/**
 * Passes the secrets of handshakes to `keylog`.
 *
 * @param fail - Called with what it throws.
 */
export function passSecrets(library: TlsLibrary, fail: (error: unknown) => void): void {
  const { secrets } = stateOf(library);
  if (secrets.length === 0) return;
  for (const { context, line } of secrets.splice(0)) {
    try {
      context.log(line);
    } catch (error) {
      fail(error);
    }
  }
}

/**
 * The bytes that tell apart servers whose clients may not resume the sessions of each other, although they have the same
 * `ticketKeys`: a client whose certificate one of them has accepted, or not asked for, is checked by the other.
 */
function sessionIdContext(options: TlsServerOptions): Uint8Array {
  const { requestCert = false, rejectUnauthorized = true, ca } = options;
  const hash = createHash("sha256").update("polloi");
  if (requestCert) {
    hash.update(rejectUnauthorized ? "required" : "requested");
    for (const pem of ca === undefined ? [] : pemsOf(ca, "tls.ca")) hash.update(pem);
  }
  return hash.digest();
}

/** Nothing may be thrown through OpenSSL. */
function guarded(callback: () => number, otherwise: number): number {
  try {
    return callback();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
    return otherwise;
  }
}

/** Chooses a protocol of the application. SSL_CTX_set_alpn_select_cb(3) */
function alpnCallback(library: TlsLibrary): number {
  const { callbacks, contexts } = stateOf(library);
  const { calls, openSsl, scratch } = library;
  callbacks.alpn ??= openSsl.callback(
    ["ptr", "ptr", "ptr", "ptr", "u32", "ptr"],
    (_ssl, out, outLength, offered, length, context) =>
      guarded(() => {
        const list = library.bytes(offered as number, length as number);
        const at = contexts.get(context as number)?.choose(list) ?? -1;
        if (at < 0) return TLSEXT_ERR_ALERT_FATAL;
        scratch.setWord(0, (offered as number) + at + 1);
        scratch.u8[8] = list[at] as number;
        calls.memcpy(out as number, scratch.address, 8);
        calls.memcpy(outLength as number, scratch.address + 8, 1);
        return TLSEXT_ERR_OK;
      }, TLSEXT_ERR_ALERT_FATAL),
  );
  return callbacks.alpn;
}

/** Chooses the context for the name of the server. SSL_CTX_set_tlsext_servername_callback(3) */
function servernameCallback(library: TlsLibrary): number {
  const { callbacks, contexts } = stateOf(library);
  const { calls, openSsl } = library;
  callbacks.servername ??= openSsl.callback(["ptr", "ptr", "ptr"], (ssl, _alert, context) =>
    guarded(() => {
      const name = library.text(calls.SSL_get_servername(ssl as number, TLSEXT_NAMETYPE_HOST_NAME));
      const named = name === "" ? undefined : contexts.get(context as number)?.named(name);
      if (named === undefined) return TLSEXT_ERR_NOACK;
      calls.SSL_set_SSL_CTX(ssl as number, named.address);
      return TLSEXT_ERR_OK;
    }, TLSEXT_ERR_NOACK),
  );
  return callbacks.servername;
}

/** Passes secrets on. SSL_CTX_set_keylog_callback(3) */
function keylogCallback(library: TlsLibrary): number {
  const { callbacks, contexts, secrets } = stateOf(library);
  const { calls, openSsl } = library;
  callbacks.keylog ??= openSsl.callback(["ptr", "ptr"], (ssl, line) =>
    guarded(() => {
      const text = library.text(line as number);
      const context = contexts.get(calls.SSL_get_SSL_CTX(ssl as number));
      if (context !== undefined) secrets.push({ context, line: text });
      return 0;
    }, 0),
  );
  return callbacks.keylog;
}

/** Accepts a certificate that did not pass a check, whose result is kept. SSL_CTX_set_verify(3) */
function acceptAnyCallback(library: TlsLibrary): number {
  const { callbacks } = stateOf(library);
  callbacks.acceptAny ??= library.openSsl.callback(["i32", "ptr"], () => 1);
  return callbacks.acceptAny;
}
