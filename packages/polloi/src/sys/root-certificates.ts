import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

/** The files with the root certificates of the system: Debian and Alpine, Fedora, SUSE. */
const FILES: readonly string[] = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** The root certificates of the runtime, in PEM format. */
export function runtimeRoots(): string {
  const { rootCertificates } = createRequire(import.meta.url)("node:tls") as {
    rootCertificates?: readonly string[];
  };
  return (rootCertificates ?? []).join("\n") + extraRoots();
}

/** The root certificates of the system, in PEM format; those of the runtime if the system has none. */
export function systemRoots(): string {
  const { SSL_CERT_FILE } = process.env;
  for (const file of SSL_CERT_FILE === undefined ? FILES : [SSL_CERT_FILE]) {
    try {
      return readFileSync(file, "utf8") + extraRoots();
    } catch {}
  }
  return runtimeRoots();
}

/** The certificates of the file that NODE_EXTRA_CA_CERTS names. A file that cannot be read has none, as in Node. */
function extraRoots(): string {
  const { NODE_EXTRA_CA_CERTS: file } = process.env;
  try {
    return file === undefined ? "" : `\n${readFileSync(file, "utf8")}`;
  } catch {
    return "";
  }
}
