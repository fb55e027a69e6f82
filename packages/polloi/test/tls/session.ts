import assert from "node:assert/strict";
import { randomBytes, X509Certificate } from "node:crypto";
import { makeCertificate } from "../../../../test/support/certificates.ts";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import { kernel } from "../../src/sys/open.ts";
import type { TlsClientOptions, TlsServerOptions } from "../../src/tls/options.ts";
import type { ExpectedPeer } from "../../src/tls/session.ts";
import { assertSame, pattern } from "../reactor/rig.ts";
import { ALERT, CLIENT_HELLO, DATA, HANDSHAKE, KEY_UPDATE } from "./forge.ts";
import { ForgedPair, Pair, testCertificate, testRoot, whyNoTls } from "./pair.ts";

/** SSL_CTRL_SET_MAX_SEND_FRAGMENT */
const SET_MAX_SEND_FRAGMENT = 52;
const VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;

/** The suite of TLS sessions, without sockets. */
export function tlsSessionSuite(): Suite {
  const skip = whyNoTls();
  const cases = [
    ...transferCases(),
    ...endingCases(),
    ...certificateCases(),
    ...choiceCases(),
    ...resumptionCases(),
    ...isolationCases(),
    ...optionCases(),
  ];
  return {
    title: `TLS sessions on ${kernel.runtime}`,
    cases: cases.map((each) => ({ ...each, skip })),
  };
}

/** A length from 1 to `most`, from a fixed sequence. */
function lengths(most: number): () => number {
  let state = 7;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return 1 + (state % most);
  };
}

function transferCases(): Case[] {
  return VERSIONS.flatMap((version): Case[] => [
    {
      name: `${version}: bytes arrive in both directions, whatever the chunks`,
      run() {
        for (const most of [1, 7, 300, 20_000, 65_536]) {
          using pair = new Pair({ maxVersion: version }, {});
          const chunk = lengths(most);
          pair.settle(chunk);
          const sizes = most < 100 ? [1, 5, 600] : [1, 16_383, 16_384, 16_385, 60_000, 200_000];
          const sent = sizes.map((length, i) => pattern(length, i + 1));
          for (const bytes of sent) {
            pair.client.write(bytes);
            pair.server.write(bytes.subarray(0, Math.ceil(bytes.length / 2)));
            pair.settle(chunk);
          }
          assertSame(pair.server.received, Buffer.concat(sent));
          assert.equal(pair.client.session.info?.protocol, version);
        }
      },
    },
    {
      name: `${version}: sessions that take turns do not mix`,
      run() {
        const pairs = Array.from({ length: 5 }, () => new Pair({ maxVersion: version }, {}));
        const chunks = pairs.map((_, i) => lengths(50 * (i + 1)));
        const sent = pairs.map((_, i) => pattern(9_000 + i, i + 1));
        for (const [i, pair] of pairs.entries()) {
          pair.client.step();
          assert.ok(pair.client.outgoing.length > 0, `the client ${i} has not begun`);
        }
        const written = new Set<number>();
        for (let moved = true; moved; ) {
          moved = false;
          for (const [i, { client, server }] of pairs.entries()) {
            const chunk = chunks[i] as () => number;
            if (client.session.isOpen && server.session.isOpen && !written.has(i)) {
              written.add(i);
              client.write(sent[i] as Uint8Array);
              server.write(sent[i] as Uint8Array);
            }
            moved = client.pass(server, chunk()) || moved;
            moved = server.pass(client, chunk()) || moved;
          }
        }
        for (const [i, pair] of pairs.entries()) {
          assertSame(pair.server.received, sent[i] as Uint8Array);
          assertSame(pair.client.received, sent[i] as Uint8Array);
          pair[Symbol.dispose]();
        }
      },
    },
  ]);
}

function endingCases(): Case[] {
  return [
    ...VERSIONS.map(
      (version): Case => ({
        name: `${version}: each half is closed by itself`,
        run() {
          using pair = new Pair({ maxVersion: version }, {}).open();
          pair.client.write("last").end();
          pair.settle();
          assert.ok(pair.server.session.hasEnded && !pair.client.session.hasEnded);
          assert.equal(Buffer.from(pair.server.received).toString(), "last");
          pair.server.session.transportEnded();
          assert.equal(pair.server.session.error, null);
          if (version === "TLSv1.3") {
            pair.server.write("after");
            pair.settle();
            assert.equal(Buffer.from(pair.client.received).toString(), "after");
          }
          pair.server.end();
          pair.settle();
          assert.ok(pair.client.session.hasEnded);
        },
      }),
    ),
    {
      name: "a transport that ends without close_notify is an error",
      run() {
        using pair = new Pair({}, {}).open();
        pair.server.session.transportEnded();
        assert.equal(pair.server.session.error?.code, "ERR_TLS_TRUNCATED");
        using early = new Pair({}, {});
        early.client.session.transportEnded();
        assert.equal(early.client.session.error?.code, "ERR_TLS_TRUNCATED");
      },
    },
    {
      name: "a changed byte of any record fails the session, and no other one",
      run() {
        const other = new Pair({}, {}).open();
        for (let at = 0; at < 60; at++) {
          using pair = new Pair({}, {}).open();
          pair.client.write("0123456789");
          const records = Uint8Array.from(pair.client.outgoing);
          if (at >= records.length) break;
          records[at] = (records[at] as number) ^ 0x55;
          pair.server.receive(records);
          // A length that is too large leaves a record that is not complete.
          const isLength = at === 3 || at === 4;
          if (!isLength) assert.ok(pair.server.session.error !== null, `byte ${at}`);
          assert.equal(pair.server.received.length, 0);
          other.client.write("x");
          other.settle();
        }
        assert.ok(other.server.received.length > 30);
        other[Symbol.dispose]();
      },
    },
    {
      name: "random bytes in place of a record fail the handshake with an alert",
      run() {
        for (let round = 0; round < 50; round++) {
          using pair = new Pair({}, {});
          pair.server.receive(randomBytes(5 + round * 20));
          const { error } = pair.server.session;
          // A first byte of 22 with a valid version may announce a long record.
          if (error !== null) assert.match(error.code, /^ERR_SSL_/);
        }
      },
    },
    {
      name: "plain HTTP fails the handshake and is named",
      run() {
        using pair = new Pair({}, {});
        pair.server.receive(Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert.equal(pair.server.session.error?.code, "ERR_SSL_HTTP_REQUEST");
      },
    },
  ];
}

interface Check {
  readonly what: string;
  readonly server?: TlsServerOptions;
  readonly client?: TlsClientOptions;
  readonly expected?: ExpectedPeer;
  readonly code: string;
  readonly message: RegExp;
}

function certificateChecks(): Check[] {
  const issuer = testRoot();
  const other = makeCertificate({ commonName: "other root", isCa: true });
  const child = makeCertificate({ commonName: "child", issuer: testCertificate() });
  const only = ({ cert, key }: { cert: string; key: string }) => ({ cert, key });
  return [
    {
      what: "expired",
      server: only(makeCertificate({ issuer, fromDay: -20, toDay: -2 })),
      code: "CERT_HAS_EXPIRED",
      message: /of localhost was not accepted: certificate has expired/,
    },
    {
      what: "not valid yet",
      server: only(makeCertificate({ issuer, fromDay: 2 })),
      code: "CERT_NOT_YET_VALID",
      message: /of localhost was not accepted/,
    },
    {
      what: "for another name",
      server: only(makeCertificate({ issuer, names: ["example.org"] })),
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
      message: /is not for localhost/,
    },
    {
      what: "for another address",
      expected: { servername: "127.0.0.2", isAddress: true },
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
      message: /is not for 127\.0\.0\.2/,
    },
    {
      what: "self-signed",
      server: only(makeCertificate()),
      code: "DEPTH_ZERO_SELF_SIGNED_CERT",
      message: /of localhost was not accepted: self.signed certificate/,
    },
    {
      what: "of an unknown root",
      server: only(makeCertificate({ issuer: other })),
      code: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      message: /of localhost was not accepted/,
    },
    {
      what: "checked with an empty list of roots",
      client: { ca: [] },
      code: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      message: /of localhost was not accepted/,
    },
    {
      what: "of an issuer that may not issue",
      server: { cert: child.cert + testCertificate().cert, key: child.key },
      code: "INVALID_CA",
      message: /of localhost was not accepted/,
    },
  ];
}

function certificateCases(): Case[] {
  const names = [
    "expired",
    "not valid yet",
    "for another name",
    "for another address",
    "self-signed",
    "of an unknown root",
    "checked with an empty list of roots",
    "of an issuer that may not issue",
  ];
  return [
    ...names.map(
      (name): Case => ({
        name: `a certificate that is ${name} is refused, and the error names the check`,
        run() {
          const check = certificateChecks().find(({ what }) => what === name);
          assert.ok(check !== undefined);
          const { server = {}, client = {}, expected, code, message } = check;
          const emitWarning = process.emitWarning;
          process.emitWarning = () => {};
          try {
            using pair = new Pair(client, server, expected).settle();
            const { error } = pair.client.session;
            assert.equal(error?.code, code, error?.message);
            assert.match(error.message, message);
            // The server receives the alert.
            assert.ok(pair.server.session.error !== null);
            using insecure = new Pair(
              { ...client, rejectUnauthorized: false },
              server,
              expected,
            ).open();
            assert.equal(insecure.client.session.info?.authorized, false);
            assert.equal(insecure.client.session.info?.authorizationError, code);
          } finally {
            process.emitWarning = emitWarning;
          }
        },
      }),
    ),
    {
      name: "a certificate is accepted for its name, its wildcard and its address",
      run() {
        using byName = new Pair({}, {}).open();
        assert.equal(byName.client.session.info?.authorized, true);
        assert.equal(byName.server.session.info?.servername, "localhost");
        const address = { servername: "127.0.0.1", isAddress: true };
        using byAddress = new Pair({}, {}, address).open();
        assert.equal(byAddress.server.session.info?.servername, null);
        const { cert, key } = makeCertificate({ issuer: testRoot(), names: ["*.example.org"] });
        using byWildcard = new Pair({}, { cert, key }, { servername: "a.example.org" }).open();
        const { peerCertificate } = byWildcard.client.session.info ?? {};
        assert.ok(peerCertificate);
        assert.match(String(new X509Certificate(peerCertificate).subjectAltName), /example\.org/);
      },
    },
    {
      name: "an intermediate certificate behind the certificate is sent",
      run() {
        const issuer = makeCertificate({
          commonName: "intermediate",
          isCa: true,
          issuer: testRoot(),
        });
        const { cert, key } = makeCertificate({ issuer });
        using pair = new Pair({}, { cert: cert + issuer.cert, key }).open();
        assert.equal(pair.client.session.info?.authorized, true);
      },
    },
    {
      name: "a server asks for the certificate of a client, and may accept any",
      run() {
        const { cert, key } = makeCertificate({ commonName: "a client", issuer: testRoot() });
        const ca = testRoot().cert;
        using good = new Pair({ cert, key }, { requestCert: true, ca }).open();
        assert.equal(good.server.session.info?.authorized, true);
        using none = new Pair({}, { requestCert: true, ca }).settle();
        assert.equal(none.server.session.error?.code, "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE");
        const self = makeCertificate();
        using bad = new Pair(
          { cert: self.cert, key: self.key },
          { requestCert: true, ca },
        ).settle();
        assert.equal(bad.server.session.error?.code, "DEPTH_ZERO_SELF_SIGNED_CERT");
        using lenient = new Pair(
          { cert: self.cert, key: self.key },
          { requestCert: true, ca, rejectUnauthorized: false },
        ).open();
        const info = lenient.server.session.info;
        assert.equal(info?.authorized, false);
        assert.equal(info.authorizationError, "DEPTH_ZERO_SELF_SIGNED_CERT");
        assert.ok(info.peerCertificate !== null);
      },
    },
    {
      name: "a server has certificates of two types",
      run() {
        const issuer = testRoot();
        const ec = makeCertificate({ issuer });
        const rsa = makeCertificate({ issuer, keyType: "rsa" });
        const options = { cert: [ec.cert, rsa.cert], key: [ec.key, rsa.key] };
        for (const type of ["ECDSA", "RSA"]) {
          using pair = new Pair(
            { maxVersion: "TLSv1.2", ciphers: `ECDHE-${type}-AES128-GCM-SHA256` },
            options,
          ).open();
          assert.match(String(pair.client.session.info?.cipher), new RegExp(type));
        }
      },
    },
  ];
}

function choiceCases(): Case[] {
  return [
    {
      name: "the server chooses the first of its protocols that the client has",
      run() {
        const choose = (client: string[], server: string[]) => {
          using pair = new Pair({ ALPNProtocols: client }, { ALPNProtocols: server }).settle();
          const { info, error } = pair.server.session;
          assert.equal(info?.alpnProtocol, pair.client.session.info?.alpnProtocol);
          return error?.code ?? info?.alpnProtocol;
        };
        assert.equal(choose(["h2", "http/1.1"], ["http/1.1"]), "http/1.1");
        assert.equal(choose(["a", "b", "c"], ["x", "c", "b"]), "c");
        assert.equal(choose(["a"], ["b"]), "ERR_SSL_NO_APPLICATION_PROTOCOL");
        assert.equal(choose(["a"], []), null);
        assert.equal(choose([], ["b"]), null);
        using without = new Pair({ ALPNProtocols: ["a"] }, {}).open();
        assert.equal(without.client.session.info?.alpnProtocol, null);
      },
    },
    {
      name: "the certificate is chosen by the name that the client sends",
      run() {
        const issuer = testRoot();
        const [one, many] = [["one.test"], ["*.many.test"]].map((names) =>
          makeCertificate({ issuer, names }),
        );
        assert.ok(one !== undefined && many !== undefined);
        const contexts = {
          "one.test": { cert: one.cert, key: one.key },
          "*.many.test": { cert: many.cert, key: many.key },
        };
        for (const servername of ["one.test", "ONE.test", "a.many.test", "localhost"]) {
          using pair = new Pair(
            { ALPNProtocols: ["p"] },
            { contexts, ALPNProtocols: ["p"] },
            { servername },
          ).open();
          assert.equal(pair.client.session.info?.authorized, true, servername);
          assert.equal(pair.client.session.info?.alpnProtocol, "p");
        }
        using unknown = new Pair({}, { contexts }, { servername: "b.a.many.test" }).settle();
        assert.equal(unknown.client.session.error?.code, "ERR_TLS_CERT_ALTNAME_INVALID");
      },
    },
    {
      name: "versions and ciphers without a common one fail the handshake",
      run() {
        using versions = new Pair({ maxVersion: "TLSv1.2" }, { minVersion: "TLSv1.3" }).settle();
        assert.equal(versions.server.session.error?.code, "ERR_SSL_UNSUPPORTED_PROTOCOL");
        const maxVersion = "TLSv1.2";
        using ciphers = new Pair(
          { maxVersion, ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" },
          { maxVersion, ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384" },
        ).settle();
        assert.equal(ciphers.server.session.error?.code, "ERR_SSL_NO_SHARED_CIPHER");
        assert.match(String(ciphers.client.session.error?.code), /ALERT_HANDSHAKE_FAILURE/);
      },
    },
    {
      name: "the secrets of a session are passed to keylog",
      run() {
        const lines: string[] = [];
        using _ = new Pair({}, { keylog: (line) => void lines.push(line) }).open();
        assert.ok(lines.some((line) => /^CLIENT_TRAFFIC_SECRET_0 [0-9a-f]+ [0-9a-f]+$/.test(line)));
      },
    },
  ];
}

function resumptionCases(): Case[] {
  return VERSIONS.map(
    (version): Case => ({
      name: `${version}: a session is resumed, also by another server with the same ticketKeys`,
      run() {
        const ticketKeys = randomBytes(80);
        const connect = (server: TlsServerOptions, session?: Uint8Array) => {
          const expected = { servername: "localhost", session };
          using pair = new Pair({ maxVersion: version }, server, expected).open();
          pair.server.write("x");
          pair.settle();
          assert.equal(pair.server.session.info?.resumed, pair.client.session.info?.resumed);
          return {
            resumed: pair.client.session.info?.resumed,
            authorized: pair.client.session.info?.authorized,
            session: pair.client.session.info?.session() ?? undefined,
          };
        };
        const first = connect({ ticketKeys });
        assert.ok(!first.resumed && first.session !== undefined);
        const second = connect({ ticketKeys }, first.session);
        assert.deepEqual([second.resumed, second.authorized], [true, true]);
        assert.equal(connect({}, first.session).resumed, false);
      },
    }),
  );
}

/** Cases in which a session must not affect another one, or trust what another one has checked. */
function isolationCases(): Case[] {
  const ca = testRoot().cert;
  const resumable = (pair: Pair) => {
    pair.server.write("x");
    pair.settle();
    return pair.client.session.info?.session() ?? undefined;
  };
  return [
    ...VERSIONS.map(
      (version): Case => ({
        name: `${version}: a client does not resume a session whose certificate it would not accept`,
        run() {
          const ticketKeys = randomBytes(80);
          const { cert, key } = makeCertificate();
          const server = { cert, key, ticketKeys };
          const lenient = { maxVersion: version, rejectUnauthorized: false };
          using first = new Pair(lenient, server).open();
          const session = resumable(first);
          assert.ok(session !== undefined);
          const expected = { servername: "localhost", session };
          using again = new Pair(lenient, server, expected).open();
          assert.equal(again.client.session.info?.resumed, true);
          using strict = new Pair({ maxVersion: version }, server, expected).settle();
          assert.equal(strict.client.session.error?.code, "DEPTH_ZERO_SELF_SIGNED_CERT");
          assert.equal(strict.client.session.isOpen, false);
        },
      }),
    ),
    {
      name: "a client does not resume the session of a server with another name",
      run() {
        const ticketKeys = randomBytes(80);
        using first = new Pair({}, { ticketKeys }).open();
        const session: Uint8Array | undefined = resumable(first);
        assert.ok(session !== undefined);
        for (const [servername, isAddress] of [
          ["example.org", false],
          ["127.0.0.2", true],
        ] as const) {
          const expected: ExpectedPeer = { servername, isAddress, session };
          using other = new Pair({}, { ticketKeys }, expected).settle();
          assert.equal(other.client.session.error?.code, "ERR_TLS_CERT_ALTNAME_INVALID");
        }
        const byAddress = { servername: "127.0.0.1", isAddress: true, session };
        using same = new Pair({}, { ticketKeys }, byAddress).open();
        assert.equal(same.client.session.info?.resumed, true);
      },
    },
    ...VERSIONS.map(
      (version): Case => ({
        name: `${version}: a server that checks clients resumes no session of one that does not`,
        run() {
          const ticketKeys = randomBytes(80);
          const { cert, key } = makeCertificate({ commonName: "a client", issuer: testRoot() });
          const client = { cert, key, maxVersion: version };
          const strict = { ticketKeys, requestCert: true, ca };
          const others: TlsServerOptions[] = [
            { ticketKeys },
            { ...strict, rejectUnauthorized: false },
            { ...strict, ca: ca + makeCertificate({ isCa: true }).cert },
          ];
          for (const other of others) {
            using first = new Pair(client, other).open();
            const session = resumable(first);
            assert.ok(session !== undefined);
            const expected: ExpectedPeer = { servername: "localhost", session };
            using next = new Pair(client, strict, expected).open();
            assert.equal(next.server.session.info?.resumed, false);
            using none = new Pair({ maxVersion: version }, strict, expected).settle();
            assert.ok(none.server.session.error !== null);
          }
          using own = new Pair(client, strict).open();
          const session = resumable(own);
          using again = new Pair(client, strict, { servername: "localhost", session }).open();
          assert.equal(again.server.session.info?.resumed, true);
          assert.equal(again.server.session.info?.authorized, true);
        },
      }),
    ),
    {
      name: "an error that other code leaves in the queue of OpenSSL fails no session",
      run() {
        using pair = new Pair({}, {}).open();
        using other = new Pair({}, {}).open();
        const { calls, scratch } = pair.client.session.library;
        pair.client.write("last").end();
        scratch.u8.fill(255, 8, 64);
        scratch.setWord(0, scratch.address + 8);
        assert.equal(calls.d2i_SSL_SESSION(0, scratch.address, 50), 0);
        pair.settle();
        assert.equal(pair.server.session.error, null);
        assert.ok(pair.server.session.hasEnded);
        other.client.write("x").end();
        other.settle();
        assert.ok(other.server.session.hasEnded);
      },
    },
    {
      name: "TLSv1.2: an attempt to renegotiate is declined, and the session continues",
      run() {
        using pair = new ForgedPair("TLSv1.2");
        for (let i = 0; i < 3; i++) {
          pair.send(HANDSHAKE, CLIENT_HELLO);
          assert.ok(pair.server.session.hasOutput && pair.server.outgoing.length > 0);
          pair.send(DATA, Buffer.from("x"));
        }
        assert.equal(pair.server.received.length, 3);
        assert.equal(pair.server.outgoing[0], ALERT);
        pair.server.write("y");
        assert.equal(pair.server.session.error, null);
      },
    },
    {
      name: "TLSv1.3: a KeyUpdate is answered with the next bytes, in whatever parts it arrives",
      run() {
        for (let cut = 0; cut <= KEY_UPDATE.length; cut++) {
          using pair = new ForgedPair("TLSv1.3");
          using other = new Pair({}, {}).open();
          const parts = [KEY_UPDATE.subarray(0, cut), KEY_UPDATE.subarray(cut)];
          pair.send(HANDSHAKE, ...parts.filter(({ length }) => length > 0));
          assert.ifError(pair.server.session.error);
          assert.equal(pair.server.session.isBusy, false);
          // What is left would be sent by another session.
          other.server.write("z");
          other.settle();
          assert.equal(Buffer.from(other.client.received).toString(), "z");
          pair.server.write("after");
          pair.settle();
          assert.equal(Buffer.from(pair.client.received).toString(), "after");
        }
        using half = new ForgedPair("TLSv1.3");
        half.send(HANDSHAKE, KEY_UPDATE.subarray(0, 4));
        assert.equal(half.server.session.isBusy, true);
        // Data may not come between the parts.
        half.send(DATA, Buffer.from("x"));
        assert.match(String(half.server.session.error?.code), /^ERR_SSL_/);
        using other = new Pair({}, {}).open();
        other.client.write("x");
        other.settle();
        assert.equal(other.server.received.length, 1);
      },
    },
    {
      name: "a flood of KeyUpdates, of empty records, or a record of an unknown type fails the session",
      run() {
        const empty = new Uint8Array(0);
        for (const [version, type, content, count, code] of [
          ["TLSv1.3", HANDSHAKE, KEY_UPDATE, 1, null],
          ["TLSv1.2", DATA, empty, 33, /^ERR_SSL_/],
          ["TLSv1.3", DATA, empty, 33, /^ERR_SSL_/],
          ["TLSv1.2", HANDSHAKE, CLIENT_HELLO, 3, null],
          ["TLSv1.3", HANDSHAKE, empty, 1, /^ERR_SSL_/],
          ["TLSv1.3", 99, Buffer.from("x"), 1, /^ERR_SSL_/],
          ["TLSv1.3", ALERT, Buffer.from([2, 40]), 1, /^ERR_SSL_.*ALERT_HANDSHAKE_FAILURE$/],
          ["TLSv1.3", ALERT, Buffer.from([2, 255]), 1, /^ERR_SSL_ALERT_NUMBER_255$/],
          ["TLSv1.2", ALERT, Buffer.from([1, 90]), 6, /^ERR_SSL_TOO_MANY_WARN_ALERTS$/],
          ["TLSv1.3", DATA, Buffer.alloc(16_385), 1, /^ERR_SSL_/],
          ["TLSv1.2", DATA, Buffer.alloc(18_000), 1, /^ERR_SSL_/],
        ] as const) {
          using pair = new ForgedPair(version);
          using other = new Pair({}, {}).open();
          pair.send(type, ...Array.from({ length: count }, () => content));
          const { error } = pair.server.session;
          const what = `${version}, type ${type}, ${content.length} bytes: ${error?.code}`;
          if (code === null) assert.equal(error, null, what);
          else assert.match(String(error?.code), code, what);
          other.client.write("x");
          other.settle();
          assert.equal(other.server.received.length, 1, what);
        }
      },
    },
    {
      name: "records of one byte arrive, whatever the chunks",
      run() {
        for (const version of VERSIONS) {
          using pair = new ForgedPair(version);
          const sent = pattern(2_000, 5);
          const records = Buffer.concat(
            [...sent].map((_, i) => pair.forger.seal(DATA, sent.subarray(i, i + 1))),
          );
          const chunk = lengths(3_000);
          for (let at = 0; at < records.length; ) {
            const length = chunk();
            pair.server.receive(records.subarray(at, at + length));
            at += length;
          }
          assertSame(pair.server.received, sent);
        }
      },
    },
    {
      name: "a ticket in several records is received in parts while the client writes",
      run() {
        const { cert, key } = makeCertificate({ commonName: "a client", issuer: testRoot() });
        using pair = new Pair({ cert, key }, { requestCert: true, ca }, undefined, (context) => {
          context.library.calls.SSL_CTX_ctrl(context.address, SET_MAX_SEND_FRAGMENT, 512, 0);
        });
        const { server, client } = pair;
        client.step();
        while (!server.session.isOpen) {
          client.pass(server, 65_536);
          if (!server.session.isOpen) server.pass(client, 65_536);
        }
        let waits = 0;
        let writes = 0;
        for (;;) {
          const { outgoing } = server;
          if (outgoing.length === 0) break;
          server.pass(client, 5 + (outgoing[3] as number) * 256 + (outgoing[4] as number));
          if (client.session.isBusy) waits++;
          else if (client.session.isOpen) writes++;
          if (!client.session.isBusy && client.session.isOpen) client.write("x");
        }
        assert.ok(waits > 0 && writes > 0, `${waits} ${writes}`);
        client.pass(server, 65_536);
        assert.equal(server.received.length, writes);
        assert.ok(client.session.info?.session() !== null);
      },
    },
  ];
}

const BAD = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

/** Invalid options, and what the message must contain. */
function invalidOptions(): [options: Record<string, unknown>, message: RegExp][] {
  const { cert, key } = testCertificate();
  const other = makeCertificate();
  return [
    [{ cert: undefined }, /give tls\.cert|without tls\.cert/],
    [{ key: undefined }, /tls\.key/],
    [{ cert: 5 }, /Cannot use 5 as tls\.cert: give PEM text/],
    [{ cert: "cert.pem" }, /"cert\.pem" as tls\.cert: give the contents/],
    [{ key: Buffer.from([1, 2, 3]) }, /3 bytes as tls\.key: give the contents/],
    [{ cert: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" }, /no valid/],
    [{ key: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" }, /tls\.key: /],
    [{ key: other.key }, /Cannot use tls\.key: it is not the key of tls\.cert/],
    [{ cert: [cert, cert] }, /2 entries in tls\.cert with 1 in tls\.key/],
    [{ passphrase: 1 }, /1 as tls\.passphrase/],
    [{ ca: {} }, /as tls\.ca/],
    [{ ca: "-----BEGIN X-----\n", requestCert: true }, /tls\.ca: there is no valid/],
    [{ minVersion: "TLSv1.1" }, /"TLSv1\.1" as tls\.minVersion: give "TLSv1\.2" or "TLSv1\.3"/],
    [{ maxVersion: 3 }, /3 as tls\.maxVersion/],
    [{ minVersion: "TLSv1.3", maxVersion: "TLSv1.2" }, /tls\.minVersion above/],
    [{ ciphers: "NONE-SUCH" }, /"NONE-SUCH" as tls\.ciphers: no cipher match/],
    [{ ciphers: 1 }, /1 as tls\.ciphers/],
    [{ ciphers: "" }, /"" as tls\.ciphers: no cipher match/],
    [{ ciphers: "TLS_NONE" }, /"TLS_NONE" as tls\.ciphers: no cipher match/],
    [
      { ciphers: "TLS_AES_128_GCM_SHA256", maxVersion: "TLSv1.2" },
      /"TLS_AES_128_GCM_SHA256" as tls\.ciphers: no cipher match/,
    ],
    [
      { cert: `${cert}${cert.slice(0, 300)}\n-----END CERTIFICATE-----\n` },
      /tls\.cert: a certificate in it/,
    ],
    [{ ca: `${BAD}${cert}`, requestCert: true }, /tls\.ca: a certificate in it is not valid \(/],
    [{ maxHandshakes: Number.NaN }, /NaN as tls\.maxHandshakes/],
    [{ handshakeTimeoutMs: Number.POSITIVE_INFINITY }, /Infinity as tls\.handshakeTimeoutMs/],
    [{ ALPNProtocols: [1] }, /1 as a protocol of tls\.ALPNProtocols/],
    [{ cert: [] }, /Cannot use \[\] as tls\.cert: give at least one entry/],
    [{ cert: [], key: [] }, /\[\] as tls\.cert/],
    [{ key: [] }, /\[\] as tls\.key/],
    [{ contexts: { a: { cert: [], key: [] } } }, /\[\] as tls\.contexts\["a"\]\.cert/],
    [{ cert: null }, /null as tls\.cert/],
    [
      { contexts: { a: { cert, key, requestCert: true } } },
      /Unknown option "requestCert" of tls\.contexts/,
    ],
    [{ ALPNProtocols: "h2" }, /"h2" as tls\.ALPNProtocols: give an array/],
    [{ ALPNProtocols: [""] }, /give 1 to 255 bytes/],
    [{ ALPNProtocols: ["x".repeat(256)] }, /give 1 to 255 bytes/],
    [{ rejectUnauthorized: 0 }, /0 as tls\.rejectUnauthorized/],
    [{ requestCert: "yes" }, /"yes" as tls\.requestCert/],
    [{ handshakeTimeoutMs: 0 }, /0 as tls\.handshakeTimeoutMs/],
    [{ handshakeTimeoutMs: "1" }, /"1" as tls\.handshakeTimeoutMs/],
    [{ maxHandshakes: 0 }, /0 as tls\.maxHandshakes/],
    [{ ticketKeys: new Uint8Array(48) }, /48 bytes as tls\.ticketKeys: give a Uint8Array of 80/],
    [{ keylog: true }, /true as tls\.keylog: give a function/],
    [{ handshakeError: 1 }, /1 as tls\.handshakeError: give a function/],
    [{ contexts: 1 }, /1 as tls\.contexts: give an object/],
    [{ contexts: { a: {} } }, /tls\.contexts\["a"\] without cert and key/],
    [{ contexts: { a: { cert, key: other.key } } }, /tls\.contexts\["a"\]\.key: it is not the key/],
    [{ secureProtocol: "x" }, /Unknown option "secureProtocol" of tls/],
    [{ cert, key, servername: "a" }, /Unknown option "servername" of tls/],
  ];
}

function optionCases(): Case[] {
  return [
    {
      name: "an invalid option is refused with one line that names it",
      run() {
        for (const [options, message] of invalidOptions()) {
          assert.throws(
            () => new Pair({}, options as TlsServerOptions),
            (error: Error & { code: string }) => {
              assert.match(error.code, /^ERR_INVALID_(OPTION|TIMEOUT)$/, error.message);
              assert.match(error.message, message);
              assert.ok(!error.message.includes("\n"), error.message);
              return true;
            },
          );
        }
        for (const [options, message] of [
          [{ servername: 1 }, /1 as tls\.servername/],
          [{ session: "x" }, /"x" as tls\.session/],
          [{ contexts: {} }, /Unknown option "contexts" of tls/],
          [{ cert: testCertificate().cert }, /tls\.cert without tls\.key/],
        ] as const) {
          assert.throws(() => new Pair(options as TlsClientOptions, {}), { message });
        }
        const session = new Uint8Array(10);
        assert.throws(() => new Pair({}, {}, { session }), { message: /as tls\.session/ });
      },
    },
    {
      name: "an encrypted key needs its passphrase",
      run() {
        const { cert, privateKey } = makeCertificate({ issuer: testRoot() });
        const passphrase = "secret";
        const cipher = "aes-256-cbc";
        const format = { type: "pkcs8", format: "pem", cipher, passphrase } as const;
        const key = privateKey.export(format) as string;
        using _ = new Pair({}, { cert, key, passphrase }).open();
        assert.throws(() => new Pair({}, { cert, key }), { message: /encrypted; give passphrase/ });
        assert.throws(() => new Pair({}, { cert, key, passphrase: "wrong" }), {
          message: /passphrase is wrong/,
        });
      },
    },
    {
      name: "a certificate that has expired causes a warning when it is served",
      run() {
        const warnings: string[] = [];
        const emitWarning = process.emitWarning;
        process.emitWarning = (warning: string | Error) => void warnings.push(String(warning));
        try {
          const { cert, key } = makeCertificate({ fromDay: -9, toDay: -1 });
          using _ = new Pair({}, { cert, key });
        } finally {
          process.emitWarning = emitWarning;
        }
        assert.deepEqual(warnings, ["the certificate in tls.cert has expired"]);
      },
    },
  ];
}
