/**
 * A control: Bun.serve with its `fetch`; runs on Bun only.
 *
 *   bun-serve [--answer hello|post|chunked|hono] [--file FILE] [--tls FOLDER]
 *
 * With FILE the answer is that file, served as in Bun's documentation.
 */
import { parseArgs } from "node:util";
import { answerIn, type Fetch, fetchFor } from "./answers.ts";
import { type CertificateFiles, certificateIn } from "./certificate.ts";
import { announce, collectOnRequest } from "./collect.ts";

/** The part of Bun's types that this file needs. */
declare const Bun: {
  file(path: string): Blob;
  serve(options: {
    hostname: string;
    port: number;
    idleTimeout: number;
    tls: CertificateFiles | undefined;
    fetch: Fetch;
  }): { port: number };
};

const { values } = parseArgs({
  options: { answer: { type: "string" }, file: { type: "string" }, tls: { type: "string" } },
});
const { file } = values;

collectOnRequest();
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  // The maximum, in seconds: connections are idle while other servers have their turns.
  idleTimeout: 255,
  tls: certificateIn(),
  fetch: file === undefined ? fetchFor(answerIn()) : () => new Response(Bun.file(file)),
});
announce(server.port);
