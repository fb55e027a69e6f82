/** Options of other libraries, which `tls` of a server does not have. */

const IN_CONTEXTS = "give contexts, with a certificate for each further name";
const IN_PEM = "give the contents of the file";
const OF_OPENSSL = "leave it out: it is the default of OpenSSL";

/** What to do instead of an option of Bun.serve, node:tls or node:https. It is a part of the error message. */
export const TLS_SERVER_COUNTERPARTS: Readonly<Record<string, string>> = {
  // Bun.serve
  serverName: IN_CONTEXTS,
  keyFile: `${IN_PEM} as key`,
  certFile: `${IN_PEM} as cert`,
  caFile: `${IN_PEM} as ca`,
  dhParamsFile: "leave it out: keys are exchanged by ECDHE",
  lowMemoryMode: "leave it out: an idle connection has no buffers",
  // node:tls and node:https
  pfx: "give cert and key in PEM format",
  dhparam: "leave it out: keys are exchanged by ECDHE",
  SNICallback: IN_CONTEXTS,
  ALPNCallback: "give ALPNProtocols",
  handshakeTimeout: "give handshakeTimeoutMs",
  secureContext: "give cert and key, and call setTls() to replace them",
  secureProtocol: "give minVersion and maxVersion",
  secureOptions: "give minVersion, maxVersion and ciphers",
  ecdhCurve: OF_OPENSSL,
  sigalgs: OF_OPENSSL,
  sessionTimeout: OF_OPENSSL,
};
