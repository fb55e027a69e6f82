/** `polloi/socket`: every function and method, and the kinds of its arguments. */
import * as socket from "../../../src/socket/index.ts";
import { type Call, call, internal, made, maker, method, type Table } from "./calls.ts";
import {
  ADDRESS,
  address,
  alsoTakes,
  BOOLEAN,
  BUFFER,
  DATA,
  FLAGS,
  INT,
  integer,
  KERNEL,
  type Kind,
  kind,
  LENGTH,
  like,
  optional,
  options,
  required,
  STRING,
  TIMEOUT,
  untried,
} from "./wrong-values.ts";

const { AF_INET, AF_UNIX, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM, Socket } = socket;

/** A non-blocking end of a pair, with bytes to receive. */
function talking(): socket.Socket {
  const [left, right] = socket.socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
  right.send("hello");
  right.close();
  return left;
}

/** A blocking end of a pair whose other end is closed, so that no call blocks. */
function alone(): socket.Socket {
  const [left, right] = socket.socketpair();
  right.close();
  return left;
}

/** A socket that no call changes. */
let spare: socket.Socket | undefined;
function spareSocket(): socket.Socket {
  spare ??= talking();
  return spare;
}

const tcp = (): socket.Socket => new Socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
const udp = (): socket.Socket => new Socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK);

/** Sets an option of a socket. */
function option(name: keyof socket.SocketOptions, arg: Kind): Call {
  return {
    args: [arg],
    run: ([value]) => {
      using it = tcp();
      Object.assign(it.options, { [name]: value });
    },
  };
}

/** A descriptor that the callee takes ownership of. */
// The reason not to try -0: the standard input would be adopted, and closed.
const OWN_FD = untried(
  kind(
    () => tcp().detach(),
    () => false,
  ),
  -0,
);
const IP_FAMILY = optional(
  kind(
    () => AF_INET,
    () => false,
  ),
);
const PORT = integer(0, 65_535, 0);
const PATH = kind(
  () => "\0polloi-misuse",
  (value) => typeof value === "string",
);
const COUNT = integer(-1, 0x7fff_ffff, 1);
const FDS = kind(
  () => [1],
  (value) => Array.isArray(value),
);
const PARTS = kind(
  () => ["foo"],
  (value) => Array.isArray(value),
);
const KERNEL_OPTION = options({ kernel: KERNEL });

export const SOCKET: Table = {
  functions: {
    Socket: made(
      Socket,
      optional(like(INT, () => AF_INET)),
      optional(like(INT, () => SOCK_STREAM)),
      optional(like(INT, () => 0)),
      optional(options({ fd: optional(OWN_FD), kernel: KERNEL })),
    ),
    SocketOptions: internal("a socket makes its own"),
    SysError: internal("polloi makes it"),
    ResolveError: internal("polloi makes it"),
    ancillaryLength: call(socket.ancillaryLength, LENGTH),
    ancillarySpace: call(socket.ancillarySpace, LENGTH),
    createConnection: maker(
      async (given: socket.CreateConnectionOptions) => {
        (await socket.createConnection(given)).close();
      },
      required(
        {
          // A name that is passed to the resolver is not misuse.
          host: untried(optional(STRING), "foo", ""),
          port: PORT,
          path: kind(
            () => undefined,
            (value) => value === undefined,
          ),
          family: IP_FAMILY,
          timeoutMs: TIMEOUT,
          localAddress: optional(ADDRESS),
          kernel: KERNEL,
        },
        () => ({ host: "127.0.0.1", port: 1 }),
      ),
    ),
    createServer: maker(
      socket.createServer,
      required(
        {
          host: untried(optional(STRING), "foo"),
          port: PORT,
          path: kind(
            () => undefined,
            (value) => value === undefined,
          ),
          hostname: kind(
            () => undefined,
            (value) => value === undefined,
          ),
          address: kind(
            () => undefined,
            (value) => value === undefined,
          ),
          family: IP_FAMILY,
          backlog: optional(integer(0, 0x7fff_ffff)),
          reusePort: optional(BOOLEAN),
          reuseAddr: optional(BOOLEAN),
          dualStack: optional(BOOLEAN),
          nonBlocking: optional(BOOLEAN),
          type: optional(like(INT, () => SOCK_STREAM)),
          kernel: KERNEL,
        },
        () => ({ host: "", port: 0 }),
      ),
    ),
    formatAddress: call(
      socket.formatAddress,
      address({ address: optional(STRING), port: PORT }, () => ADDRESS.good() as object),
    ),
    interfaceIndex: call(
      socket.interfaceIndex,
      kind(
        () => "lo",
        () => false,
      ),
      KERNEL,
    ),
    interfaceName: call(socket.interfaceName, integer(0, 0x7fff_ffff, 1), KERNEL),
    receiveFds: call(
      (given: socket.Socket, ...rest: [number, number]) => socket.receiveFds(given, ...rest),
      kind(spareSocket, () => false),
      LENGTH,
      optional(integer(0, 253, 1)),
    ),
    resolve: call(
      socket.resolve,
      untried(
        kind(
          () => "localhost",
          (value) => typeof value === "string",
        ),
        "foo",
      ),
      optional(options({ family: IP_FAMILY, port: optional(PORT) })),
    ),
    sendFds: call(
      (given: socket.Socket, ...rest: ["", []]) => socket.sendFds(given, ...rest),
      kind(spareSocket, () => false),
      alsoTakes(
        kind(
          () => "foo",
          () => false,
        ),
        "foo",
      ),
      FDS,
    ),
    socketpair: maker(
      socket.socketpair,
      optional(like(INT, () => AF_UNIX)),
      optional(like(INT, () => SOCK_STREAM)),
      optional(KERNEL_OPTION),
    ),
  },
  methods: {
    "Socket:fromFd": maker(Socket.fromFd, OWN_FD, optional(KERNEL_OPTION)),
    "Socket.accept": method(talking, "accept"),
    "Socket.atMark": method(tcp, "atMark"),
    "Socket.bind": method(
      tcp,
      "bind",
      address({ address: untried(optional(STRING), "foo"), port: PORT, family: IP_FAMILY }, () => ({
        address: "",
        port: 0,
      })),
    ),
    "Socket.close": method(tcp, "close"),
    "Socket.connect": method(
      tcp,
      "connect",
      address({ address: untried(optional(STRING), "foo"), port: PORT, family: IP_FAMILY }, () => ({
        address: "",
        port: 1,
      })),
    ),
    "Socket.connectEx": method(
      tcp,
      "connectEx",
      address({ port: PORT, path: optional(PATH) }, () => ({ address: "127.0.0.1", port: 1 })),
    ),
    "Socket.detach": method(
      () => ({ detach: () => Socket.fromFd(tcp().detach()).close() }),
      "detach",
    ),
    "Socket.dup": method(tcp, "dup"),
    "Socket.fileno": method(tcp, "fileno"),
    "Socket.getBlocking": method(tcp, "getBlocking"),
    "Socket.getTimeout": method(tcp, "getTimeout"),
    "Socket.getsockopt": method(
      tcp,
      "getsockopt",
      INT,
      like(INT, () => socket.SO_TYPE),
      optional(integer(0, 4096, 4)),
    ),
    "Socket.isInheritable": method(tcp, "isInheritable"),
    "Socket.listen": method(tcp, "listen", optional(integer(0, 0x7fff_ffff, 1))),
    "Socket.localAddress": method(tcp, "localAddress"),
    "Socket.recv": method(talking, "recv", LENGTH, optional(FLAGS)),
    "Socket.recvFrom": method(talking, "recvFrom", LENGTH, optional(FLAGS)),
    "Socket.recvFromInto": method(talking, "recvFromInto", BUFFER, optional(FLAGS)),
    "Socket.recvInto": method(talking, "recvInto", BUFFER, optional(FLAGS)),
    "Socket.recvMsg": method(talking, "recvMsg", LENGTH, optional(LENGTH), optional(FLAGS)),
    "Socket.remoteAddress": method(talking, "remoteAddress"),
    "Socket.send": method(talking, "send", DATA, optional(FLAGS)),
    "Socket.sendAll": method(alone, "sendAll", DATA, optional(FLAGS)),
    "Socket.sendMsg": method(
      talking,
      "sendMsg",
      PARTS,
      optional(
        kind(
          () => [{ fds: [1] }],
          (value) => Array.isArray(value),
        ),
      ),
      optional(FLAGS),
      optional(
        kind(
          () => undefined,
          () => false,
        ),
      ),
    ),
    "Socket.sendTo": method(udp, "sendTo", DATA, ADDRESS, optional(FLAGS)),
    "Socket.setBlocking": method(tcp, "setBlocking", BOOLEAN),
    "Socket.setInheritable": method(tcp, "setInheritable", BOOLEAN),
    "Socket.setTimeout": method(tcp, "setTimeout", TIMEOUT),
    "Socket.setsockopt": method(
      tcp,
      "setsockopt",
      INT,
      like(INT, () => socket.SO_KEEPALIVE),
      like(FLAGS, () => 1),
    ),
    "Socket.shutdown": method(talking, "shutdown", optional(integer(0, 2, 2))),
    "Socket.openFd": internal("protected"),
    "Socket.deadline": internal("protected"),
    "Socket.attempt": internal("protected"),
    "Socket.timedOut": internal("protected"),
    ...Object.fromEntries(
      (
        [
          "reuseAddr",
          "reusePort",
          "keepAlive",
          "broadcast",
          "oobInline",
          "passCredentials",
        ] as const
      ).map((name) => [`SocketOptions.${name}`, option(name, BOOLEAN)]),
    ),
    ...Object.fromEntries(
      (["noDelay", "cork", "quickAck", "fastOpenConnect", "ipv6Only"] as const).map((name) => [
        `SocketOptions.${name}`,
        option(name, BOOLEAN),
      ]),
    ),
    ...Object.fromEntries(
      (
        [
          "sendBufferSize",
          "receiveBufferSize",
          "receiveLowAt",
          "priority",
          "incomingCpu",
          "deferAcceptSeconds",
          "fastOpen",
          "userTimeoutMs",
          "notSentLowAt",
          "keepIdleSeconds",
          "keepIntervalSeconds",
          "keepCount",
          "maxSegment",
          "ttl",
          "typeOfService",
        ] as const
      ).map((name) => [`SocketOptions.${name}`, option(name, COUNT)]),
    ),
    "SocketOptions.lingerSeconds": option("lingerSeconds", alsoTakes(COUNT, null)),
    "SocketOptions.congestion": option(
      "congestion",
      kind(
        () => "cubic",
        (value) => typeof value === "string",
      ),
    ),
  },
};
