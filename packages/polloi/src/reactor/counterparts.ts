/** What a program that was written for another library finds in `listen` and `connect`. */

const HANDLERS = "give the handlers beside the address: open, data, drain, end, close, error";
const NAMES = "leave it out: every address of a name is tried";

/**
 * What to do instead of an option of node:net, Bun.listen, Bun.connect, Deno.listen or Deno.connect that `listen` does not
 * have. It is a part of the error message.
 */
export const LISTEN_COUNTERPARTS: Readonly<Record<string, string>> = {
  // node:net
  allowHalfOpen: "give end(), which calls end() or close() of the connection",
  pauseOnConnect: "call pause() in open()",
  highWaterMark: "give highWaterBytes",
  keepAlive: "set it on Socket.fromFd(connection.fileno()).options, in open()",
  keepAliveInitialDelay: "set it on Socket.fromFd(connection.fileno()).options, in open()",
  ipv6Only: "give family: AF_INET6",
  readableAll: "change the mode of the file with node:fs",
  writableAll: "change the mode of the file with node:fs",
  connection: "give open()",
  connectionListener: "give open()",
  dropMaxConnection: "leave it out: connections above maxConnections wait in the backlog",
  // Bun.listen
  unix: "give path",
  socket: HANDLERS,
  // Deno.listen
  transport: "leave it out: give port for TCP, or path for a unix socket",
  tcpBacklog: "give backlog",
};

/** The same for `connect`. */
export const CONNECT_COUNTERPARTS: Readonly<Record<string, string>> = {
  // node:net
  allowHalfOpen: "give end(), which calls end() or close() of the connection",
  lookup: "resolve the name first, and give the address as host",
  hints: NAMES,
  autoSelectFamily: NAMES,
  autoSelectFamilyAttemptTimeout: NAMES,
  localPort: "give localAddress: { address, port }",
  onread: "give zeroCopy: true",
  highWaterMark: "give highWaterBytes",
  keepAlive: "set it on Socket.fromFd(connection.fileno()).options, in open()",
  keepAliveInitialDelay: "set it on Socket.fromFd(connection.fileno()).options, in open()",
  // Bun.connect
  unix: "give path",
  socket: HANDLERS,
  // Deno.connect
  transport: "leave it out: give port for TCP, or path for a unix socket",
};
