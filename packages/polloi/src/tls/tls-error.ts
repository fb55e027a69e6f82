/**
 * A TLS handshake or session failed.
 *
 * @remarks
 * The codes are those of node:tls: `ERR_SSL_` and the reason that OpenSSL states, such as
 * `ERR_SSL_WRONG_VERSION_NUMBER`; the name of the check that a certificate did not pass, such as `CERT_HAS_EXPIRED`;
 * `ERR_TLS_CERT_ALTNAME_INVALID` for a certificate that is not for the name of the peer. `ERR_TLS_TRUNCATED` and
 * `ERR_TLS_HANDSHAKE_TIMEOUT` come from polloi itself.
 */
export class TlsError extends Error {
  override readonly name = "TlsError";
  readonly code: string;
  declare readonly hint?: string;

  constructor(code: string, message: string, hint?: string) {
    super(message);
    this.code = code;
    if (hint !== undefined) {
      Object.defineProperty(this, "hint", { value: hint, enumerable: true });
    }
  }
}

/** The error for a reason that OpenSSL has stated, such as `"wrong version number"`. */
export function failureOf(during: "handshake" | "session", reason: string): TlsError {
  const code = `ERR_SSL_${reason.toUpperCase().replace(/[^A-Z0-9]+/g, "_")}`;
  return new TlsError(code, `TLS ${during} failed: ${reason}`, HINTS.get(code));
}

/** Hints for failures whose reason does not say what to do. */
const HINTS: ReadonlyMap<string, string> = new Map([
  ["ERR_SSL_WRONG_VERSION_NUMBER", "the peer does not speak TLS on this port"],
  ["ERR_SSL_HTTP_REQUEST", "the peer sent plain HTTP to a port with TLS"],
  [
    "ERR_SSL_NO_SHARED_CIPHER",
    "no cipher fits both peers and the type of the certificate; see ciphers and minVersion",
  ],
  [
    "ERR_SSL_UNSUPPORTED_PROTOCOL",
    "the peer offers only versions outside of minVersion and maxVersion",
  ],
  ["ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE", "requestCert demands a certificate of the client"],
]);

/** The names of the checks of a certificate, by the numbers of OpenSSL. Source: x509_vfy.h */
const CHECKS: Readonly<Record<number, string>> = {
  2: "UNABLE_TO_GET_ISSUER_CERT",
  3: "UNABLE_TO_GET_CRL",
  7: "CERT_SIGNATURE_FAILURE",
  9: "CERT_NOT_YET_VALID",
  10: "CERT_HAS_EXPIRED",
  18: "DEPTH_ZERO_SELF_SIGNED_CERT",
  19: "SELF_SIGNED_CERT_IN_CHAIN",
  20: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  21: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  22: "CERT_CHAIN_TOO_LONG",
  23: "CERT_REVOKED",
  25: "PATH_LENGTH_EXCEEDED",
  26: "INVALID_PURPOSE",
  27: "CERT_UNTRUSTED",
  28: "CERT_REJECTED",
  62: "ERR_TLS_CERT_ALTNAME_INVALID",
  64: "ERR_TLS_CERT_ALTNAME_INVALID",
  79: "INVALID_CA",
};

/** Hints for checks that fail often. */
const CHECK_HINTS: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: "to trust this certificate, give it as ca",
  SELF_SIGNED_CERT_IN_CHAIN: "to trust its root certificate, give that as ca",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its root certificate is unknown: give it as ca",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "its issuer is unknown: the peer must send the intermediate certificates, or give the root as ca",
};

/** The code of a check of a certificate. @param check - The number that OpenSSL has for it. */
export function checkCode(check: number): string {
  return CHECKS[check] ?? "ERR_TLS_CERT_INVALID";
}

/**
 * The error for a certificate that did not pass a check.
 *
 * @param reason - The description of OpenSSL.
 * @param name - The name that was expected of the peer, if there was one.
 */
export function certificateError(check: number, reason: string, name?: string): TlsError {
  const code = checkCode(check);
  const of = name === undefined ? "of the client" : `of ${name}`;
  const text =
    code === "ERR_TLS_CERT_ALTNAME_INVALID"
      ? `the certificate is not for ${name}: ${reason}`
      : `the certificate ${of} was not accepted: ${reason}`;
  return new TlsError(code, text, CHECK_HINTS[code]);
}

/** The error of a stream that ended without the alert that closes it. */
export function truncated(): TlsError {
  return new TlsError(
    "ERR_TLS_TRUNCATED",
    "TLS session ended without close_notify: the peer, or someone between, may have cut it off",
  );
}
