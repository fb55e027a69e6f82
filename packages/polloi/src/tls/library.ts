import { typeError } from "../base/misuse.ts";
import type { Arena, Arenas } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import { openSslOf } from "../sys/libssl.ts";
import type { OpenSsl, OpenSslCalls } from "../sys/openssl.ts";
import { encode } from "./options.ts";

/** Decrypted bytes of one chunk: at most a chunk of an engine, 64 KiB, and one record that began before it, 16 KiB. */
const PLAINTEXT_BYTES = 98_304;
const SCRATCH_BYTES = 65_536;
/** The command of BIO_ctrl that replaces the memory of a BIO. Source: bio.h */
const CTRL_SET_BUF_MEM = 114;
/** A BUF_MEM: length, address, size of the memory, and flags. Source: buffer.h */
const BUF_MEM_BYTES = 32;
const BUF_MEM_ADDRESS = 8;
const BUF_MEM_SIZE = 16;
/** The longest text that OpenSSL returns and that is read. */
const MAX_TEXT_BYTES = 4096;
/** ERR_LIB_SSL: the part of OpenSSL that every failure of a session is from. Source: err.h */
const LIBRARY_OF_SESSIONS = 20;
/** The part of the number of an error that is its reason; those of received alerts begin here. Source: err.h, ssl.h */
const MAX_REASON = 0x7f_ffff;
const ALERT_REASONS = 1000;
/** The reason for which PEM_read_bio_X509 fails behind the last certificate. */
const NO_MORE = "no start line";

/**
 * OpenSSL of one thread, and the memory that all of its sessions share.
 *
 * @remarks
 * A session reads everything that `input` contains before another one uses it, and takes everything that it has
 * written to `output` at once. So all sessions share two memory BIOs. They stay in the cache, and an idle session has no
 * buffers. `input` reads received bytes where they are: BIO_set_mem_buf(3).
 */
export class TlsLibrary {
  readonly openSsl: OpenSsl;
  readonly calls: OpenSslCalls;
  readonly arenas: Arenas;
  readonly input: number;
  readonly output: number;
  /** The bytes that a session has decrypted last. */
  readonly plaintext: Arena;
  readonly scratch: Arena;
  /** The BUF_MEM of `input`. */
  readonly #inputMemory: Arena;
  #roots = 0;

  constructor(openSsl: OpenSsl, arenas: Arenas) {
    const { calls } = openSsl;
    this.openSsl = openSsl;
    this.calls = calls;
    this.arenas = arenas;
    this.input = calls.BIO_new(calls.BIO_s_mem());
    this.output = calls.BIO_new(calls.BIO_s_mem());
    this.plaintext = arenas.map(PLAINTEXT_BYTES);
    this.scratch = arenas.map(SCRATCH_BYTES);
    this.#inputMemory = arenas.map(BUF_MEM_BYTES);
  }

  /** Makes `input` read bytes at an address. They must stay until the session has read them. */
  setInput(address: number, length: number): void {
    const memory = this.#inputMemory;
    memory.setWord(0, length);
    memory.setWord(BUF_MEM_ADDRESS, address);
    memory.setWord(BUF_MEM_SIZE, length);
    this.calls.BIO_ctrl(this.input, CTRL_SET_BUF_MEM, 0, memory.address);
  }

  /** The version, such as `"OpenSSL 3.0.19 27 Jan 2026"`. */
  get version(): string {
    return this.text(this.calls.OpenSSL_version(0));
  }

  /** Copies a string of C. An empty string stands for NULL. */
  text(address: number): string {
    if (address === 0) return "";
    const length = Math.min(this.calls.strlen(address), MAX_TEXT_BYTES);
    return Buffer.from(this.bytes(address, length)).toString();
  }

  /** Copies memory of OpenSSL, up to 64 KiB. */
  bytes(address: number, length: number): Uint8Array {
    const { scratch } = this;
    const count = Math.min(length, scratch.byteLength);
    this.calls.memcpy(scratch.address, address, count);
    return scratch.u8.slice(0, count);
  }

  /** Puts a string of C into the scratch memory. @returns Its address. */
  put(text: string): number {
    const { scratch } = this;
    const { written } = new TextEncoder().encodeInto(
      text,
      scratch.u8.subarray(0, scratch.byteLength - 1),
    );
    scratch.u8[written] = 0;
    return scratch.address;
  }

  /** Calls back with bytes at an address of C. They end with a NUL. */
  withBytes<T>(bytes: Uint8Array, use: (address: number, length: number) => T): T {
    const arena = this.arenas.map(bytes.length + 1);
    try {
      arena.u8.set(bytes);
      arena.u8[bytes.length] = 0;
      return use(arena.address, bytes.length);
    } finally {
      // The bytes may be a key.
      arena.u8.fill(0);
      this.arenas.release(arena);
    }
  }

  /** Calls back with a BIO that reads bytes. */
  withBio<T>(bytes: Uint8Array, use: (bio: number) => T): T {
    return this.withBytes(bytes, (address, length) => {
      const bio = this.calls.BIO_new_mem_buf(address, length);
      try {
        return use(bio);
      } finally {
        this.calls.BIO_free(bio);
      }
    });
  }

  /** The certificates of a PEM text, and the reason why the first that is not valid is not. The caller frees them. */
  readCertificates(pem: Uint8Array): { certificates: number[]; reason: string } {
    const { calls } = this;
    return this.withBio(pem, (bio) => {
      const certificates: number[] = [];
      for (let reason = ""; ; ) {
        calls.ERR_clear_error();
        const certificate = calls.PEM_read_bio_X509(bio, 0, 0, 0);
        if (certificate !== 0) {
          certificates.push(certificate);
          continue;
        }
        const failure = this.takeReason();
        // The end of the text counts as an error.
        if (failure === NO_MORE || failure === "") return { certificates, reason };
        if (reason === "") reason = failure;
      }
    });
  }

  /**
   * Like {@link TlsLibrary.readCertificates}, for an option.
   *
   * @throws TypeError `ERR_INVALID_OPTION` unless there are some, and all are valid.
   */
  certificatesOf(pem: Uint8Array, name: string): number[] {
    const { certificates, reason } = this.readCertificates(pem);
    if (certificates.length > 0 && reason === "") return certificates;
    for (const certificate of certificates) this.calls.X509_free(certificate);
    throw typeError(
      "ERR_INVALID_OPTION",
      certificates.length === 0
        ? `Cannot use ${name}: there is no valid certificate in it`
        : `Cannot use ${name}: a certificate in it is not valid (${reason})`,
    );
  }

  /** The store of the root certificates, which is made once. The caller does not free it. */
  roots(): number {
    if (this.#roots === 0) {
      const { calls } = this;
      this.#roots = calls.X509_STORE_new();
      for (const root of this.readCertificates(encode(this.openSsl.rootCertificates()))
        .certificates) {
        calls.X509_STORE_add_cert(this.#roots, root);
        calls.X509_free(root);
      }
      calls.ERR_clear_error();
    }
    return this.#roots;
  }

  /**
   * The reason of the last failure, and no failure is left; empty if there was none.
   *
   * @param isOfSession - Whether only a failure of a session counts. Other code of the thread may have left failures.
   */
  takeReason(isOfSession = false): string {
    const { calls } = this;
    let last = 0;
    for (;;) {
      const code = calls.ERR_get_error();
      if (code === 0) break;
      last = code;
    }
    if (last === 0 || (isOfSession && ((last >>> 23) & 0xff) !== LIBRARY_OF_SESSIONS)) return "";
    const text = this.text(calls.ERR_reason_error_string(last));
    if (text !== "") return text;
    const number = last & MAX_REASON;
    return number >= ALERT_REASONS ? `alert number ${number - ALERT_REASONS}` : `reason ${number}`;
  }
}

/** Whether TLS works here, and with what. */
export type OpenSslReport =
  | { readonly works: true; readonly version: string; readonly source: string }
  | { readonly works: false; readonly reason: string };

/** Reports which OpenSSL a kernel has. */
export function reportOpenSsl(kernel: Kernel): OpenSslReport {
  try {
    const { version, openSsl } = tlsLibrary(kernel);
    return { works: true, version, source: openSsl.source };
  } catch (error) {
    return { works: false, reason: (error as Error).message };
  }
}

const libraries = new WeakMap<OpenSsl, TlsLibrary>();

/** OpenSSL of the thread of a kernel. @throws UnsupportedError where there is none. */
export function tlsLibrary(kernel: Kernel): TlsLibrary {
  const openSsl = openSslOf(kernel);
  let library = libraries.get(openSsl);
  if (library === undefined) {
    library = new TlsLibrary(openSsl, kernel.arenas);
    libraries.set(openSsl, library);
  }
  return library;
}
