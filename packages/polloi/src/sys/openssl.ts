/**
 * The functions of OpenSSL 3 that polloi calls, and how a runtime binds them.
 *
 * Node's binary contains OpenSSL and exports its functions. Bun and Deno contain other libraries, so there the system's
 * libssl is opened. Nothing is bound before the first use of TLS.
 */
import type { Native, NativeType, Signature } from "./libc.ts";

/** Types of arguments and of the result, by the names of the functions, in the notation of {@link NativeType}. */
const TABLE = {
  // Memory BIOs.
  BIO_new: "ptr > ptr",
  BIO_s_mem: "> ptr",
  BIO_new_mem_buf: "ptr i32 > ptr",
  BIO_free: "ptr",
  BIO_up_ref: "ptr",
  BIO_read: "ptr ptr i32",
  BIO_ctrl: "ptr i32 size ptr",

  // Contexts.
  TLS_client_method: "> ptr",
  TLS_server_method: "> ptr",
  SSL_CTX_new: "ptr > ptr",
  SSL_CTX_free: "ptr",
  SSL_CTX_ctrl: "ptr i32 size ptr",
  SSL_CTX_callback_ctrl: "ptr i32 ptr",
  SSL_CTX_set_options: "ptr size",
  SSL_CTX_set_cipher_list: "ptr ptr",
  SSL_CTX_set_ciphersuites: "ptr ptr",
  SSL_CTX_use_certificate: "ptr ptr",
  SSL_CTX_use_PrivateKey: "ptr ptr",
  SSL_CTX_check_private_key: "ptr",
  SSL_CTX_set1_cert_store: "ptr ptr",
  SSL_CTX_add_client_CA: "ptr ptr",
  SSL_CTX_set_session_id_context: "ptr ptr u32",
  SSL_CTX_set_verify: "ptr i32 ptr",
  SSL_CTX_set_alpn_protos: "ptr ptr u32",
  SSL_CTX_set_alpn_select_cb: "ptr ptr ptr",
  SSL_CTX_set_keylog_callback: "ptr ptr",

  // Sessions.
  SSL_new: "ptr > ptr",
  SSL_free: "ptr",
  SSL_set_accept_state: "ptr",
  SSL_set_connect_state: "ptr",
  SSL_set0_rbio: "ptr ptr",
  SSL_set0_wbio: "ptr ptr",
  SSL_do_handshake: "ptr",
  SSL_read: "ptr ptr i32",
  SSL_write: "ptr ptr i32",
  SSL_shutdown: "ptr",
  SSL_get_error: "ptr i32",
  SSL_want: "ptr",
  SSL_in_init: "ptr",
  SSL_ctrl: "ptr i32 size ptr",
  SSL_set_SSL_CTX: "ptr ptr > ptr",
  SSL_get_SSL_CTX: "ptr > ptr",
  SSL_get_servername: "ptr i32 > ptr",
  SSL_get_version: "ptr > ptr",
  SSL_get_current_cipher: "ptr > ptr",
  SSL_CIPHER_get_name: "ptr > ptr",
  SSL_get0_alpn_selected: "ptr ptr ptr",
  SSL_session_reused: "ptr",
  SSL_get_verify_result: "ptr",
  SSL_get1_peer_certificate: "ptr > ptr",
  SSL_get0_param: "ptr > ptr",
  SSL_get1_session: "ptr > ptr",
  SSL_set_session: "ptr ptr",
  SSL_SESSION_free: "ptr",
  SSL_SESSION_is_resumable: "ptr",
  i2d_SSL_SESSION: "ptr ptr",
  d2i_SSL_SESSION: "ptr ptr size > ptr",

  // Certificates and keys.
  PEM_read_bio_X509: "ptr ptr ptr ptr > ptr",
  PEM_read_bio_PrivateKey: "ptr ptr ptr ptr > ptr",
  X509_free: "ptr",
  X509_get0_notAfter: "ptr > ptr",
  X509_cmp_current_time: "ptr",
  X509_check_host: "ptr ptr size u32 ptr",
  X509_check_ip_asc: "ptr ptr u32",
  i2d_X509: "ptr ptr",
  EVP_PKEY_free: "ptr",
  X509_STORE_new: "> ptr",
  X509_STORE_free: "ptr",
  X509_STORE_add_cert: "ptr ptr",
  X509_VERIFY_PARAM_set1_host: "ptr ptr size",
  X509_VERIFY_PARAM_set1_ip_asc: "ptr ptr",
  X509_VERIFY_PARAM_set_hostflags: "ptr u32",
  X509_verify_cert_error_string: "size > ptr",

  // Errors and versions.
  ERR_get_error: "> ptr",
  ERR_clear_error: "",
  ERR_reason_error_string: "ptr > ptr",
  OpenSSL_version: "i32 > ptr",
  OpenSSL_version_num: "> ptr",

  // libc, for memory that OpenSSL owns.
  memcpy: "ptr ptr size > ptr",
  strlen: "ptr",
} as const;

/** A function that OpenSSL exports. */
type OpenSslName = keyof typeof TABLE;

/** The functions of OpenSSL, by their names in C. Arguments and results are integers and addresses. */
export type OpenSslCalls = Readonly<Record<OpenSslName, Native>>;

/** OpenSSL, as a runtime has bound it. */
export interface OpenSsl {
  readonly calls: OpenSslCalls;
  /** Where it comes from, such as `"the node binary"` or `"libssl.so.3"`. */
  readonly source: string;
  /**
   * Makes a function of C that calls `callback` on this thread. It is never released.
   *
   * @param args - The types of its arguments. The result is an `int`.
   * @returns Its address.
   */
  callback(args: readonly NativeType[], callback: Native): number;
  /** The root certificates that are trusted by default, in PEM format. */
  rootCertificates(): string;
}

/** The signatures of all functions, by name. */
export function openSslSignatures(): [name: OpenSslName, signature: Signature][] {
  return (Object.keys(TABLE) as OpenSslName[]).map((name) => {
    const [args = "", returns = ""] = TABLE[name].split(">").map((part) => part.trim());
    return [
      name,
      {
        args: args === "" ? [] : (args.split(" ") as NativeType[]),
        returns: returns === "ptr" ? "ptr" : "i32",
      },
    ];
  });
}

/**
 * Makes the calls of bound functions.
 *
 * @remarks
 * The calls that every message makes are written out, for the reason that is given at `libcFrom`.
 *
 * @param word - Converts 64-bit arguments where a number is not the fastest type.
 */
export function openSslFrom(
  bound: OpenSslCalls,
  word: (value: number) => number = (value) => value,
): OpenSslCalls {
  return {
    ...bound,
    BIO_read: (a, b, c) => bound.BIO_read(word(a as number), word(b as number), c as number),
    BIO_ctrl: (a, b, c, d) =>
      bound.BIO_ctrl(word(a as number), b as number, word(c as number), word(d as number)),
    SSL_read: (a, b, c) => bound.SSL_read(word(a as number), word(b as number), c as number),
    SSL_write: (a, b, c) => bound.SSL_write(word(a as number), word(b as number), c as number),
    SSL_want: (a) => bound.SSL_want(word(a as number)),
  };
}
