import { AF_INET, AF_UNIX, ERRNO, SOCK_STREAM } from "polloi/internal/pure";
import type { Machine } from "../../machine/machine.ts";
import { loopbackSockaddr, unixSockaddr } from "../../sockets/address.ts";
import type { Credentials, SocketFile } from "../../sockets/socket-file.ts";
import { TcpSocket } from "../../sockets/tcp-socket.ts";
import { UnixStreamSocket } from "../../sockets/unix-stream-socket.ts";
import { PATH, PORT } from "../programs/program.ts";

/** SOCK_MIN_SNDBUF and SOCK_MIN_RCVBUF. Source: include/net/sock.h; socket(7) */
const LEAST_SEND_BUFFER = 4608;
const LEAST_RECEIVE_BUFFER = 2304;
/** The process that the peers belong to. */
export const PEERS: Credentials = { pid: 2, uid: 0, gid: 0 };
const BACKLOG = 128;

/** Sets SO_SNDBUF and SO_RCVBUF, as setsockopt(2) does; 0 leaves the defaults. */
export function sizeBuffers({ settings }: SocketFile, bytes: number): void {
  if (bytes === 0) return;
  settings.sendBuffer = Math.max(2 * bytes, LEAST_SEND_BUFFER);
  settings.receiveBuffer = Math.max(2 * bytes, LEAST_RECEIVE_BUFFER);
  settings.isSendBufferLocked = true;
  settings.isReceiveBufferLocked = true;
}

function socketOf({ network }: Machine, isUnix: boolean): SocketFile {
  if (isUnix) {
    return new UnixStreamSocket(
      network,
      { family: AF_UNIX, type: SOCK_STREAM, protocol: 0 },
      PEERS,
    );
  }
  return new TcpSocket(network, { family: AF_INET, type: SOCK_STREAM, protocol: 0 }, PEERS);
}

const UNIX_ADDRESS: Uint8Array = unixSockaddr(PATH);
const TCP_ADDRESS: Uint8Array = loopbackSockaddr(PORT);

/** Connects a socket to the program. @returns A socket that is connected or connects, or `-errno`. */
export function dial(machine: Machine, isUnix: boolean, bufferBytes: number): SocketFile | number {
  const socket = socketOf(machine, isUnix);
  sizeBuffers(socket, bufferBytes);
  const result = socket.connect(isUnix ? UNIX_ADDRESS : TCP_ADDRESS);
  if (result >= 0 || result === -ERRNO.EINPROGRESS) return socket;
  socket.close();
  return result;
}

/**
 * Opens a listening socket of a peer.
 *
 * @param closesMs - Accepts nothing, and closes the socket after this time; 0 accepts everything.
 * @param accepted - Called with each connection.
 */
export function listenFor(
  machine: Machine,
  port: number,
  closesMs: number,
  accepted: (socket: SocketFile) => void,
): void {
  const { world } = machine;
  const listener = socketOf(machine, false);
  listener.settings.reuseAddress = true;
  listener.bind(loopbackSockaddr(port));
  listener.listen(BACKLOG);
  if (closesMs > 0) {
    world.schedule(closesMs, () => listener.close());
    return;
  }
  let isScheduled = false;
  const acceptAll = (): void => {
    isScheduled = false;
    for (;;) {
      const socket = listener.accept();
      if (socket === -ERRNO.ECONNABORTED) continue;
      if (typeof socket === "number") return;
      accepted(socket);
    }
  };
  listener.waiters.add({
    isExclusive: false,
    wake() {
      if (!isScheduled) world.schedule(0, acceptAll);
      isScheduled = true;
      return true;
    },
  });
}
