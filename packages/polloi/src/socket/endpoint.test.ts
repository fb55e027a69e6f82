import assert from "node:assert/strict";
import { test } from "node:test";
import { parseEndpoint } from "./endpoint.ts";

test("an endpoint is a host, perhaps with a scheme, a port and more, or a unix socket", () => {
  const endpoints: readonly [
    text: string,
    scheme: string | undefined,
    host: string,
    port?: number,
  ][] = [
    ["localhost", undefined, "localhost"],
    ["localhost:7788", undefined, "localhost", 7788],
    ["127.0.0.1:0", undefined, "127.0.0.1", 0],
    ["::1", undefined, "::1"],
    ["::", undefined, "::"],
    ["fe80::1%eth0", undefined, "fe80::1%eth0"],
    ["[::1]", undefined, "::1"],
    ["[::1]:80", undefined, "::1", 80],
    ["[::ffff:1.2.3.4]:80", undefined, "::ffff:1.2.3.4", 80],
    ["[fe80::1%eth0]:65535", undefined, "fe80::1%eth0", 65_535],
    ["tcp://127.0.0.1:7788", "tcp", "127.0.0.1", 7788],
    ["TCP://[::1]:80", "tcp", "::1", 80],
    ["http://example.org", "http", "example.org"],
  ];
  for (const [text, scheme, host, port] of endpoints) {
    assert.deepEqual(parseEndpoint(text), { scheme, host, port, rest: "" }, text);
  }
  const { rest } = parseEndpoint("http://h:80/a?b#c") as { rest: string };
  assert.equal(rest, "/a?b#c");
});

test("a path, unix: and @ are unix sockets", () => {
  const paths: Readonly<Record<string, string>> = {
    "unix:x": "x",
    "unix:/run/x": "/run/x",
    "unix:///run/x": "/run/x",
    "UNIX:@name": "\0name",
    "@name": "\0name",
    "/run/x": "/run/x",
    "./x:1": "./x:1",
    "run/x": "run/x",
    "unix:a:b": "a:b",
  };
  for (const [text, path] of Object.entries(paths)) {
    assert.deepEqual(parseEndpoint(text), { path }, text);
  }
});

test("a value that is not an endpoint is rejected with the reason", () => {
  const refused: Readonly<Record<string, RegExp>> = {
    "": /give HOST:PORT/,
    " ": /give HOST:PORT/,
    ":80": /the host is missing/,
    "tcp://": /the host is missing/,
    "[]:80": /only an IPv6 address stands in brackets/,
    "[127.0.0.1]:80": /only an IPv6 address stands in brackets/,
    "[::1": /one colon at most/,
    "[::1]80": /one colon at most/,
    "::1]:80": /one colon at most/,
    "a:b:c": /one colon at most; an IPv6 address with a port is \[::1\]:80/,
    "127.0.0.1:80:90": /one colon at most/,
    "host:": /a port is a whole number up to 65535/,
    "host:http": /a port is a whole number up to 65535/,
    "host:65536": /a port is a whole number up to 65535/,
    "host:-1": /a port is a whole number up to 65535/,
    "host:8e1": /a port is a whole number up to 65535/,
    "host:80\r\n": /no spaces, line breaks or control characters/,
    "my host:80": /no spaces, line breaks or control characters/,
    "user@host:80": /leave out the user name/,
    "http:/host": /nothing after them/,
    "unix:": /the path of the unix socket is missing/,
    "unix://": /the path of the unix socket is missing/,
    "@": /the path of the unix socket is missing/,
  };
  for (const [text, why] of Object.entries(refused)) {
    assert.throws(
      () => parseEndpoint(text),
      (error: Error & { code?: string }) =>
        error.code === "ERR_INVALID_ADDRESS" &&
        error.message.startsWith(`Cannot use ${JSON.stringify(text)} as an address: `) &&
        why.test(error.message),
      text,
    );
  }
});
