import { ERRNO } from "../base/errno.ts";
import { typeError } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import type { Arena } from "../sys/arena.ts";
import type { TlsContext } from "./context.ts";
import type { TlsLibrary } from "./library.ts";
import { certificateError, checkCode, failureOf, type TlsError, truncated } from "./tls-error.ts";

const CTRL_SET_TLSEXT_HOSTNAME = 55;
const ERROR_WANT_READ = 2;
const ERROR_ZERO_RETURN = 6;
const WANT_READING = 3;
const HOSTFLAG_NO_PARTIAL_WILDCARDS = 4;
// Types of records.
const HANDSHAKE = 22;
const APPLICATION_DATA = 23;
// Results of the checks of a certificate. Source: x509_vfy.h
const HOSTNAME_MISMATCH = 62;
const ADDRESS_MISMATCH = 64;
/** The most plaintext of one record. */
export const RECORD_BYTES = 16_384;
/** The longest DER encoding of a certificate or a session that is read. */
const MAX_DER_BYTES = 65_535;

/** Facts about an established TLS session. */
export interface TlsInfo {
  /** The version: `"TLSv1.3"`. */
  readonly protocol: string;
  /** The cipher by its name in OpenSSL: `"TLS_AES_256_GCM_SHA384"`. */
  readonly cipher: string;
  /** The protocol of the application that both chose by ALPN; `null` if none was. */
  readonly alpnProtocol: string | null;
  /** The name of the server that the client has sent (SNI); `null` if it has sent none. */
  readonly servername: string | null;
  /** Whether an earlier session was resumed. */
  readonly resumed: boolean;
  /** Whether the peer has a certificate that passed all checks. */
  readonly authorized: boolean;
  /** The code of the check that its certificate did not pass, as that of a {@link TlsError}; `null` if there is none. */
  readonly authorizationError: string | null;
  /**
   * The certificate of the peer in DER format, for `new X509Certificate()` of node:crypto; `null` if it has sent
   * none. Each access reads it again.
   */
  readonly peerCertificate: Uint8Array | null;
  /**
   * The session of a client, to be resumed by the option `session` of another connection to the same server; `null` if the server does not allow
   * that.
   *
   * @remarks
   * In TLS 1.3 the server sends it after the handshake: call this when something was received, or when the connection ends.
   * A session should be resumed once only, so that its connections cannot be linked.
   */
  session(): Uint8Array | null;
}

/** The peer that a client expects. */
export interface ExpectedPeer {
  /** Its name, or its IP address. */
  readonly servername?: string | undefined;
  readonly isAddress?: boolean;
  /** An earlier session to resume. */
  readonly session?: Uint8Array | undefined;
}

/**
 * One side of a TLS session, as a state machine without a socket.
 *
 * @remarks
 * ```text
 *   received bytes -> receive() -> handshake() until it is done, then read() -> plaintext
 *   plaintext      -> write()   -> takeOutput() -> bytes to send
 * ```
 *
 * After `handshake`, `write`, `end`, and after `read` if `hasOutput` is set, the caller takes the output before it uses another
 * session of the thread: see {@link TlsLibrary}.
 */
export class TlsSession {
  readonly library: TlsLibrary;
  readonly #context: TlsContext;
  readonly #expected: ExpectedPeer;
  #ssl: number;
  #holds = true;
  /** Whether the handshake is done. */
  isOpen = false;
  /** Whether the peer has closed its half. */
  hasEnded = false;
  /** The reason if it has failed. */
  error: TlsError | null = null;
  /** Whether the last `read` may have written output. */
  hasOutput = false;
  /**
   * Whether a part of a message of the handshake has arrived behind it, such as a ticket in several records. Until `read`
   * has received the rest, `write` and `end` must not be called.
   */
  isBusy = false;
  /** The bytes of the current record that are missing, and those of the next header that have arrived. */
  #missing = 0;
  #headBytes = 0;
  /** The first of the two bytes of its length. */
  #lengthHigh = 0;
  /** The number of received records that have not been read. */
  #records = 0;
  /** Whether the bytes are those of records from the first one on: a ClientHello may have the format of SSL 2. */
  #isCounted: boolean | undefined;

  /**
   * @throws TypeError `ERR_INVALID_OPTION` for a session that cannot be resumed or a name that is none; SysError `ENOMEM`.
   */
  constructor(context: TlsContext, expected: ExpectedPeer = {}) {
    const { library, address } = context;
    const { calls, input, output } = library;
    this.library = library;
    this.#context = context;
    this.#expected = expected;
    this.#ssl = calls.SSL_new(address);
    if (this.#ssl === 0) throw new SysError("SSL_new", ERRNO.ENOMEM);
    context.hold();
    calls.BIO_up_ref(input);
    calls.SSL_set0_rbio(this.#ssl, input);
    calls.BIO_up_ref(output);
    calls.SSL_set0_wbio(this.#ssl, output);
    if (context.isServer) {
      calls.SSL_set_accept_state(this.#ssl);
      return;
    }
    calls.SSL_set_connect_state(this.#ssl);
    try {
      this.#expect(expected, context.verifies);
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  #expect({ servername, isAddress, session }: ExpectedPeer, verifies: boolean): void {
    const ssl = this.#ssl;
    const { calls } = this.library;
    if (servername !== undefined) {
      if (!isAddress && servername !== "") {
        calls.SSL_ctrl(ssl, CTRL_SET_TLSEXT_HOSTNAME, 0, this.library.put(servername));
      }
      const param = calls.SSL_get0_param(ssl);
      const text = this.library.put(servername);
      calls.X509_VERIFY_PARAM_set_hostflags(param, HOSTFLAG_NO_PARTIAL_WILDCARDS);
      const isSet = isAddress
        ? calls.X509_VERIFY_PARAM_set1_ip_asc(param, text)
        : calls.X509_VERIFY_PARAM_set1_host(param, text, 0);
      if (isSet !== 1) calls.ERR_clear_error();
      if (isSet !== 1 && verifies) {
        throw typeError(
          "ERR_INVALID_OPTION",
          `Cannot use ${JSON.stringify(servername)} as tls.servername: give a name or an IP address`,
        );
      }
    }
    if (session !== undefined && !this.#resume(session)) {
      calls.ERR_clear_error();
      throw typeError(
        "ERR_INVALID_OPTION",
        "Cannot use these bytes as tls.session: give those that connection.tls.session() returned",
      );
    }
  }

  #resume(session: Uint8Array): boolean {
    const { calls, scratch } = this.library;
    return this.library.withBytes(session, (bytes, length) => {
      // d2i advances the address that it is given.
      scratch.setWord(0, bytes);
      const found = calls.d2i_SSL_SESSION(0, scratch.address, length);
      if (found === 0) return false;
      const isSet = calls.SSL_set_session(this.#ssl, found) === 1;
      calls.SSL_SESSION_free(found);
      return isSet;
    });
  }

  /**
   * Passes received bytes to the session. The caller then calls `handshake` or `read`. The bytes are read where they
   * are, and may be overwritten after that.
   */
  receive(arena: Arena, offset: number, length: number): void {
    this.#countRecords(arena.u8, offset, offset + length);
    this.library.setInput(arena.address + offset, length);
  }

  /**
   * Continues the handshake.
   *
   * @returns Whether it has ended: `isOpen` or `error` is set then. If it is open, `read` must be called.
   */
  handshake(): boolean {
    const { calls } = this.library;
    calls.ERR_clear_error();
    const result = calls.SSL_do_handshake(this.#ssl);
    if (result === 1) {
      this.error = this.#resumedFault();
      if (this.error !== null) return true;
      this.isOpen = true;
      // Application data may have arrived with the last bytes of the handshake.
      this.#records = Number.POSITIVE_INFINITY;
      this.#release();
      return true;
    }
    if (calls.SSL_get_error(this.#ssl, result) === ERROR_WANT_READ) return false;
    this.#fail("handshake");
    return true;
  }

  /**
   * The reason why the peer of a resumed session is not accepted: it sends no certificate, so OpenSSL checks none. The
   * session may be that of another server, or of a connection that accepted every certificate.
   */
  #resumedFault(): TlsError | null {
    const { calls } = this.library;
    const { verifies, isServer } = this.#context;
    if (isServer || !verifies || calls.SSL_session_reused(this.#ssl) !== 1) return null;
    const check = calls.SSL_get_verify_result(this.#ssl) || this.#checkName();
    if (check === 0) return null;
    this.hasOutput = true;
    const text = this.library.text(calls.X509_verify_cert_error_string(check));
    return certificateError(check, text, this.#expected.servername);
  }

  /** @returns The number of the check that the certificate in the session does not pass; 0 if it is for the peer. */
  #checkName(): number {
    const { calls } = this.library;
    const { servername = "", isAddress } = this.#expected;
    if (servername === "") return 0;
    const certificate = calls.SSL_get1_peer_certificate(this.#ssl);
    if (certificate === 0) return HOSTNAME_MISMATCH;
    const text = this.library.put(servername);
    const isSame = isAddress
      ? calls.X509_check_ip_asc(certificate, text, 0)
      : calls.X509_check_host(certificate, text, 0, HOSTFLAG_NO_PARTIAL_WILDCARDS, 0);
    calls.X509_free(certificate);
    if (isSame === 1) return 0;
    return isAddress ? ADDRESS_MISMATCH : HOSTNAME_MISMATCH;
  }

  /**
   * Decrypts everything that was received.
   *
   * @returns The number of bytes at the start of `plaintext` of the library, which stay until the next session reads.
   */
  read(): number {
    const { calls, plaintext } = this.library;
    const { address, byteLength } = plaintext;
    const ssl = this.#ssl;
    let length = 0;
    // One call for each record, and one more only if a part of a record was received.
    while (this.#records > 0 || this.#missing > 0 || this.#headBytes > 0) {
      const room = Math.min(byteLength - length, RECORD_BYTES);
      const read = calls.SSL_read(ssl, address + length, room);
      if (read > 0) {
        length += read;
        this.#records--;
        continue;
      }
      // A record was read that had no data, but a message of the handshake.
      const hasMessage = this.#records > 0;
      if (hasMessage && Number.isFinite(this.#records)) this.hasOutput = true;
      this.#records = 0;
      if (calls.SSL_want(ssl) !== WANT_READING) this.#readEnded(read);
      else if (hasMessage) this.#messageRead();
      break;
    }
    return length;
  }

  /** Encrypts bytes. @returns Whether it did; otherwise `error` is set, and there may be output. */
  write(address: number, length: number): boolean {
    const { calls } = this.library;
    if (this.#ssl === 0) return false;
    if (calls.SSL_write(this.#ssl, address, length) === length) return true;
    this.#fail("session");
    return false;
  }

  /** Closes this half with the alert close_notify. */
  end(): void {
    if (this.error !== null || !this.isOpen) return;
    const { calls } = this.library;
    if (calls.SSL_shutdown(this.#ssl) < 0) calls.ERR_clear_error();
  }

  /** The transport has ended. Sets `error` unless the peer has closed its half before. */
  transportEnded(): void {
    if (!this.hasEnded) this.error ??= truncated();
  }

  /** Moves output to `address`. @returns The number of bytes: fewer than `room` if no more are left. */
  takeOutput(address: number, room: number): number {
    const { calls, output } = this.library;
    return Math.max(0, calls.BIO_read(output, address, room));
  }

  dispose(): void {
    if (this.#ssl === 0) return;
    this.library.calls.SSL_free(this.#ssl);
    this.#ssl = 0;
    this.#release();
  }

  /** Facts about the session; `null` before the handshake is done and after it was disposed of. */
  get info(): TlsInfo | null {
    return this.#ssl === 0 || !this.isOpen ? null : this.#info();
  }

  #info(): TlsInfo {
    const ssl = this.#ssl;
    const { calls } = this.library;
    const certificate = this.#certificate();
    const check = calls.SSL_get_verify_result(ssl);
    const name = this.library.text(calls.SSL_get_servername(ssl, 0));
    return {
      protocol: this.library.text(calls.SSL_get_version(ssl)),
      cipher: this.library.text(calls.SSL_CIPHER_get_name(calls.SSL_get_current_cipher(ssl))),
      alpnProtocol: this.#alpnProtocol(),
      servername: name === "" ? null : name,
      resumed: calls.SSL_session_reused(ssl) === 1,
      authorized: certificate !== null && check === 0,
      authorizationError: check === 0 ? null : checkCode(check),
      peerCertificate: certificate,
      session: () => this.#session(),
    };
  }

  #alpnProtocol(): string | null {
    const { calls, scratch } = this.library;
    calls.SSL_get0_alpn_selected(this.#ssl, scratch.address, scratch.address + 8);
    const address = scratch.getWord(0);
    const length = scratch.u32[2] as number;
    return address === 0 ? null : Buffer.from(this.library.bytes(address, length)).toString();
  }

  #certificate(): Uint8Array | null {
    const { calls } = this.library;
    const certificate = calls.SSL_get1_peer_certificate(this.#ssl);
    if (certificate === 0) return null;
    const der = this.#der((at) => calls.i2d_X509(certificate, at));
    calls.X509_free(certificate);
    return der;
  }

  #session(): Uint8Array | null {
    if (this.#ssl === 0 || this.#context.isServer) return null;
    const { calls } = this.library;
    const session = calls.SSL_get1_session(this.#ssl);
    if (session === 0) return null;
    const isResumable = calls.SSL_SESSION_is_resumable(session) === 1;
    const der = isResumable ? this.#der((at) => calls.i2d_SSL_SESSION(session, at)) : null;
    calls.SSL_SESSION_free(session);
    return der;
  }

  /** The bytes that `encode` writes at an address, whose own address it is given. */
  #der(encode: (at: number) => number): Uint8Array | null {
    const { scratch } = this.library;
    const length = encode(0);
    if (length <= 0 || length > MAX_DER_BYTES - 8) return null;
    scratch.setWord(0, scratch.address + 8);
    encode(scratch.address);
    return scratch.u8.slice(8, 8 + length);
  }

  /** Counts the records that end in received bytes, by the lengths in their headers. RFC 8446 section 5.1 */
  #countRecords(bytes: Uint8Array, from: number, to: number): void {
    let missing = this.#missing;
    let headBytes = this.#headBytes;
    this.hasOutput = false;
    this.#isCounted ??= bytes[from] === HANDSHAKE;
    if (!this.#isCounted) {
      this.hasOutput = true;
      this.#records = Number.POSITIVE_INFINITY;
      return;
    }
    for (let at = from; at < to; ) {
      if (missing > 0) {
        const part = Math.min(missing, to - at);
        at += part;
        missing -= part;
        if (missing === 0) this.#records++;
        continue;
      }
      const byte = bytes[at++] as number;
      // An alert, or a message of a handshake, may be answered.
      if (headBytes === 0 && byte !== APPLICATION_DATA) this.hasOutput = true;
      headBytes++;
      if (headBytes === 4) this.#lengthHigh = byte;
      if (headBytes < 5) continue;
      headBytes = 0;
      missing = this.#lengthHigh * 256 + byte;
      if (missing === 0) this.#records++;
    }
    this.#missing = missing;
    this.#headBytes = headBytes;
  }

  /** Reads again behind the end. @returns The result of SSL_read. */
  #readNothing(): number {
    const { calls, plaintext } = this.library;
    return calls.SSL_read(this.#ssl, plaintext.address, 1);
  }

  /** A message of the handshake was read, or a part of one. */
  #messageRead(): void {
    // After a message that is not valid, SSL_want is the same as before it.
    const reason = this.library.takeReason(true);
    if (reason !== "") this.#fail("session", reason);
    else this.isBusy = this.library.calls.SSL_in_init(this.#ssl) === 1;
  }

  /** SSL_read has returned no bytes, although it does not wait for any. */
  #readEnded(result: number): void {
    const { calls } = this.library;
    let isEnd = calls.SSL_get_error(this.#ssl, result) === ERROR_ZERO_RETURN;
    let reason = "";
    if (!isEnd) {
      reason = this.library.takeReason(true);
      // A failure that other code of this thread has left hides the end.
      isEnd =
        reason === "" && calls.SSL_get_error(this.#ssl, this.#readNothing()) === ERROR_ZERO_RETURN;
    }
    if (isEnd) {
      this.hasEnded = true;
      this.#discardInput();
    } else {
      this.#fail("session", reason);
    }
  }

  #fail(during: "handshake" | "session", reason: string = this.library.takeReason()): void {
    const { calls } = this.library;
    const { servername } = this.#expected;
    const check = calls.SSL_get_verify_result(this.#ssl);
    if (during === "handshake" && check !== 0 && /certificate verify failed/.test(reason)) {
      const text = this.library.text(calls.X509_verify_cert_error_string(check));
      this.error = certificateError(check, text, this.#context.isServer ? undefined : servername);
    } else {
      this.error = reason === "" ? truncated() : failureOf(during, reason);
    }
    this.hasOutput = true;
    this.#discardInput();
  }

  /** Nothing that this session leaves may be read by another one. */
  #discardInput(): void {
    this.library.setInput(0, 0);
  }

  #release(): void {
    if (!this.#holds) return;
    this.#holds = false;
    this.#context.release();
  }
}
