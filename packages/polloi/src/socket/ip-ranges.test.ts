import assert from "node:assert/strict";
import { test } from "node:test";
import { IpRanges } from "./ip-ranges.ts";

const HAS: readonly (readonly [ranges: readonly string[], ip: string, has: boolean])[] = [
  [["127.0.0.0/8"], "127.0.0.1", true],
  [["127.0.0.0/8"], "127.255.255.255", true],
  [["127.0.0.0/8"], "128.0.0.0", false],
  [["127.0.0.0/8"], "::ffff:127.0.0.1", true],
  [["127.0.0.0/8"], "::1", false],
  [["10.1.2.3"], "10.1.2.3", true],
  [["10.1.2.3"], "10.1.2.4", false],
  [["10.1.2.2/31"], "10.1.2.3", true],
  [["10.1.2.2/31"], "10.1.2.4", false],
  [["172.16.0.0/12"], "172.31.9.9", true],
  [["172.16.0.0/12"], "172.32.0.0", false],
  [["0.0.0.0/0"], "1.2.3.4", true],
  [["0.0.0.0/0"], "2001:db8::1", false],
  [["::/0"], "2001:db8::1", true],
  [["::/0"], "1.2.3.4", false],
  [["::/0"], "::ffff:1.2.3.4", false],
  [["::ffff:10.0.0.0/104"], "10.200.0.1", true],
  [["::ffff:10.0.0.0/104"], "::ffff:11.0.0.1", false],
  [["fc00::/7"], "fdff::1", true],
  [["fc00::/7"], "fe00::1", false],
  [["2001:db8::/33"], "2001:db8:7fff::1", true],
  [["2001:db8::/33"], "2001:db8:8000::1", false],
  [["fe80::/10"], "fe80::1%eth0", true],
  [["10.0.0.0/8", "192.168.0.0/16"], "192.168.7.7", true],
  [[], "127.0.0.1", false],
  [["0.0.0.0/0", "::/0"], "localhost", false],
  [["0.0.0.0/0", "::/0"], "", false],
  [["unix"], "127.0.0.1", false],
];

test("an address is in a range if its first bits are those of the range", () => {
  for (const [ranges, ip, has] of HAS) {
    assert.equal(new IpRanges(ranges, "trusted").hasIp(ip), has, `${ip} in ${ranges}`);
  }
});

test("peers on unix sockets are a range of their own", () => {
  const peer = { path: "" };
  assert.equal(new IpRanges(["unix"], "trusted").has(peer), true);
  assert.equal(new IpRanges(["127.0.0.0/8", "::1"], "trusted").has(peer), false);
  assert.equal(new IpRanges(["unix"], "trusted").has(null), false);
});

test("an invalid range is refused, with a remedy", () => {
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    ["127.0.0.0/8", /Cannot use "127.0.0.0\/8" as trusted: give an array/],
    [["10.0.0.1/8"], /bits behind the prefix are set; the range is "10.0.0.0\/8"/],
    [["fc00::1/7"], /the range is "fc00::\/7"/],
    [["10.0.0.0/33"], /the prefix of an IPv4 range has at most 32 bits/],
    [["::/129"], /the prefix of an IPv6 range has at most 128 bits/],
    [["10.0.0.0/"], /Cannot use "10.0.0.0\/" in trusted: give an address/],
    [["10.0.0.0/-1"], /give an address, a range such as/],
    [["10.0.0/8"], /give an address/],
    [["[::1]"], /give an address/],
    [["fe80::1%eth0"], /give an address/],
    [["localhost"], /give an address/],
    [[""], /give an address/],
    [[1], /Cannot use 1 in trusted/],
  ];
  for (const [ranges, message] of wrong) {
    const make = () => new IpRanges(ranges as string[], "trusted");
    assert.throws(make, { code: "ERR_INVALID_OPTION", message });
  }
});
