import { type InetAddress, Socket } from "../../src/socket/index.ts";

const socket = new Socket();
socket.bind({ address: "127.0.0.1", port: 0 });

/** A TCP port of 127.0.0.1 that refuses connections. No other process can listen on it while this one runs. */
export const CLOSED_PORT: number = (socket.localAddress() as InetAddress).port;
