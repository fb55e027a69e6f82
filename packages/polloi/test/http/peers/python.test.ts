/** The HTTP server, tested with Python's http.client and socket modules. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { HttpOptions } from "../../../src/http/index.ts";
import { ENGINES, LIMIT_MS, run, serving, unless } from "./rig.ts";

/** The beginning of every program. */
const PRELUDE = `
import hashlib, http.client, json, socket, sys
port = int(sys.argv[1])
conn = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
def ask(method, path, body=None, headers={}, **more):
    conn.request(method, path, body=body, headers=headers, **more)
    response = conn.getresponse()
    return response, response.read()
def raw(data, half=True):
    sock = socket.create_connection(("127.0.0.1", port), timeout=15)
    sock.sendall(data)
    if half:
        sock.shutdown(socket.SHUT_WR)
    answer = b""
    while True:
        part = sock.recv(65536)
        if not part:
            sock.close()
            return answer
        answer += part
def noise(length):
    return hashlib.shake_128(b"noise").digest(length)
`;

/** Programs that fail with an assertion. */
const PROGRAMS: readonly [name: string, program: string, mostConnections: number][] = [
  [
    "requests of all kinds use one connection",
    `
sockets = set()
for i in range(200):
    body = noise(i * 37) if i % 3 else None
    method = ["GET", "POST", "PUT", "DELETE", "PATCH"][i % 5]
    response, answer = ask(method, "/what/%d?i=%d" % (i, i), body, {"X-Number": str(i)})
    report = json.loads(answer)
    assert response.status == 200 and response.version == 11
    assert report["method"] == method and report["target"] == "/what/%d?i=%d" % (i, i)
    assert ["X-Number", str(i)] in report["headers"]
    assert report["length"] == len(body or b"")
    assert report["hash"] == hashlib.sha256(body or b"").hexdigest()
    sockets.add(conn.sock.getsockname())
assert len(sockets) == 1
`,
    1,
  ],
  [
    "a chunked body arrives completely, with chunks of any size",
    `
body = noise(300000)
sizes = [1, 2, 3, 5, 15, 16, 17, 255, 256, 4095, 4096, 65535, 65536, 100000]
def parts():
    at = 0
    while at < len(body):
        for size in sizes:
            if at < len(body):
                yield body[at:at + size]
            at += size
for i in range(5):
    response, answer = ask("POST", "/what", parts(), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
    report = json.loads(answer)
    assert report["length"] == len(body) and report["hash"] == hashlib.sha256(body).hexdigest()
    response, answer = ask("POST", "/echo", parts(), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
    assert response.getheader("Transfer-Encoding") == "chunked" and answer == body
`,
    // An answer that begins before the end of the request may close the connection.
    5,
  ],
  [
    "trailers of a request are available after its body, and not among its headers",
    `
sock = socket.create_connection(("127.0.0.1", port), timeout=15)
reader = sock.makefile("rb")
for i in range(3):
    sock.sendall(b"POST /what HTTP/1.1\\r\\nHost: a\\r\\nTransfer-Encoding: chunked\\r\\nTrailer: X-Sum\\r\\n\\r\\n")
    sock.sendall(b"3\\r\\nabc\\r\\n0\\r\\nX-Sum: %d\\r\\nX-Other:\\r\\n\\r\\n" % i)
    assert reader.readline() == b"HTTP/1.1 200 OK\\r\\n"
    headers = http.client.parse_headers(reader)
    report = json.loads(reader.read(int(headers["Content-Length"])))
    assert report["trailers"] == [["X-Sum", str(i)], ["X-Other", ""]]
    assert report["hash"] == hashlib.sha256(b"abc").hexdigest()
    assert "X-Sum" not in [name for name, value in report["headers"]]
`,
    1,
  ],
  [
    "HEAD has the head of GET, and no body that would be parsed as the next answer",
    `
for path in ["/bytes/5", "/stream/70000", "/bytes/0", "/what"] * 5:
    got, body = ask("GET", path)
    head, none = ask("HEAD", path)
    assert none == b""
    names = ["Content-Type", "Transfer-Encoding"] + (["Content-Length"] if path != "/what" else [])
    for name in names:
        assert got.getheader(name) == head.getheader(name), (path, name)
`,
    1,
  ],
  [
    "large bodies arrive completely in both directions",
    `
body = noise(8000000)
response, answer = ask("POST", "/what", body)
assert json.loads(answer)["hash"] == hashlib.sha256(body).hexdigest()
down = {}
for path in ["/bytes/8000000", "/stream/8000000"]:
    response, answer = ask("GET", path)
    assert len(answer) == 8000000
    down[path] = hashlib.sha256(answer).hexdigest()
assert len(set(down.values())) == 1
`,
    1,
  ],
  [
    "100 Continue is sent once, when the body is read",
    `
sock = socket.create_connection(("127.0.0.1", port), timeout=15)
reader = sock.makefile("rb")
for framing, body in [(b"Content-Length: 5", b"hello"), (b"Transfer-Encoding: chunked", b"5\\r\\nhello\\r\\n0\\r\\n\\r\\n")]:
    sock.sendall(b"POST /what HTTP/1.1\\r\\nHost: a\\r\\nExpect: 100-continue\\r\\n" + framing + b"\\r\\n\\r\\n")
    assert reader.readline() == b"HTTP/1.1 100 Continue\\r\\n"
    assert reader.readline() == b"\\r\\n"
    sock.sendall(body)
    assert reader.readline() == b"HTTP/1.1 200 OK\\r\\n"
    headers = http.client.parse_headers(reader)
    report = json.loads(reader.read(int(headers["Content-Length"])))
    assert report["length"] == 5 and report["hash"] == hashlib.sha256(b"hello").hexdigest()
# A request without a body needs no 100 Continue.
sock.sendall(b"POST /what HTTP/1.1\\r\\nHost: a\\r\\nExpect: 100-continue\\r\\nContent-Length: 0\\r\\n\\r\\n")
assert reader.readline() == b"HTTP/1.1 200 OK\\r\\n"
# HTTP/1.0 never receives one.
answer = raw(b"POST /what HTTP/1.0\\r\\nExpect: 100-continue\\r\\nContent-Length: 2\\r\\n\\r\\nhi")
assert answer.startswith(b"HTTP/1.1 200 OK\\r\\n"), answer
`,
    2,
  ],
  [
    "a client that ends its half after its requests gets all answers",
    `
asked = b"".join(b"GET /late/%d HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n" % i for i in range(20))
answer = raw(asked)
assert [b"/late/%d\\"" % i in answer for i in range(20)] == [True] * 20, answer[-200:]
assert answer.count(b"HTTP/1.1 200 OK") == 20
`,
    1,
  ],
  [
    "a connection with Connection: close is closed, and another one opened",
    `
for i in range(10):
    response, answer = ask("GET", "/bytes/3", headers={"Connection": "close"})
    assert response.getheader("Connection") == "close" and response.will_close
    assert len(answer) == 3
`,
    10,
  ],
];

const late: Partial<HttpOptions>["handler"] = async (request, reply) => {
  const { path } = request;
  await sleep(1);
  reply.send(`"${path}"`);
};

for (const { engine, skip } of ENGINES) {
  const limits = { skip: unless(skip, "python3"), timeout: LIMIT_MS };
  describe(`Python, ${engine}`, limits, () => {
    for (const [name, program, most] of PROGRAMS) {
      test(name, () =>
        serving(
          { engine, ...(program.includes("/late") ? { handler: late } : {}) },
          async (server) => {
            const args = ["-c", PRELUDE + program, String(server.port)];
            const { code, errors } = await run("python3", args);
            assert.equal(code, 0, errors);
            const { connections } = server.counts;
            assert.ok(connections <= most, `${connections} connections`);
            assert.deepEqual(server.counts.refused, {});
          },
        ),
      );
    }
  });
}
