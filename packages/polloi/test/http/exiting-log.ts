/** A program that writes 300 lines to an access log, and exits. */
import process from "node:process";
import { AccessLog } from "../../src/http/index.ts";

const log = new AccessLog({ to: process.argv[2] as string, format: "common" });
for (let i = 0; i < 300; i++) {
  log.write({
    request: null,
    method: "GET",
    target: `/${i}`,
    version: 1,
    remoteAddress: "127.0.0.1",
    status: 200,
    bytes: 0,
    durationMs: 0,
  });
}
process.exit(7);
