/** `polloi serve http` with TLS, examined by sslscan and testssl.sh, and used by Chromium. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { serve } from "polloi/http";
import { makeCertificate } from "../../../../test/support/certificates.ts";
import { folder, needs, Program, polloi } from "../../../../test/support/processes.ts";

/** testssl.sh takes a minute on a machine that does nothing else. */
const LIMIT_MS = 900_000;

const at = folder();
after(() => at[Symbol.dispose]());
const root = makeCertificate({ commonName: "test root", isCa: true, fromDay: -2, toDay: 300 });
const { cert, key } = makeCertificate({ issuer: root, toDay: 200 });
const [CA, CERT, KEY] = ["ca", "cert", "key"].map((name) => join(at.path, `${name}.pem`));
writeFileSync(CA as string, root.cert);
writeFileSync(CERT as string, cert);
writeFileSync(KEY as string, key);

/** A server whose port is passed to `examine`. */
async function examined(examine: (port: string) => Promise<void>): Promise<void> {
  await using server = polloi(`serve http --port 0 --tls-cert ${CERT} --tls-key ${KEY}`);
  const [, port] = await server.waitFor(/127\.0\.0\.1[ :](\d+)/);
  await examine(port as string);
  server.signal("SIGTERM");
  assert.equal((await server.ended).code, 0);
}

/** Findings of testssl.sh that are about the certificate of the test, the contents, or the machine that runs it. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  engine_problem: "the OpenSSL of the machine has no GOST engine",
  sessionresumption_ticket: "a check of testssl.sh that some versions of openssl do not support",
  cert_chain_of_trust: "the root of the test is not in the stores of testssl.sh",
  cert_revocation: "the certificate of the test names no server for revocation",
  HSTS: "a header that the program decides",
  security_headers: "headers that the program decides",
};

describe("polloi serve http --tls-cert with scanners", { timeout: LIMIT_MS }, () => {
  test("sslscan finds TLS 1.2 and 1.3, and nothing weak", { skip: needs("sslscan") }, () =>
    examined(async (port) => {
      const file = join(at.path, "sslscan.xml");
      const args = [`--xml=${file}`, "--sni-name=localhost", `127.0.0.1:${port}`];
      await using scan = new Program("sslscan", args);
      assert.equal((await scan.ended).code, 0);
      const xml = readFileSync(file, "utf8");
      const enabled = [...xml.matchAll(/<protocol type="(\w+)" version="([\d.]+)" enabled="1"/g)];
      assert.deepEqual(
        enabled.map(([, type, version]) => `${type}${version}`),
        ["tls1.2", "tls1.3"],
      );
      assert.match(xml, /<renegotiation supported="0" secure="0"/);
      assert.doesNotMatch(xml, /<heartbleed [^>]*vulnerable="1"|<compression supported="1"/);
      const ciphers = [...xml.matchAll(/<cipher [^>]*cipher="([^"]+)"[^>]*strength="(\w+)"/g)];
      assert.ok(ciphers.length >= 6, xml);
      for (const [, name, strength] of ciphers) {
        assert.match(`${strength}`, /^(strong|acceptable)$/, name);
        assert.match(`${name}`, /^(TLS_|ECDHE-).*(GCM|POLY1305)/);
      }
    }),
  );

  test("testssl.sh has no finding", { skip: needs("testssl") || needs("openssl") }, () =>
    examined(async (port) => {
      const file = join(at.path, "testssl.json");
      // The checks that need no other host: protocols, ciphers, forward secrecy, defaults, headers, vulnerabilities.
      const checks = ["-p", "-s", "-f", "-P", "-S", "-h", "-U"];
      const flags = ["--quiet", "--color", "0", "--warnings", "off", "--nodns", "min"];
      const output = ["--jsonfile", file, "--add-ca", CA as string];
      const args = [...flags, ...output, ...checks, `127.0.0.1:${port}`];
      await using scan = new Program("testssl", args, { stdin: "ignore", cwd: at.path });
      const { stdout } = await scan.ended;
      interface Check {
        readonly id: string;
        readonly severity: string;
        readonly finding: string;
      }
      const results = JSON.parse(readFileSync(file, "utf8")) as Check[];
      assert.ok(results.length > 60, stdout);
      const findings = results.filter(
        ({ id, severity }) => !["OK", "INFO"].includes(severity) && EXCEPTIONS[id] === undefined,
      );
      assert.deepEqual(findings, []);
    }),
  );
});

test("Chromium loads a page, posts, and sends a hundred requests", {
  skip: needs("chromium"),
  timeout: LIMIT_MS,
}, async () => {
  const server = serve({
    host: "127.0.0.1",
    port: 0,
    tls: { cert, key },
    fetch: async (request) => {
      const { pathname } = new URL(request.url);
      if (request.method === "POST") return new Response(await request.arrayBuffer());
      if (pathname === "/") {
        const html = "<!doctype html><title>polloi</title><p>encrypted";
        return new Response(html, { headers: { "content-type": "text/html" } });
      }
      return new Response(`${request.url} over ${server.port}`);
    },
  });
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu"],
  });
  try {
    const page = await browser.newPage({ ignoreHTTPSErrors: true });
    const url = `https://localhost:${server.port}`;
    const response = await page.goto(`${url}/`);
    assert.equal(response?.status(), 200);
    assert.equal((await response.securityDetails())?.protocol, "TLS 1.3");
    assert.equal(await page.textContent("p"), "encrypted");
    const posted = await page.evaluate(async () => {
      const body = Uint8Array.from({ length: 300_000 }, (_, i) => i % 251);
      const answer = await fetch("/echo", { method: "POST", body });
      const bytes = new Uint8Array(await answer.arrayBuffer());
      return bytes.length === body.length && bytes.every((byte, i) => byte === body[i]);
    });
    assert.ok(posted);
    const texts = await page.evaluate(() =>
      Promise.all(
        Array.from({ length: 100 }, async (_, i) => (await fetch(`/${i}?cache=${i}`)).text()),
      ),
    );
    assert.deepEqual(
      texts,
      texts.map((_, i) => `${url}/${i}?cache=${i} over ${server.port}`),
    );
  } finally {
    await browser.close();
    await server.stop(1000);
  }
});
