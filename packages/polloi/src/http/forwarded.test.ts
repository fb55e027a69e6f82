import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAddress } from "../socket/address.ts";
import { type ForwardedHeaders, TrustedProxies } from "./forwarded.ts";

type Headers = Readonly<Record<string, string>>;

const TRUSTED = ["127.0.0.0/8", "10.0.0.0/8", "::1", "fd00::/8"];
const LONG_RUN = 100_000;

/** The client of a request from a trusted peer: `address scheme host`, with dashes for what is unknown; or the refusal. */
function clientOf(headers: Headers, which?: ForwardedHeaders): string {
  const proxies = new TrustedProxies({ trusted: TRUSTED, headers: which });
  const client = proxies.clientOf({ header: (name) => headers[name] });
  if (typeof client === "string") return client;
  if (client === null) return "nothing";
  const { address, scheme = "-", host = "-" } = client;
  return `${address === null ? "peer" : formatAddress(address)} ${scheme} ${host}`;
}

const xff = (value: string): Headers => ({ "x-forwarded-for": value });
const forwarded = (value: string): Headers => ({ forwarded: value });
const MALFORMED = "malformed Forwarded header";

const CLIENTS: readonly (readonly [headers: Headers, client: string])[] = [
  [{}, "nothing"],
  [xff(""), "nothing"],
  [xff(" , ,"), "nothing"],
  [xff("192.0.2.1"), "192.0.2.1:0 - -"],
  [xff("192.0.2.1:4711"), "192.0.2.1:4711 - -"],
  [xff("2001:db8::1"), "[2001:db8::1]:0 - -"],
  [xff("[2001:db8::1]"), "[2001:db8::1]:0 - -"],
  [xff("[2001:db8::1]:4711"), "[2001:db8::1]:4711 - -"],
  // The right-most address that is not trusted: what is before it may be made up.
  [xff("1.1.1.1, 192.0.2.1"), "192.0.2.1:0 - -"],
  [xff("127.0.0.1, 192.0.2.1"), "192.0.2.1:0 - -"],
  [xff("1.1.1.1, 192.0.2.1, 10.0.0.7"), "192.0.2.1:0 - -"],
  [xff("1.1.1.1, 192.0.2.1, fd00::7, 10.0.0.7"), "192.0.2.1:0 - -"],
  [xff("1.1.1.1,192.0.2.1,[::1]:8080"), "192.0.2.1:0 - -"],
  [xff("1.1.1.1, ::ffff:192.0.2.1, ::ffff:10.0.0.7"), "[::ffff:192.0.2.1]:0 - -"],
  [xff("10.1.1.1, 10.0.0.7"), "10.1.1.1:0 - -"],
  // What is no address ends the chain: the last proxy that is known counts.
  [xff("unknown"), "peer - -"],
  [xff("192.0.2.1, unknown"), "peer - -"],
  [xff("192.0.2.1, unknown, 10.0.0.7"), "10.0.0.7:0 - -"],
  [xff("192.0.2.1, _hidden, 10.0.0.7"), "10.0.0.7:0 - -"],
  [xff("1.1.1.1, 999.0.2.1"), "peer - -"],
  [xff("1.1.1.1, 192.0.2.01"), "peer - -"],
  [xff("1.1.1.1, 192.0.2.1:99999"), "peer - -"],
  [xff("1.1.1.1, 192.0.2.1:"), "peer - -"],
  [xff("1.1.1.1, [192.0.2.1]"), "peer - -"],
  [xff("1.1.1.1, [2001:db8::1"), "peer - -"],
  [xff("1.1.1.1, fe80::1%eth0"), "peer - -"],
  [xff("1.1.1.1, evil<script>"), "peer - -"],
  [xff('1.1.1.1, "192.0.2.1"'), "peer - -"],
  [xff("1.1.1.1, 192.0.2.1 x"), "peer - -"],
  // Schemes and hosts.
  [{ "x-forwarded-proto": "https" }, "peer https -"],
  [{ "x-forwarded-proto": "HTTPS" }, "peer https -"],
  [{ "x-forwarded-proto": "javascript" }, "peer - -"],
  [{ "x-forwarded-proto": "http, https" }, "peer https -"],
  [{ "x-forwarded-host": "app.example:8443" }, "peer - app.example:8443"],
  [{ "x-forwarded-host": "evil.example, app.example" }, "peer - app.example"],
  [{ "x-forwarded-host": "a b" }, "a forwarded host is no host"],
  [{ "x-forwarded-host": "a/b" }, "a forwarded host is no host"],
  [{ "x-forwarded-host": "user@a" }, "a forwarded host is no host"],
  [{ "x-forwarded-host": "[::1" }, "a forwarded host is no host"],
  [{ "x-forwarded-host": "1.2.3.256" }, "a forwarded host is no host"],
  [
    { ...xff("192.0.2.1"), "x-forwarded-proto": "https", "x-forwarded-host": "app.example" },
    "192.0.2.1:0 https app.example",
  ],
  // Lists of the same length have a value of each proxy.
  [
    { ...xff("1.1.1.1, 192.0.2.1, 10.0.0.7"), "x-forwarded-proto": "http, https, http" },
    "192.0.2.1:0 https -",
  ],
  [{ ...xff("1.1.1.1, 192.0.2.1"), "x-forwarded-proto": "https" }, "192.0.2.1:0 https -"],
  [{ ...xff("192.0.2.1"), "x-forwarded-proto": "https, http" }, "192.0.2.1:0 http -"],
  // Forwarded.
  [forwarded(""), "nothing"],
  [forwarded(" , ,;"), "nothing"],
  [forwarded("for=192.0.2.1"), "192.0.2.1:0 - -"],
  [forwarded('For="192.0.2.1:4711"'), "192.0.2.1:4711 - -"],
  [forwarded('for="[2001:db8::1]:4711"'), "[2001:db8::1]:4711 - -"],
  [forwarded('for="[2001:db8::1]"'), "[2001:db8::1]:0 - -"],
  [
    forwarded("for=192.0.2.1;proto=https;by=203.0.113.1;host=app.example"),
    "192.0.2.1:0 https app.example",
  ],
  [forwarded("FOR = 192.0.2.1"), MALFORMED],
  [forwarded('for=192.0.2.1 ; proto="https" , for=10.0.0.7;proto=http'), "192.0.2.1:0 https -"],
  [forwarded("for=1.1.1.1;proto=https, for=192.0.2.1;proto=http"), "192.0.2.1:0 http -"],
  [forwarded('for=192.0.2.1;host="a\\pp.example"'), "192.0.2.1:0 - app.example"],
  [forwarded('for=192.0.2.1;host="a, for=1.1.1.1"'), "a forwarded host is no host"],
  [forwarded("proto=https"), "peer https -"],
  [forwarded("for=unknown;proto=https"), "peer https -"],
  [forwarded("for=_hidden, for=10.0.0.7"), "10.0.0.7:0 - -"],
  [forwarded('for="192.0.2.1:_hidden"'), "192.0.2.1:0 - -"],
  [forwarded('for="_a:_b"'), "peer - -"],
  [forwarded('for="2001:db8::1"'), "peer - -"],
  [forwarded("for=2001:db8::1"), MALFORMED],
  [forwarded("for=[2001:db8::1]"), MALFORMED],
  [forwarded("for=192.0.2.1:4711"), MALFORMED],
  [forwarded("for=1.1.1.1;for=192.0.2.1"), MALFORMED],
  [forwarded("for=1.1.1.1;FOR=192.0.2.1"), MALFORMED],
  [forwarded("192.0.2.1"), MALFORMED],
  [forwarded("for="), MALFORMED],
  [forwarded("=192.0.2.1"), MALFORMED],
  [forwarded("for=192.0.2.1 proto=https"), MALFORMED],
  // A quoted string that a client began, and that ends in the entry of a proxy.
  [forwarded('for="x, for=192.0.2.1'), MALFORMED],
  [forwarded('for="x, for="[2001:db8::1]:4711"'), MALFORMED],
  [forwarded('for=x\\", for=192.0.2.1'), MALFORMED],
  [forwarded('for="192.0.2.1\\"'), MALFORMED],
  // Both.
  [
    { ...forwarded("for=192.0.2.1;proto=https"), ...xff("192.0.2.1"), "x-forwarded-host": "a.b" },
    "192.0.2.1:0 https a.b",
  ],
  [
    { ...forwarded("for=1.1.1.1"), ...xff("192.0.2.1") },
    "Forwarded and X-Forwarded headers contradict each other",
  ],
  [
    { ...forwarded("proto=https"), ...xff("192.0.2.1") },
    "Forwarded and X-Forwarded headers contradict each other",
  ],
  [
    { ...forwarded("for=192.0.2.1;proto=https"), ...xff("192.0.2.1"), "x-forwarded-proto": "http" },
    "Forwarded and X-Forwarded headers contradict each other",
  ],
];

test("the client is the right-most address that is no trusted proxy, with its scheme and host", () => {
  for (const [headers, client] of CLIENTS) {
    assert.equal(clientOf(headers), client, JSON.stringify(headers));
  }
});

test("only the headers that were chosen are read", () => {
  const both = { ...forwarded("for=1.1.1.1;proto=https"), ...xff("192.0.2.1") };
  assert.equal(clientOf(both, "forwarded"), "1.1.1.1:0 https -");
  assert.equal(clientOf(both, "x-forwarded"), "192.0.2.1:0 - -");
  assert.equal(
    clientOf({ ...forwarded("broken"), ...xff("192.0.2.1") }, "x-forwarded"),
    "192.0.2.1:0 - -",
  );
  assert.equal(clientOf(xff("192.0.2.1"), "forwarded"), "nothing");
});

// With a time that grows with the square of the length, this would take minutes.
test("the time for a header grows with its length", { timeout: 30_000 }, () => {
  const spaces = " ".repeat(LONG_RUN);
  for (const value of [`,${spaces}@`, `for=a${spaces}@`, `for="${"\\a".repeat(LONG_RUN)}`]) {
    assert.equal(clientOf(forwarded(value)), MALFORMED);
  }
});

test("an invalid option is refused, with a remedy", () => {
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    [true, /Cannot use true as trustProxy: give the addresses of the proxies/],
    ["127.0.0.1", /Cannot use "127.0.0.1" as trustProxy/],
    [["localhost"], /Cannot use "localhost" in trustProxy: give an address/],
    [{}, /Cannot use undefined as trustProxy: give an array/],
    [{ trusted: ["10.0.0.1/8"] }, /the range is "10.0.0.0\/8"/],
    [{ trusted: [], headers: "via" }, /as headers: give "forwarded" or "x-forwarded"/],
    [{ trusted: [], header: "forwarded" }, /did you mean "headers"/],
  ];
  for (const [option, message] of wrong) {
    const make = () => new TrustedProxies(option as string[]);
    assert.throws(make, { code: "ERR_INVALID_OPTION", message });
  }
});
