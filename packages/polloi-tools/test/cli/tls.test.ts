/** `polloi serve --tls-cert` and `polloi connect --tls`. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { makeCertificate } from "../../../../test/support/certificates.ts";
import { folder, polloi } from "../../../../test/support/processes.ts";
import { SUITE_TIMEOUT_MS } from "../../../../test/support/suite.ts";

const at = folder();
after(() => at[Symbol.dispose]());
const { cert, key } = makeCertificate();
const CERT = join(at.path, "cert.pem");
const KEY = join(at.path, "key.pem");
writeFileSync(CERT, cert);
writeFileSync(KEY, key);
const FILES = `--tls-cert ${CERT} --tls-key ${KEY}`;

/** The ways of serving that have TLS. */
const ECHO_AND_HTTP = ["echo", "http"].flatMap((protocol) =>
  ["", " --workers 1", " --model event", " --model prefork --children 1"].map(
    (flags) => `${protocol}${flags}`,
  ),
);

describe("TLS of the command line", { timeout: SUITE_TIMEOUT_MS }, () => {
  for (const flags of ECHO_AND_HTTP) {
    test(`serve ${flags}, and connect --tls`, async () => {
      await using server = polloi(`serve ${flags} --port 0 ${FILES}`);
      const [, port] = await server.waitFor(/127\.0\.0\.1[ :](\d+)/);
      const request = "GET / HTTP/1.0\r\n\r\n";
      await using client = polloi(`connect --tls --insecure 127.0.0.1 ${port}`);
      client.child.stdin?.end(request);
      const { code, stdout } = await client.ended;
      assert.equal(code, 0);
      if (flags.startsWith("http")) assert.match(stdout, /^HTTP\/1\.1 200 OK.*Hello, world!/s);
      else assert.equal(stdout, request);
      await using refused = polloi(`connect --tls 127.0.0.1 ${port}`);
      refused.child.stdin?.end();
      const { code: failed, stderr } = await refused.ended;
      assert.equal(failed, 1);
      assert.match(
        stderr,
        /the certificate of 127\.0\.0\.1 was not accepted: self.signed certificate/,
      );
      server.signal("SIGTERM");
      assert.equal((await server.ended).code, 0);
    });
  }

  for (const [protocol, scheme] of [
    ["echo", "tls"],
    ["http", "https"],
  ] as const) {
    test(`load ${scheme}:// reports the handshakes, and refuses an unknown certificate`, async () => {
      await using server = polloi(`serve ${protocol} --port 0 ${FILES}`);
      const [, port] = await server.waitFor(/127\.0\.0\.1[ :](\d+)/);
      const load = `load ${scheme}://127.0.0.1:${port} -c 3 -n 30 --timeout 60`;
      await using accepted = polloi(`${load} --insecure`);
      const { code, stdout } = await accepted.ended;
      assert.equal(code, 0);
      assert.match(stdout, /\b30, .*received/);
      assert.match(stdout, /TLSv1\.3, TLS_\w+; 3 handshakes/);
      await using refused = polloi(load);
      const { code: failed, stderr } = await refused.ended;
      assert.equal(failed, 1);
      assert.match(
        stderr,
        /^polloi: cannot connect to \S+: its certificate is signed by itself \(DEPTH_ZERO_SELF_SIGNED_CERT\); --insecure/m,
      );
    });
  }

  test("wrong flags and files are named in one line", async () => {
    for (const [args, message] of [
      [`serve echo --tls-cert ${CERT}`, /--tls-cert is useless without --tls-key/],
      [`serve echo --tls-key ${KEY}`, /--tls-key is useless without --tls-cert/],
      [`serve echo --model thread ${FILES}`, /--tls-cert is for --model prefork and event/],
      [`serve echo --port 0 --tls-cert ${CERT}x --tls-key ${KEY}`, /cannot read the certificate /],
      [`serve echo --port 0 --tls-cert ${CERT} --tls-key ${KEY}x`, /cannot read the key /],
      [
        `serve echo --port 0 --tls-cert ${CERT} --tls-key ${CERT}`,
        /cannot use tls\.key: there is no valid private key/,
      ],
      ["connect --insecure localhost 1", /--insecure is for --tls/],
      ["load tcp://localhost:1 --insecure", /--insecure is for tls:\/\/ and https:\/\//],
    ] as const) {
      await using program = polloi(args);
      const { code, stderr } = await program.ended;
      assert.notEqual(code, 0, args);
      assert.match(stderr, message);
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
    }
  });
});
