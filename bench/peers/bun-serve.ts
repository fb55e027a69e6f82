/**
 * A control: Bun.serve with its `fetch`; runs on Bun only.
 *
 *   bun-serve [FILE]
 *
 * With FILE the answer is that file, as Bun's documentation serves one.
 */
import { announce, collectOnRequest } from "./collect.ts";

/** As much of Bun's types as this file needs. */
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
  // The most that it takes, in seconds: connections are silent while the others have their turns.
  idleTimeout: 255,
  fetch: () => new Response(path === undefined ? "Hello, world!" : Bun.file(path)),
});
announce(server.port);
