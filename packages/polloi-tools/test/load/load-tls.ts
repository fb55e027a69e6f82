/** The load client over TLS. */
import assert from "node:assert/strict";
import { serve } from "polloi/http";
import { kernel, reportOpenSsl } from "polloi/internal";
import { makeCertificate } from "../../../../test/support/certificates.ts";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import { isClean, type LoadOptions, type LoadReport, load } from "../../src/load/index.ts";
import { FaultyServer } from "./faulty-server.ts";

const PATIENT_MS = 20_000;

function certificate(): { cert: string; key: string } {
  const { cert, key } = makeCertificate();
  return { cert, key };
}

function run(options: LoadOptions): Promise<LoadReport> {
  return load({ timeoutMs: PATIENT_MS, ...options }).finished;
}

const ACCEPTS = { rejectUnauthorized: false } as const;

export function loadTlsSuite(): Suite {
  const report = reportOpenSsl(kernel);
  const skip = report.works ? undefined : report.reason;
  const sizes: Case[] = [17, 100_001].map((sizeBytes) => ({
    name: `messages of ${sizeBytes} bytes are echoed over TLS`,
    async run() {
      using server = new FaultyServer({ sizeBytes, tls: certificate() });
      const { target } = server;
      const shape = { sizeBytes, connections: 3, messages: 20, pipeline: 2 };
      const clean = await run({ target, ...ACCEPTS, ...shape });
      assert.ok(isClean(clean), JSON.stringify(clean));
      assert.equal(clean.messages, 20);
      assert.equal(clean.bytes, 20 * sizeBytes);
      assert.equal(clean.tls?.protocol, "TLSv1.3");
      assert.match(clean.tls?.cipher ?? "", /^TLS_/);
    },
  }));
  const cases: Case[] = [
    ...sizes,
    {
      name: "a byte that comes back changed over TLS is detected",
      async run() {
        const faults = { 1: "corrupt the last byte" } as const;
        using server = new FaultyServer({ sizeBytes: 64, faults, tls: certificate() });
        const { target } = server;
        const { corrupted, messages } = await run({
          target,
          ...ACCEPTS,
          connections: 2,
          messages: 6,
        });
        assert.deepEqual({ corrupted, messages }, { corrupted: 2, messages: 4 });
      },
    },
    {
      name: "a server whose certificate is not accepted is refused, and each connection is counted",
      async run() {
        using server = new FaultyServer({ sizeBytes: 64, tls: certificate() });
        const { errors, opened, tls } = await run({ target: server.target, connections: 3 });
        assert.deepEqual(
          { errors, opened, tls },
          {
            errors: { DEPTH_ZERO_SELF_SIGNED_CERT: 3 },
            opened: 0,
            tls: null,
          },
        );
      },
    },
    {
      name: "a server without TLS is an error of the handshake",
      async run() {
        using server = new FaultyServer({ sizeBytes: 1 });
        const target = server.target.replace("tcp:", "tls:");
        const { errors, opened, failed } = await run({ target, connections: 1 });
        assert.match(Object.keys(errors).join(), /^ERR_SSL_/);
        assert.deepEqual({ opened, failed }, { opened: 0, failed: 1 });
      },
    },
    {
      name: "an HTTPS server answers every request, and connections that it closes are opened again",
      async run() {
        const server = serve({
          host: "127.0.0.1",
          port: 0,
          tls: certificate(),
          fetch: ({ url }) =>
            new Response(url, url.endsWith("/close") ? { headers: { Connection: "close" } } : {}),
        });
        try {
          for (const path of ["keep", "close"]) {
            const target = `https://127.0.0.1:${server.port}/${path}`;
            const clean = await run({ target, ...ACCEPTS, connections: 2, messages: 10 });
            assert.ok(isClean(clean), JSON.stringify(clean));
            assert.deepEqual(clean.statuses, { 200: 10 });
            assert.equal(clean.opened, path === "keep" ? 2 : 10);
            assert.equal(clean.tls?.protocol, "TLSv1.3");
          }
        } finally {
          await server.stop(0);
        }
      },
    },
  ];
  return {
    title: `load over TLS on ${kernel.runtime}`,
    cases: cases.map((each) => (skip === undefined ? each : { ...each, skip })),
  };
}
