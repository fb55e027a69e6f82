/** `polloi`: every function and method, and the kinds of its arguments. */

import * as polloi from "../../../src/index.ts";
import { EVENT_ALL, EVENT_READ, Waker } from "../../../src/selectors/index.ts";
import { AF_INET, socketpair } from "../../../src/socket/index.ts";
import { testCertificate } from "../../tls/pair.ts";
import { type Call, call, internal, made, maker, method, type Table } from "./calls.ts";
import { FD } from "./select-table.ts";
import {
  ADDRESS,
  alsoTakes,
  BOOLEAN,
  CALLBACK,
  DATA,
  integer,
  KERNEL,
  type Kind,
  kind,
  MILLISECONDS,
  optional,
  options,
  required,
  STRING,
  TIMEOUT,
  untried,
} from "./wrong-values.ts";

const { Reactor } = polloi;

/** 0 or more, without a limit. */
const LIMIT: Kind = optional(
  kind(
    () => 1,
    (value) => typeof value === "number" && value >= 0,
  ),
);
export const FROM_ONE: Kind = optional(
  kind(
    () => 1,
    (value) => typeof value === "number" && value >= 1,
  ),
);
export const NOTHING: Kind = kind(
  () => undefined,
  (value) => value === undefined,
);
export const HANDLERS: Readonly<Record<string, Kind>> = Object.fromEntries(
  ["open", "data", "drain", "end", "stopping", "close", "error", "timeout"].map((name) => [
    name,
    optional(CALLBACK),
  ]),
);
export const OF_CONNECTIONS: Readonly<Record<string, Kind>> = {
  ...HANDLERS,
  zeroCopy: optional(BOOLEAN),
  noDelay: optional(BOOLEAN),
  idleTimeoutMs: MILLISECONDS,
  highWaterBytes: LIMIT,
  maxPendingBytes: LIMIT,
};
export const ENGINE: Readonly<Record<string, Kind>> = {
  engine: optional(
    kind(
      () => "epoll",
      () => false,
    ),
  ),
  trigger: optional(
    kind(
      () => "level",
      () => false,
    ),
  ),
};
export const WHERE: Readonly<Record<string, Kind>> = {
  host: untried(optional(STRING), "foo"),
  port: integer(0, 65_535, 0),
  path: NOTHING,
  backlog: optional(integer(0, 0x7fff_ffff)),
  reusePort: optional(BOOLEAN),
  dualStack: optional(BOOLEAN),
};
/** A list of ranges of addresses. */
export const RANGES: Kind = optional(
  kind(
    () => ["127.0.0.0/8"],
    (value) => Array.isArray(value),
  ),
);
export const PROXY_PROTOCOL: Kind = optional(
  alsoTakes(
    options({ trusted: RANGES, timeoutMs: MILLISECONDS, refused: optional(CALLBACK) }),
    true,
  ),
);
export const SIGNAL: Kind = optional(
  kind(
    () => new AbortController().signal,
    () => false,
  ),
);
/** Settings of TLS. Their members have tests of their own. */
export const TLS_REQUIRED: Kind = kind(
  () => {
    const { cert, key } = testCertificate();
    return { cert, key };
  },
  () => false,
);
export const TLS_SERVER: Kind = optional(TLS_REQUIRED);
const TLS_CLIENT: Kind = optional(
  kind(
    () => true,
    (value) => value === true || isEmpty(value),
  ),
);

/** Whether it is an object without properties. The hostile one does not let itself be asked. */
function isEmpty(value: unknown): boolean {
  try {
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject && Object.keys(value).length === 0;
  } catch {
    return false;
  }
}

const LISTEN = required(
  {
    ...OF_CONNECTIONS,
    ...WHERE,
    address: NOTHING,
    hostname: NOTHING,
    family: optional(
      kind(
        () => AF_INET,
        () => false,
      ),
    ),
    reuseAddr: optional(BOOLEAN),
    fd: NOTHING,
    exclusive: optional(BOOLEAN),
    signal: SIGNAL,
    maxConnections: FROM_ONE,
    acceptError: optional(CALLBACK),
    tls: TLS_SERVER,
    proxyProtocol: PROXY_PROTOCOL,
  },
  () => ({ host: "", port: 0 }),
);
const CONNECT = required(
  {
    ...OF_CONNECTIONS,
    host: untried(optional(STRING), "foo"),
    hostname: NOTHING,
    port: integer(0, 65_535, 1),
    path: NOTHING,
    localAddress: optional(ADDRESS),
    connectTimeoutMs: MILLISECONDS,
    signal: SIGNAL,
    tls: TLS_CLIENT,
    proxyProtocol: optional(
      options({
        version: optional(integer(1, 2)),
        command: optional(
          kind(
            () => "local",
            () => false,
          ),
        ),
        source: untried(optional(ADDRESS), null),
        destination: untried(optional(ADDRESS), null),
        tlvs: optional(
          kind(
            () => [],
            (value) => Array.isArray(value),
          ),
        ),
        overTls: optional(BOOLEAN),
      }),
    ),
  },
  () => ({ host: "127.0.0.1", port: 1, error: () => {} }),
);

const BIND = options(
  {
    ...Object.fromEntries(
      ["message", "drain", "error", "close"].map((name) => [name, optional(CALLBACK)]),
    ),
    host: untried(optional(STRING), "foo"),
    hostname: NOTHING,
    port: optional(integer(0, 65_535, 0)),
    path: NOTHING,
    address: NOTHING,
    remote: NOTHING,
    reuseAddr: optional(BOOLEAN),
    reusePort: optional(BOOLEAN),
    dualStack: optional(BOOLEAN),
    broadcast: optional(BOOLEAN),
    multicastTtl: optional(integer(0, 255)),
    multicastLoopback: optional(BOOLEAN),
    multicastInterface: NOTHING,
    receiveBufferSize: optional(integer(1, 0x3fff_ffff, 4096)),
    sendBufferSize: optional(integer(1, 0x3fff_ffff, 4096)),
    zeroCopy: optional(BOOLEAN),
    highWaterBytes: LIMIT,
    maxPendingBytes: LIMIT,
  },
  () => ({ host: "", port: 0 }),
);

const reactor = (): polloi.Reactor => new Reactor({ engine: "epoll" });

/** A readable descriptor that can be watched. */
let ready: Waker | undefined;
function readable(): Waker {
  ready ??= new Waker();
  ready.wake();
  return ready;
}

type Connection = polloi.Connection<unknown>;

/** A method of an open connection. */
function ofConnection(name: keyof Connection & string, ...args: Kind[]): Call {
  return {
    args,
    run: (given) => {
      using turning = reactor();
      const [left, right] = socketpair();
      const connection = turning.adopt(left.detach(), { error: () => {} });
      try {
        return (connection[name] as (...args: unknown[]) => unknown)(...given);
      } finally {
        turning.close();
        right.close();
      }
    },
  };
}

/** A connection, whose reactor {@link closeAdopted} closes. */
let adopting: polloi.Reactor | undefined;
function adopted(): Connection {
  adopting?.close();
  adopting = reactor();
  const [left, right] = socketpair();
  right.close();
  return adopting.adopt(left.detach(), { error: () => {} });
}

function closeAdopted(): void {
  adopting?.close();
  adopting = undefined;
}

/** A method of an object that a reactor opens. */
function ofOpened<T>(
  open: (it: polloi.Reactor) => T,
  name: keyof T & string,
  ...args: Kind[]
): Call {
  return {
    args,
    run: (given) => {
      using turning = reactor();
      const it = open(turning);
      return (it[name] as (...args: unknown[]) => unknown)(...given);
    },
  };
}

const listening = (it: polloi.Reactor): polloi.Listener =>
  it.listen({ host: "127.0.0.1", port: 0 });
const secured = (it: polloi.Reactor): polloi.Listener => {
  const { cert, key } = testCertificate();
  return it.listen({ host: "127.0.0.1", port: 0, tls: { cert, key } });
};
const binding = (it: polloi.Reactor): polloi.DatagramSocket =>
  it.bindDatagrams({ host: "127.0.0.1", error: () => {} });
const watching = (it: polloi.Reactor): polloi.Watch => it.watch(readable(), EVENT_READ, () => {});
const timing = (it: polloi.Reactor): polloi.Timer => it.setTimer(1000, () => {});
const FILE = required(
  {
    // -0 is the standard input, which may be a file.
    fd: kind(
      () => 0,
      (value) => Object.is(value, -0),
    ),
    offset: integer(0, Number.MAX_SAFE_INTEGER),
    length: integer(0, Number.MAX_SAFE_INTEGER),
    done: optional(CALLBACK),
  },
  () => ({ fd: 2 ** 31 - 1, offset: 0, length: 1 }),
);
export const OUTGOING_FILE: Kind = FILE;

/** Methods of objects of which the entry point exports only the type. */
export const CONNECTION: Readonly<Record<string, Call>> = {
  "Connection.close": ofConnection("close"),
  "Connection.destroy": ofConnection(
    "destroy",
    optional(
      kind(
        () => new Error("given up"),
        () => false,
      ),
    ),
  ),
  "Connection.end": ofConnection("end", optional(DATA)),
  "Connection.fileno": ofConnection("fileno"),
  "Connection.handOver": ofConnection("handOver", options(OF_CONNECTIONS)),
  "Connection.pause": ofConnection("pause"),
  "Connection.ref": ofConnection("ref"),
  "Connection.reset": ofConnection("reset"),
  "Connection.resume": ofConnection("resume"),
  "Connection.sendFile": ofConnection("sendFile", FILE),
  "Connection.setIdleTimeout": ofConnection(
    "setIdleTimeout",
    kind(
      () => 0,
      (value) => MILLISECONDS.accepts(value) && value !== undefined,
    ),
  ),
  "Connection.unref": ofConnection("unref"),
  "Connection.write": ofConnection("write", DATA),
  "DatagramSocket.close": ofOpened(binding, "close"),
  "DatagramSocket.fileno": ofOpened(binding, "fileno"),
  "DatagramSocket.pause": ofOpened(binding, "pause"),
  "DatagramSocket.ref": ofOpened(binding, "ref"),
  "DatagramSocket.resume": ofOpened(binding, "resume"),
  "DatagramSocket.send": ofOpened(
    binding,
    "send",
    DATA,
    kind(
      () => ({ address: "127.0.0.1", port: 9 }),
      () => false,
    ),
  ),
  "DatagramSocket.unref": ofOpened(binding, "unref"),
  "Listener.close": ofOpened(listening, "close"),
  "Listener.fileno": ofOpened(listening, "fileno"),
  "Listener.ref": ofOpened(listening, "ref"),
  "Listener.unref": ofOpened(listening, "unref"),
  "Listener.setTls": ofOpened(secured, "setTls", TLS_REQUIRED),
  "Listener.stop": ofOpened(listening, "stop", MILLISECONDS),
  "Timer.cancel": ofOpened(timing, "cancel"),
  "Timer.ref": ofOpened(timing, "ref"),
  "Timer.unref": ofOpened(timing, "unref"),
  "Timer.refresh": ofOpened(timing, "refresh"),
  "Watch.close": ofOpened(watching, "close"),
  "Watch.ref": ofOpened(watching, "ref"),
  "Watch.unref": ofOpened(watching, "unref"),
  "Watch.fileno": ofOpened(watching, "fileno"),
  "Watch.modify": ofOpened(watching, "modify", integer(0, EVENT_ALL, EVENT_READ)),
};

export const REACTOR: Table = {
  functions: {
    Reactor: made(Reactor, optional(options({ ...ENGINE, kernel: KERNEL }))),
    SysError: internal("polloi makes it"),
    TlsError: internal("polloi makes it"),
    bindDatagrams: maker(polloi.bindDatagrams, { ...BIND, keys: { ...BIND.keys, ...ENGINE } }),
    connect: maker(polloi.connect, { ...CONNECT, keys: { ...CONNECT.keys, ...ENGINE } }),
    defaultReactor: call(
      (given: polloi.ReactorOptions) => void polloi.defaultReactor(given),
      optional(options(ENGINE)),
    ),
    listen: maker(polloi.listen, { ...LISTEN, keys: { ...LISTEN.keys, ...ENGINE } }),
    probeEngines: call(polloi.probeEngines, KERNEL),
    toDuplex: {
      args: [
        kind(adopted, () => false),
        optional(
          options({
            allowHalfOpen: optional(BOOLEAN),
            highWaterMark: optional(integer(0, 2 ** 53)),
          }),
        ),
      ],
      run: ([connection, given]) => {
        try {
          polloi.toDuplex(connection as Connection, given as polloi.DuplexOptions);
        } finally {
          closeAdopted();
        }
      },
    },
  },
  methods: {
    "Reactor.adopt": method(
      reactor,
      "adopt",
      untried(
        kind(
          () => {
            const [left, right] = socketpair();
            right.close();
            return left.detach();
          },
          () => false,
        ),
        -0,
      ),
      optional(options(OF_CONNECTIONS)),
    ),
    "Reactor.close": method(reactor, "close"),
    // Whether a group can be joined depends on the machine. The cases of datagrams try wrong arguments.
    "DatagramSocket.joinGroup": internal("the cases of datagrams"),
    "DatagramSocket.leaveGroup": internal("the cases of datagrams"),
    "Reactor.bindDatagrams": method(reactor, "bindDatagrams", BIND),
    "Reactor.connect": method(reactor, "connect", CONNECT),
    "Reactor.fileno": method(reactor, "fileno"),
    "Reactor.listen": method(reactor, "listen", LISTEN),
    "Reactor.run": method(reactor, "run"),
    "Reactor.setTimer": method(
      reactor,
      "setTimer",
      kind(
        () => 1,
        (value) => typeof value === "number" && value >= -1 && value <= 0x7fff_ffff,
      ),
      CALLBACK,
    ),
    "Reactor.stop": method(reactor, "stop"),
    // Without a timeout it would wait for ever.
    "Reactor.turn": method(reactor, "turn", untried(TIMEOUT, undefined, null, 1.5)),
    "Reactor.watch": method(
      reactor,
      "watch",
      { ...FD, good: readable },
      integer(1, EVENT_ALL, EVENT_READ),
      CALLBACK,
    ),
    ...CONNECTION,
  },
};
