import assert from "node:assert/strict";
import { isIP, isIPv6 } from "node:net";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Arena } from "../sys/arena.ts";
import {
  decodeAddress,
  encodeAddress,
  familyOf,
  formatAddress,
  type InetAddress,
  type SocketAddress,
} from "./address.ts";
import { AF_INET, AF_INET6, AF_UNIX } from "./constants.ts";
import { ipVersion, readIPv6, writeIPv6 } from "./ip.ts";

const OFFSET = 16;

/** An arena with bytes of an earlier call. */
function dirtyArena(): Arena {
  const arena = new Arena(0, new ArrayBuffer(256));
  arena.u8.fill(0xaa);
  return arena;
}

function roundTrip(address: SocketAddress, family?: number): SocketAddress | null {
  const arena = dirtyArena();
  return decodeAddress(arena, OFFSET, encodeAddress(arena, OFFSET, address, family));
}

const port = fc.integer({ min: 0, max: 65535 });
const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const ipv6Bytes = fc.oneof(
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
  // Many zeros, because the short form of an address omits them.
  fc
    .array(fc.constantFrom(0, 0, 0, 1, 0xff), { minLength: 16, maxLength: 16 })
    .map((bytes) => Uint8Array.from(bytes)),
);
const withoutNul = fc.string({ unit: "binary", minLength: 1 }).filter((s) => !s.includes("\0"));
const byteLength = (text: string): number => new TextEncoder().encode(text).length;

describe("addresses", () => {
  test("an IPv4 address is unchanged after encoding and decoding", () => {
    fc.assert(
      fc.property(fc.ipV4(), port, (address, port) => {
        assert.deepEqual(roundTrip({ address, port }), { address, port, family: AF_INET });
      }),
    );
  });

  test("an IPv6 address has its canonical spelling after encoding and decoding", () => {
    fc.assert(
      fc.property(fc.ipV6(), port, uint32, uint32, (address, port, flowInfo, scopeId) => {
        const back = roundTrip({ address, port, flowInfo, scopeId }) as InetAddress;
        // The URL parser has the same canonical spelling, except for the dotted tail.
        const canonical = (text: string): string => new URL(`http://[${text}]/`).hostname;
        assert.equal(canonical(back.address), canonical(address));
        assert.deepEqual(
          { port: back.port, flowInfo: back.flowInfo ?? 0, scopeId: back.scopeId ?? 0 },
          { port, flowInfo, scopeId },
        );
        assert.deepEqual(roundTrip(back), back);
      }),
    );
  });

  test("any sixteen bytes have one literal, which decodes to those bytes", () => {
    fc.assert(
      fc.property(ipv6Bytes, (bytes) => {
        const literal = readIPv6(bytes, 0);
        assert.ok(isIPv6(literal), literal);
        const back = new Uint8Array(16).fill(0xaa);
        writeIPv6(back, 0, literal);
        assert.deepEqual(back, bytes);
      }),
    );
  });

  test("IPv6 literals are written as RFC 5952 requires", () => {
    const canonical: Record<string, string> = {
      "2001:DB8:0:0:8:800:200C:417A": "2001:db8::8:800:200c:417a",
      "0:0:0:0:0:0:0:0": "::",
      "0:0:0:0:0:0:0:1": "::1",
      "1:0:0:0:0:0:0:0": "1::",
      "2001:db8:0:1:1:1:1:1": "2001:db8:0:1:1:1:1:1",
      "2001:0:0:1:0:0:0:1": "2001:0:0:1::1",
      "2001:db8::1:0:0:1": "2001:db8::1:0:0:1",
      "::ffff:7f00:1": "::ffff:127.0.0.1",
      "64:ff9b::192.0.2.33": "64:ff9b::c000:221",
    };
    for (const [literal, expected] of Object.entries(canonical)) {
      assert.equal((roundTrip({ address: literal, port: 1 }) as InetAddress).address, expected);
    }
  });

  test("a path with any characters is unchanged after encoding and decoding", () => {
    fc.assert(
      fc.property(withoutNul, (path) => {
        fc.pre(byteLength(path) <= 107);
        assert.deepEqual(roundTrip({ path }), { path });
      }),
    );
  });

  test("an abstract name may contain any byte, and is decoded as a string if it is one", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 107 }), (name) => {
        const path = Uint8Array.from([0, ...name]);
        const back = roundTrip({ path })?.path as string | Uint8Array;
        const bytes = typeof back === "string" ? new TextEncoder().encode(back) : back;
        assert.deepEqual(bytes, path);
      }),
    );
    assert.deepEqual(roundTrip({ path: "\0name" }), { path: "\0name" });
  });

  test("an unnamed socket has the empty path, and a missing address is null", () => {
    const arena = dirtyArena();
    assert.equal(encodeAddress(arena, OFFSET, { path: "" }), 2);
    assert.deepEqual(roundTrip({ path: "" }), { path: "" });
    assert.equal(decodeAddress(arena, OFFSET, 0), null);
    arena.view.setUint16(OFFSET, 16, true);
    assert.equal(decodeAddress(arena, OFFSET, 12), null, "AF_NETLINK");
  });

  test("no byte outside the address is written", () => {
    const addresses: SocketAddress[] = [
      { address: "1.2.3.4", port: 5 },
      { address: "::1", port: 5 },
      { path: "/a/path" },
      { path: "\0abstract" },
    ];
    for (const address of addresses) {
      const arena = dirtyArena();
      const length = encodeAddress(arena, OFFSET, address);
      assert.ok(arena.u8.subarray(0, OFFSET).every((byte) => byte === 0xaa));
      assert.ok(arena.u8.subarray(OFFSET + length).every((byte) => byte === 0xaa));
    }
  });

  test("the wildcard and localhost follow the family of the socket", () => {
    const at = (address: string, family: number): string =>
      (roundTrip({ address, port: 1 }, family) as InetAddress).address;
    assert.equal(at("", AF_INET), "0.0.0.0");
    assert.equal(at("", AF_INET6), "::");
    assert.equal(at("localhost", AF_INET), "127.0.0.1");
    assert.equal(at("localhost", AF_INET6), "::1");
    assert.equal(familyOf({ address: "", port: 1 }), AF_INET);
    assert.equal(familyOf({ address: "", port: 1, family: AF_INET6 }), AF_INET6);
    assert.equal(familyOf({ path: "" }), AF_UNIX);
  });

  test("an IPv4 address is v4-mapped on an IPv6 socket", () => {
    const back = roundTrip({ address: "192.0.2.1", port: 7 }, AF_INET6);
    assert.deepEqual(back, { address: "::ffff:192.0.2.1", port: 7, family: AF_INET6 });
  });

  test("a zone is an interface, by number or by name", () => {
    const scope = (address: string): number | undefined =>
      (roundTrip({ address, port: 1 }) as InetAddress).scopeId;
    assert.equal(scope("fe80::1%7"), 7);
    assert.equal(scope("fe80::1%lo"), 1);
    const missing = { code: "ERR_INVALID_ADDRESS", message: /no-such-if/ };
    assert.throws(() => scope("fe80::1%no-such-if"), missing);
    assert.throws(() => scope("1.2.3.4%lo"), { code: "ERR_INVALID_ADDRESS" });
  });

  test("a port out of range, a fraction, NaN or a string is rejected with its value", () => {
    for (const port of [-1, 65536, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "80", undefined]) {
      assert.throws(
        () => encodeAddress(dirtyArena(), 0, { address: "::1", port: port as number }),
        {
          code: "ERR_INVALID_PORT",
          message: new RegExp(`${port}.*0 to 65535`),
        },
      );
    }
  });

  test("a host name is rejected, and the message names the call that resolves it", () => {
    for (const address of ["example.org", "127.1", "0x7f.0.0.1", "1.2.3.4.5", " ::1", "::1 "]) {
      assert.throws(() => encodeAddress(dirtyArena(), 0, { address, port: 1 }), {
        code: "ERR_INVALID_ADDRESS",
        message: /await resolve\(/,
      });
    }
  });

  test("a value that is not an address is rejected, and the message names it", () => {
    const wrong: [unknown, RegExp][] = [
      [undefined, /undefined/],
      ["127.0.0.1:80", /"127.0.0.1:80"/],
      [{ host: "127.0.0.1", port: 80 }, /"host":"127.0.0.1"/],
      [{ address: 7, port: 80 }, /"address":7/],
      [{ path: 5 }, /5 as a path/],
      [{ address: "[::1]", port: 80 }, /without brackets/],
      [{ address: "::1", port: 80, scopeId: -1 }, /-1 as scopeId/],
      [{ address: "::1", port: 80, flowInfo: 2 ** 32 }, /4294967296 as flowInfo/],
    ];
    for (const [address, message] of wrong) {
      assert.throws(() => encodeAddress(dirtyArena(), 0, address as SocketAddress), {
        code: "ERR_INVALID_ADDRESS",
        message,
      });
    }
  });

  test("an address of another family than the socket's is rejected", () => {
    const wrong: [SocketAddress, number][] = [
      [{ address: "::1", port: 1 }, AF_INET],
      [{ address: "127.0.0.1", port: 1 }, AF_UNIX],
      [{ path: "/x" }, AF_INET],
    ];
    for (const [address, family] of wrong) {
      assert.throws(() => encodeAddress(dirtyArena(), 0, address, family), {
        code: "ERR_INVALID_ADDRESS",
        message: /AF_(INET|UNIX)/,
      });
    }
  });

  test("a path that the kernel would truncate is rejected, the longest allowed one is not", () => {
    const tooLong = { code: "ERR_INVALID_ADDRESS", message: /107|108/ };
    const write = (path: string): number => encodeAddress(dirtyArena(), 0, { path });
    assert.equal(write("a".repeat(107)), 110);
    assert.equal(write(`\0${"a".repeat(107)}`), 110);
    assert.throws(() => write("a".repeat(108)), tooLong);
    assert.throws(() => write("é".repeat(54)), tooLong);
    assert.throws(() => write(`\0${"a".repeat(108)}`), tooLong);
    assert.throws(() => write("/run/a\0b"), { code: "ERR_INVALID_ADDRESS", message: /NUL/ });
  });

  test("an address is formatted as host and port, or as a path", () => {
    assert.equal(formatAddress({ address: "127.0.0.1", port: 80 }), "127.0.0.1:80");
    assert.equal(formatAddress({ address: "", port: 80 }), "0.0.0.0:80");
    assert.equal(formatAddress({ address: "fe80::1", port: 80, scopeId: 2 }), "[fe80::1%2]:80");
    assert.equal(formatAddress({ path: "/run/x" }), "/run/x");
    assert.equal(formatAddress({ path: "\0x" }), "@x");
  });
});

test("IP literals and their versions are recognized as by node:net", () => {
  const part = fc.constantFrom(
    ...["", "0", "01", "9", "255", "256", "ff", "FFFF", "10000", "g", "1.2.3.4", "1.2.3", "::"],
  );
  const pieced = fc
    .tuple(fc.array(part, { maxLength: 9 }), fc.constantFrom(":", ".", "::"))
    .map(([parts, between]) => parts.join(between));
  fc.assert(
    fc.property(fc.oneof(pieced, fc.ipV4(), fc.ipV6(), fc.string()), (text) => {
      assert.equal(ipVersion(text), isIP(text), JSON.stringify(text));
    }),
    { numRuns: 3000 },
  );
});
