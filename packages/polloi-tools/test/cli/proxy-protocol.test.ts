/** `polloi serve --proxy-protocol`. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { exchange, polloi } from "../../../../test/support/processes.ts";
import { SUITE_TIMEOUT_MS } from "../../../../test/support/suite.ts";

describe("polloi serve --proxy-protocol", { timeout: SUITE_TIMEOUT_MS }, () => {
  for (const flags of ["echo", "echo --workers 1", "http"]) {
    test(`${flags} --proxy-protocol: the client's address is printed, and why a connection is closed`, async () => {
      await using program = polloi(`serve ${flags} --port 0 --proxy-protocol 127.0.0.1`);
      const [, port] = await program.waitFor(/127\.0\.0\.1[ :](\d+)\n/);
      const header = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";
      const request = "GET / HTTP/1.0\r\n\r\n";
      const answer = (await exchange(Number(port), header + request)).toString();
      if (flags === "http") assert.match(answer, /^HTTP\/1\.1 200 OK/);
      else assert.equal(answer, request);
      await program.waitFor(/192\.0\.2\.1:56324/);
      await exchange(Number(port), "hello").catch(() => {});
      await program.waitFor(
        /closed the connection of 127\.0\.0\.1:\d+: it does not begin with a PROXY header\n/,
      );
      program.signal("SIGTERM");
      assert.equal((await program.ended).code, 0);
    });
  }
});
