import { readFileSync } from "node:fs";

/** A certificate and its key, in PEM format. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** The files of `--tls FOLDER` in the arguments of a server; undefined without TLS. */
export function certificateIn(
  args: readonly string[] = process.argv,
): CertificateFiles | undefined {
  const at = args.indexOf("--tls");
  if (at < 0) return undefined;
  const read = (name: string): string => readFileSync(`${args[at + 1]}/${name}`, "utf8");
  return { cert: read("cert.pem"), key: read("key.pem") };
}

/** The same as the option `tls`, which is missing without TLS. */
export function tlsIn(): { readonly tls?: CertificateFiles } {
  const tls = certificateIn();
  return tls === undefined ? {} : { tls };
}
