import assert from "node:assert/strict";
import { test } from "node:test";
import { AF_INET, AF_INET6 } from "../socket/constants.ts";
import { crc32c } from "./crc32c.ts";
import { FAMILY, type ProxyFailure, type ProxyHeader, SIGNATURE } from "./header.ts";
import { FAILED, NEED_MORE, ProxyHeaderParser } from "./header-parser.ts";
import { encodeProxyHeader } from "./write-header.ts";

/** Text as Latin-1 bytes. */
function text(line: string): Uint8Array {
  return Uint8Array.from(line, (unit) => unit.charCodeAt(0));
}

/** A header of version 2. @param declared - The length that it states, if it is another than that of `rest`. */
function binary(
  versionAndCommand: number,
  family: number,
  rest: readonly number[],
  declared: number = rest.length,
): Uint8Array {
  const fixed = [...SIGNATURE, versionAndCommand, family, declared >> 8, declared & 0xff];
  return Uint8Array.from([...fixed, ...rest]);
}

const PROXY = 0x21;
const LOCAL = 0x20;
const TCP4 = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb];
const TCP6 = [
  ...[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
  ...[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
  ...[0xdc, 0x04, 0x01, 0xbb],
];
const UNIX = [...padded("/run/app.sock"), ...padded("")];

function padded(path: string): number[] {
  return Array.from({ length: 108 }, (_, i) => (i < path.length ? path.charCodeAt(i) : 0));
}

function tlv(type: number, value: readonly number[], declared: number = value.length): number[] {
  return [type, declared >> 8, declared & 0xff, ...value];
}

/** A header whose field CRC32C is right, plus `change`. */
function withChecksum(change: number, rest: readonly number[] = [...TCP4]): Uint8Array {
  const bytes = binary(PROXY, FAMILY.TCP4, [...rest, ...tlv(3, [0, 0, 0, 0])]);
  new DataView(bytes.buffer).setUint32(bytes.length - 4, (crc32c(bytes) + change) >>> 0);
  return bytes;
}

const IPV4: Partial<ProxyHeader> = {
  source: { address: "192.0.2.1", port: 56_324, family: AF_INET },
  destination: { address: "198.51.100.7", port: 443, family: AF_INET },
};
const IPV6: Partial<ProxyHeader> = {
  source: { address: "2001:db8::1", port: 56_324, family: AF_INET6 },
  destination: { address: "2001:db8::2", port: 443, family: AF_INET6 },
};
const LONGEST_IPV6 = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";

/** Valid headers, and what differs from a header without anything in it. */
const VALID: readonly (readonly [string, Uint8Array, Partial<ProxyHeader>])[] = [
  ["TCP4", text("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"), { version: 1, ...IPV4 }],
  ["TCP6", text("PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n"), { version: 1, ...IPV6 }],
  [
    "the longest TCP6",
    text(`PROXY TCP6 ${LONGEST_IPV6} ${LONGEST_IPV6} 65535 65535\r\n`),
    {
      version: 1,
      source: { address: LONGEST_IPV6, port: 65_535, family: AF_INET6 },
      destination: { address: LONGEST_IPV6, port: 65_535, family: AF_INET6 },
    },
  ],
  ["UNKNOWN", text("PROXY UNKNOWN\r\n"), { version: 1 }],
  ["UNKNOWN with more", text("PROXY UNKNOWN ff:: ::1 65535 x y z\r\n"), { version: 1 }],
  ["UNKNOWN of 107 bytes", text(`PROXY UNKNOWN ${"x".repeat(91)}\r\n`), { version: 1 }],
  ["binary TCP over IPv4", binary(PROXY, FAMILY.TCP4, TCP4), IPV4],
  ["binary UDP over IPv4", binary(PROXY, FAMILY.UDP4, TCP4), IPV4],
  ["binary TCP over IPv6", binary(PROXY, FAMILY.TCP6, TCP6), IPV6],
  ["binary UDP over IPv6", binary(PROXY, FAMILY.UDP6, TCP6), IPV6],
  [
    "binary unix stream",
    binary(PROXY, FAMILY.UNIX_STREAM, UNIX),
    { source: { path: "/run/app.sock" }, destination: { path: "" } },
  ],
  [
    "binary abstract unix",
    binary(PROXY, FAMILY.UNIX_DGRAM, [...padded("\0name"), ...padded("x".repeat(108))]),
    { source: { path: "\0name" }, destination: { path: "x".repeat(108) } },
  ],
  ["binary unspecified", binary(PROXY, FAMILY.UNSPEC, []), {}],
  ["binary unspecified with anything", binary(PROXY, FAMILY.UNSPEC, [1, 2, 3, 4, 5]), {}],
  [
    "binary unspecified with a field",
    binary(PROXY, FAMILY.UNSPEC, tlv(5, [7])),
    { tlvs: [{ type: 5, value: Uint8Array.of(7) }] },
  ],
  ["LOCAL", binary(LOCAL, FAMILY.UNSPEC, []), { command: "local" }],
  ["LOCAL with addresses", binary(LOCAL, FAMILY.TCP4, TCP4), { command: "local" }],
  ["LOCAL of an unknown family", binary(LOCAL, 0xff, [1, 2, 3]), { command: "local" }],
  [
    "fields",
    binary(PROXY, FAMILY.TCP4, [
      ...TCP4,
      ...tlv(2, [0x61, 0x2e, 0x62]),
      ...tlv(4, [0, 0]),
      ...tlv(0xe0, []),
    ]),
    {
      ...IPV4,
      tlvs: [
        { type: 2, value: Uint8Array.of(0x61, 0x2e, 0x62) },
        { type: 0xe0, value: new Uint8Array(0) },
      ],
    },
  ],
  [
    "a client that uses TLS",
    binary(PROXY, FAMILY.TCP4, [...TCP4, ...tlv(0x20, [1, 0, 0, 0, 0, ...tlv(0x21, [0x78])])]),
    {
      ...IPV4,
      tlvs: [{ type: 0x20, value: Uint8Array.of(1, 0, 0, 0, 0, 0x21, 0, 1, 0x78) }],
      overTls: true,
    },
  ],
  [
    "a client that does not use TLS",
    binary(PROXY, FAMILY.TCP4, [...TCP4, ...tlv(0x20, [0, 0, 0, 0, 1])]),
    { ...IPV4, tlvs: [{ type: 0x20, value: Uint8Array.of(0, 0, 0, 0, 1) }] },
  ],
  ["a checksum", withChecksum(0), IPV4],
  [
    "the most bytes",
    binary(PROXY, FAMILY.TCP4, [...TCP4, ...tlv(4, Array(65_520).fill(0) as number[])]),
    IPV4,
  ],
];

const line = (rest: string): Uint8Array => text(`PROXY ${rest}`);

/** Malformed headers. */
const MALFORMED: readonly (readonly [ProxyFailure, string, Uint8Array])[] = [
  ["SIGNATURE", "a request", text("GET / HTTP/1.1\r\n")],
  ["SIGNATURE", "a TLS handshake", Uint8Array.of(0x16, 3, 1)],
  ["SIGNATURE", "zeros", new Uint8Array(16)],
  ["SIGNATURE", "lower case", text("proxy TCP4 192.0.2.1 198.51.100.7 1 2\r\n")],
  ["SIGNATURE", "one lower case letter", text("PROXy TCP4 192.0.2.1 198.51.100.7 1 2\r\n")],
  ["SIGNATURE", "no space", text("PROXYTCP4 192.0.2.1 198.51.100.7 1 2\r\n")],
  ["SIGNATURE", "a tab", text("PROXY\tTCP4 192.0.2.1 198.51.100.7 1 2\r\n")],
  ["SIGNATURE", "a leading space", text(" PROXY UNKNOWN\r\n")],
  ["SIGNATURE", "a line end first", text("\r\nPROXY UNKNOWN\r\n")],
  ["SIGNATURE", "another method", text("PROPFIND / HTTP/1.1\r\n")],
  ["SIGNATURE", "a short line", text("PROXY\r\n")],
  ["SIGNATURE", "a byte of the signature", Uint8Array.from(SIGNATURE, (b, i) => (i === 4 ? 1 : b))],
  ["SIGNATURE", "its last byte", Uint8Array.from(SIGNATURE, (b, i) => (i === 11 ? 13 : b))],
  ["LINE", "an empty line", line("\r\n")],
  ["LINE", "an unknown protocol", line("UDP4 192.0.2.1 198.51.100.7 1 2\r\n")],
  ["LINE", "a protocol in lower case", line("tcp4 192.0.2.1 198.51.100.7 1 2\r\n")],
  ["LINE", "UNKNOWN run together", line("UNKNOWN1\r\n")],
  ["LINE", "half a word", line("UNKNOW\r\n")],
  ["LINE", "no CR", line("TCP4 192.0.2.1 198.51.100.7 1 2\n")],
  ["LINE", "CR without LF", line("TCP4 192.0.2.1 198.51.100.7 1 2\rx")],
  ["LINE", "two CRs", line("TCP4 192.0.2.1 198.51.100.7 1 2\r\r\n")],
  ["LINE", "CR in the middle", line("TCP4 192.0.2.1\r198.51.100.7 1 2\r\n")],
  ["LINE", "NUL", line("TCP4 192.0.2.1 198.51.100.7 1 2\0\r\n")],
  ["LINE", "a tab in the middle", line("TCP4 192.0.2.1\t198.51.100.7 1 2\r\n")],
  ["LINE", "a byte above ASCII", line("TCP4 192.0.2.1\xa0198.51.100.7 1 2\r\n")],
  ["LINE", "DEL", line("UNKNOWN \x7f\r\n")],
  ["LINE", "something behind the ports", line("TCP4 192.0.2.1 198.51.100.7 1 2 3\r\n")],
  ["LINE", "a space at the end", line("TCP4 192.0.2.1 198.51.100.7 1 2 \r\n")],
  ["LINE_LENGTH", "108 bytes", line(`UNKNOWN ${"x".repeat(92)}\r\n`)],
  ["LINE_LENGTH", "no end", line("x".repeat(101))],
  ["ADDRESS", "no addresses", line("TCP4\r\n")],
  ["ADDRESS", "no destination", line("TCP4 192.0.2.1\r\n")],
  ["LINE", "two spaces", line("TCP4  192.0.2.1 198.51.100.7 1 2\r\n")],
  ["ADDRESS", "IPv6 as TCP4", line("TCP4 ::1 ::2 1 2\r\n")],
  ["ADDRESS", "IPv4 as TCP6", line("TCP6 192.0.2.1 198.51.100.7 1 2\r\n")],
  ["ADDRESS", "one of each", line("TCP6 ::1 198.51.100.7 1 2\r\n")],
  ["ADDRESS", "three numbers", line("TCP4 192.0.2 198.51.100.7 1 2\r\n")],
  ["ADDRESS", "five numbers", line("TCP4 192.0.2.1.1 198.51.100.7 1 2\r\n")],
  ["ADDRESS", "256", line("TCP4 192.0.2.256 198.51.100.7 1 2\r\n")],
  ["ADDRESS", "a leading zero", line("TCP4 192.0.2.01 198.51.100.7 1 2\r\n")],
  ["ADDRESS", "hexadecimal", line("TCP4 0xc0000201 198.51.100.7 1 2\r\n")],
  ["ADDRESS", "a name", line("TCP4 localhost 198.51.100.7 1 2\r\n")],
  ["ADDRESS", "brackets", line("TCP6 [::1] [::2] 1 2\r\n")],
  ["ADDRESS", "a zone", line("TCP6 fe80::1%eth0 ::2 1 2\r\n")],
  ["ADDRESS", "two double colons", line("TCP6 1::2::3 ::2 1 2\r\n")],
  ["ADDRESS", "five hexadecimal digits", line("TCP6 12345::1 ::2 1 2\r\n")],
  ["PORT", "no ports", line("TCP4 192.0.2.1 198.51.100.7\r\n")],
  ["PORT", "one port", line("TCP4 192.0.2.1 198.51.100.7 1\r\n")],
  ["PORT", "65536", line("TCP4 192.0.2.1 198.51.100.7 65536 2\r\n")],
  ["PORT", "a sign", line("TCP4 192.0.2.1 198.51.100.7 +1 2\r\n")],
  ["PORT", "a negative port", line("TCP4 192.0.2.1 198.51.100.7 1 -2\r\n")],
  ["PORT", "a leading zero in a port", line("TCP4 192.0.2.1 198.51.100.7 01 2\r\n")],
  ["PORT", "six digits", line("TCP4 192.0.2.1 198.51.100.7 1 100000\r\n")],
  ["PORT", "a fraction", line("TCP4 192.0.2.1 198.51.100.7 1.5 2\r\n")],
  ["LINE", "two spaces before a port", line("TCP4 192.0.2.1 198.51.100.7  1 2\r\n")],
  ["VERSION", "version 1 in binary", binary(0x11, FAMILY.TCP4, TCP4)],
  ["VERSION", "version 3", binary(0x31, FAMILY.TCP4, TCP4)],
  ["VERSION", "version 0", binary(0x01, FAMILY.TCP4, TCP4)],
  ["COMMAND", "command 2", binary(0x22, FAMILY.TCP4, TCP4)],
  ["COMMAND", "command 15", binary(0x2f, FAMILY.TCP4, TCP4)],
  ["FAMILY", "family 4", binary(PROXY, 0x41, TCP4)],
  ["FAMILY", "protocol 3", binary(PROXY, 0x13, TCP4)],
  ["FAMILY", "IPv4 without a protocol", binary(PROXY, 0x10, TCP4)],
  ["FAMILY", "a protocol without a family", binary(PROXY, 0x01, TCP4)],
  ["FAMILY", "all bits", binary(PROXY, 0xff, TCP4)],
  ["LENGTH", "nothing for IPv4", binary(PROXY, FAMILY.TCP4, [])],
  ["LENGTH", "11 bytes for IPv4", binary(PROXY, FAMILY.TCP4, TCP4.slice(1))],
  ["LENGTH", "35 bytes for IPv6", binary(PROXY, FAMILY.TCP6, TCP6.slice(1))],
  ["LENGTH", "215 bytes for unix", binary(PROXY, FAMILY.UNIX_STREAM, UNIX.slice(1))],
  ["TLV", "one byte of a field", binary(PROXY, FAMILY.TCP4, [...TCP4, 1])],
  ["TLV", "two bytes of a field", binary(PROXY, FAMILY.TCP4, [...TCP4, 1, 0])],
  ["TLV", "a field without its value", binary(PROXY, FAMILY.TCP4, [...TCP4, ...tlv(1, [], 1)])],
  ["TLV", "a field that is too long", binary(PROXY, FAMILY.TCP4, [...TCP4, ...tlv(1, [9], 2)])],
  ["TLV", "the longest field", binary(PROXY, FAMILY.TCP6, [...TCP6, ...tlv(1, [9], 0xffff)])],
  ["TLV", "a byte behind the fields", binary(PROXY, FAMILY.TCP4, [...TCP4, ...tlv(1, [9]), 0])],
  [
    "TLV",
    "an id of 129 bytes",
    binary(PROXY, FAMILY.TCP4, [...TCP4, ...tlv(5, Array(129).fill(1) as number[])]),
  ],
  ["TLV", "TLS of 4 bytes", binary(PROXY, FAMILY.TCP4, [...TCP4, ...tlv(0x20, [1, 0, 0, 0])])],
  [
    "TLV",
    "TLS with half a field",
    binary(PROXY, FAMILY.TCP4, [...TCP4, ...tlv(0x20, [1, 0, 0, 0, 0, 0x21, 0])]),
  ],
  ["CHECKSUM", "one too many", withChecksum(1)],
  ["CHECKSUM", "zero", binary(PROXY, FAMILY.TCP4, [...TCP4, ...tlv(3, [0, 0, 0, 0])])],
  ["CHECKSUM", "three bytes", binary(PROXY, FAMILY.TCP4, [...TCP4, ...tlv(3, [0, 0, 0])])],
  ["CHECKSUM", "two checksums", withChecksum(0, [...TCP4, ...tlv(3, [0, 0, 0, 0])])],
];

/** Every way in which a test splits bytes: in two at every byte, and into single bytes. */
function* splits(bytes: Uint8Array): Generator<readonly Uint8Array[]> {
  const step = bytes.length > 1000 ? 997 : 1;
  for (let at = 0; at <= bytes.length; at += step)
    yield [bytes.subarray(0, at), bytes.subarray(at)];
  yield Array.from(bytes, (byte) => Uint8Array.of(byte));
}

/** Passes parts to a parser until it has a result. @returns The result, and the number of bytes that were taken. */
function parse(parts: readonly Uint8Array[]): { parser: ProxyHeaderParser; result: number } {
  const parser = new ProxyHeaderParser();
  let before = 0;
  for (const part of parts) {
    const result = parser.read(part);
    if (result !== NEED_MORE) return { parser, result: result < 0 ? result : before + result };
    before += part.length;
  }
  return { parser, result: NEED_MORE };
}

for (const [name, bytes, expected] of VALID) {
  test(`a PROXY header is parsed, split at every byte: ${name}`, () => {
    const all = { version: 2, command: "proxy", source: null, destination: null, tlvs: [] };
    const wanted = { ...all, overTls: false, ...expected };
    const behind = new Uint8Array([...bytes, 0x50, 0x52]);
    for (const parts of splits(behind)) {
      const { parser, result } = parse(parts);
      assert.equal(parser.failure, null);
      assert.equal(result, bytes.length, "only bytes of the header are taken");
      assert.deepEqual(parser.header, wanted);
    }
    for (let length = 0; length < bytes.length; length += bytes.length > 1000 ? 997 : 1) {
      assert.equal(parse([bytes.subarray(0, length)]).result, NEED_MORE);
    }
  });
}

for (const [code, name, bytes] of MALFORMED) {
  test(`a malformed PROXY header fails, split at every byte: ${code}, ${name}`, () => {
    for (const parts of splits(bytes)) {
      const { parser, result } = parse(parts);
      assert.equal(parser.failure, code);
      assert.equal(result, FAILED);
      assert.equal(parser.header, null);
    }
  });
}

test("the table of malformed headers has no entry twice", () => {
  const hex = MALFORMED.map(([, , bytes]) => Buffer.from(bytes).toString("hex"));
  assert.equal(new Set(hex).size, MALFORMED.length);
  assert.ok(MALFORMED.length >= 60);
});

test("a changed byte of a header with a checksum is found", () => {
  const bytes = withChecksum(0);
  for (let at = 0; at < bytes.length; at++) {
    // Without its type, the field is none of a checksum.
    if (at === bytes.length - 7) continue;
    const changed = bytes.slice();
    changed[at] = (changed[at] as number) ^ 0x40;
    const { parser } = parse([changed]);
    assert.equal(parser.header, null, `byte ${at}`);
  }
});

test("the checksum is CRC-32C", () => {
  // RFC 3720 appendix B.4: 32 bytes of zeros, and the check value of the catalogue.
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32c(text("123456789")), 0xe3069283);
});

test("a header that is written is parsed as it was given", () => {
  for (const [name, , expected] of VALID) {
    const { version = 2, source, destination, tlvs = [], overTls = false } = expected;
    const given = { version, source, destination, tlvs, overTls };
    const bytes = encodeProxyHeader(given as Partial<ProxyHeader>);
    const { parser, result } = parse([bytes]);
    assert.equal(result, bytes.length, name);
    const header = parser.header as ProxyHeader;
    assert.deepEqual(header.source, source ?? null, name);
    assert.deepEqual(header.destination, destination ?? null, name);
    if (source !== undefined) {
      assert.deepEqual(header.tlvs, tlvs, name);
      assert.equal(header.overTls, overTls, name);
      // A header that was received can be sent on.
      assert.deepEqual(encodeProxyHeader(header), bytes, name);
    }
  }
});

test("a header to send is written as the protocol has it", () => {
  const lines: readonly (readonly [Partial<ProxyHeader>, string])[] = [
    [{ version: 1 }, "PROXY UNKNOWN\r\n"],
    [{ version: 1, ...IPV4 }, "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"],
    [
      {
        version: 1,
        source: { address: "192.0.2.1", port: 1 },
        destination: { address: "::1", port: 2 },
      },
      "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n",
    ],
    [{ version: 1, source: { path: "a" }, destination: { path: "b" } }, "PROXY UNKNOWN\r\n"],
  ];
  for (const [header, wanted] of lines) {
    assert.equal(Buffer.from(encodeProxyHeader(header)).toString(), wanted);
  }
  assert.deepEqual(encodeProxyHeader({}), binary(LOCAL, FAMILY.UNSPEC, []));
  assert.deepEqual(
    encodeProxyHeader({ ...IPV4, overTls: true })
      .subarray(0, 16)
      .at(-1),
    20,
  );
});

test("a header that cannot be sent is refused", () => {
  const wrong: readonly (readonly [object, RegExp])[] = [
    [{ version: 3 }, /Cannot use 3 as version: give 1 or 2/],
    [{ command: "PROXY" }, /Cannot use "PROXY" as command: give "proxy" or "local"/],
    [{ source: IPV4.source }, /with one address: give source and destination/],
    [{ source: { path: "a" }, destination: IPV4.destination }, /a path and an IP address/],
    [{ source: { address: "a.b", port: 1 }, destination: IPV4.destination }, /"a.b" as an address/],
    [{ source: { address: "1.2.3.4", port: -1 }, destination: IPV4.destination }, /a port is/],
    [{ version: 1, ...IPV4, tlvs: [{ type: 1, value: new Uint8Array(1) }] }, /version 1: give 2/],
    [{ tlvs: [{ type: 256, value: new Uint8Array(1) }] }, /as the type of a field/],
    [{ tlvs: [{ type: 1, value: "x" }] }, /as the value of a field: give a Uint8Array/],
    [{ tlvs: Array(2).fill({ type: 1, value: new Uint8Array(40_000) }) }, /at most 65535/],
    [{ sauce: 1 }, /did you mean "source"/],
    [{ overTls: 1 }, /Cannot use 1 as overTls/],
  ];
  for (const [header, message] of wrong) {
    assert.throws(() => encodeProxyHeader(header as Partial<ProxyHeader>), { message });
  }
});
