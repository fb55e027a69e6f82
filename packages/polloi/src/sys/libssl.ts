import { type Kernel, UnsupportedError } from "./kernel.ts";
import type { OpenSsl, OpenSslCalls } from "./openssl.ts";

/** The file names of libssl, for runtimes that open it by name. Its symbols include those of libcrypto and libc. */
export const LIBSSL_NAMES: readonly string[] = ["libssl.so.3"];

/** The first version with all functions of the table: 3.0.0. */
const OLDEST_VERSION = 0x3000_0000;

/**
 * Opens libssl by its names.
 *
 * @param open - Opens it by one name, or throws.
 * @throws UnsupportedError that names the package to install.
 */
export function openLibssl(
  runtime: string,
  open: (name: string) => OpenSslCalls,
): OpenSsl["calls"] {
  let cause: unknown;
  for (const name of LIBSSL_NAMES) {
    try {
      return open(name);
    } catch (error) {
      cause ??= error;
    }
  }
  throw new UnsupportedError(
    `polloi uses OpenSSL 3 of the system for TLS under ${runtime}, and ${LIBSSL_NAMES.join(" or ")} did not open; install it (the package is libssl3, libssl3t64 or openssl-libs)`,
    { cause },
  );
}

/** @throws UnsupportedError if it is not OpenSSL 3 or later. */
export function checkOpenSsl(openSsl: OpenSsl): OpenSsl {
  // BoringSSL and LibreSSL report older versions.
  const version = openSsl.calls.OpenSSL_version_num();
  if (version >= OLDEST_VERSION) return openSsl;
  throw new UnsupportedError(
    `polloi needs OpenSSL 3.0 or later for TLS; ${openSsl.source} has version 0x${version.toString(16)}`,
  );
}

/** OpenSSL of a kernel. @throws UnsupportedError where there is none. */
export function openSslOf(kernel: Kernel): OpenSsl {
  const openSsl = kernel.openSsl?.();
  if (openSsl !== undefined) return openSsl;
  throw new UnsupportedError("there is no OpenSSL here, which polloi needs for TLS");
}
