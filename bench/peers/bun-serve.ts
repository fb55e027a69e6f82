/**
 * A control: Bun.serve with its `fetch`; runs on Bun only.
 *
 *   bun-serve [FILE]
 *
 * With FILE the answer is that file, served as in Bun's documentation.
 */
import { announce, collectOnRequest } from "./collect.ts";

/** The part of Bun's types that this file needs. */
declare const Bun: {
  file(path: string): Blob;
  serve(options: { hostname: string; port: number; idleTimeout: number; fetch(): Response }): {
    port: number;
  };
};

const path: string | undefined = process.argv[2];

collectOnRequest();
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  // The maximum, in seconds: connections are idle while other servers have their turns.
  idleTimeout: 255,
  fetch: () => new Response(path === undefined ? "Hello, world!" : Bun.file(path)),
});
announce(server.port);
