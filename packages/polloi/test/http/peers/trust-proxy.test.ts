/** `trustProxy` with nginx and HAProxy, which terminate TLS or pass requests on. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { type RequestOptions as HttpRequestOptions, request } from "node:http";
import { type RequestOptions, request as secureRequest } from "node:https";
import { join } from "node:path";
import { test } from "node:test";
import { Hono } from "hono";
import { csrf } from "hono/csrf";
import { folder, needs } from "../../../../../test/support/processes.ts";
import type { FetchInfo, HttpOptions } from "../../../src/http/index.ts";
import { serve } from "../../../src/http/index.ts";
import { behind, haproxyWith, nginxHttp, nginxWith, type ProxyProgram } from "./behind.ts";
import { LIMIT_MS } from "./rig.ts";

const HOST = "app.example";

/** Makes a certificate for {@link HOST}. @returns The path of a file with the key and the certificate. */
function certificateIn(at: string): string {
  const [key, cert, both] = [join(at, "key.pem"), join(at, "cert.pem"), join(at, "both.pem")];
  const how = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  const where = ["-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", `/CN=${HOST}`];
  execFileSync("openssl", [...how, ...where], { stdio: "ignore" });
  writeFileSync(both, readFileSync(cert, "utf8") + readFileSync(key, "utf8"));
  return both;
}

const nginx = (pem: string): ProxyProgram =>
  nginxWith(({ folder, socket, port }) =>
    nginxHttp(
      folder,
      `server {
  listen unix:${socket};
  listen unix:${socket}.tls ssl;
  ssl_certificate ${pem}; ssl_certificate_key ${pem};
  # A client on a unix socket has no address.
  set_real_ip_from unix:; real_ip_header X-Test-Client;
  location / {
    proxy_pass http://127.0.0.1:${port};
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $host;
    proxy_set_header Forwarded "";
  }
}`,
    ),
  );

const haproxy = (pem: string): ProxyProgram =>
  haproxyWith(
    ({ socket, port }) => `
frontend in
  mode http
  bind unix@${socket}
  bind unix@${socket}.tls ssl crt ${pem}
  http-request set-src req.hdr(x-test-client)
  option forwardfor
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  http-request set-header X-Forwarded-Proto http if !{ ssl_fc }
  http-request del-header X-Forwarded-Host
  http-request del-header Forwarded
  default_backend out
backend out
  mode http
  server it 127.0.0.1:${port}`,
  );

const app = new Hono<{ Bindings: FetchInfo }>()
  .use(csrf())
  .get("/", (context) => context.text(`${context.req.url} ${context.env.remoteAddress?.address}`))
  .post("/form", (context) => context.text("accepted"));

/** Sends a request through a proxy. @returns The status and the body. */
async function ask(
  isSecure: boolean,
  options: HttpRequestOptions & RequestOptions,
  body?: string,
): Promise<string> {
  const headers = { Host: HOST, ...options.headers };
  const all = { ...options, headers, agent: false, rejectUnauthorized: false };
  const sent = isSecure ? secureRequest(all) : request(all);
  sent.end(body);
  const [response] = await once(sent, "response");
  let text = "";
  for await (const part of response) text += part;
  return `${response.statusCode} ${text}`;
}

const PROXIES = [
  ["nginx", nginx],
  ["haproxy", haproxy],
] as const;

for (const [command, proxy] of PROXIES) {
  const limits = { skip: needs(command) || needs("openssl"), timeout: LIMIT_MS };
  test(
    `${command} terminates TLS, and the server knows the client, the scheme and the host`,
    limits,
    async () => {
      using at = folder();
      const options: HttpOptions = { host: "127.0.0.1", port: 0, fetch: app.fetch };
      const server = serve({ ...options, trustProxy: ["127.0.0.1"] });
      try {
        await behind(proxy(certificateIn(at.path)), server.port, async (socket) => {
          const client = { "X-Test-Client": "192.0.2.1" };
          // The client makes up what it can.
          const spoofed = {
            ...client,
            "X-Forwarded-For": "1.1.1.1, 127.0.0.1",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "evil.example",
            Forwarded: 'for=1.1.1.1;proto=https;host="evil.example"',
          };
          for (const headers of [client, spoofed]) {
            const plain = await ask(false, { socketPath: socket, headers });
            assert.equal(plain, `200 http://${HOST}/ 192.0.2.1`);
            const secure = await ask(true, { socketPath: `${socket}.tls`, headers });
            assert.equal(secure, `200 https://${HOST}/ 192.0.2.1`);
          }
          const form = {
            socketPath: `${socket}.tls`,
            method: "POST",
            path: "/form",
            headers: {
              ...client,
              Origin: `https://${HOST}`,
              "Content-Type": "application/x-www-form-urlencoded",
            },
          };
          assert.equal(await ask(true, form, "a=b"), "200 accepted");
          const foreign = { ...form.headers, Origin: "https://evil.example" };
          assert.match(await ask(true, { ...form, headers: foreign }, "a=b"), /^403 /);
        });
        assert.deepEqual(server.counts.refused, {});
      } finally {
        await server.stop(0);
      }
    },
  );
}
