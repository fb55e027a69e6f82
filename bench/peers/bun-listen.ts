/** A control: an echo server with Bun.listen, with TLS after `--tls FOLDER`; runs on Bun only. */
import { type CertificateFiles, certificateIn } from "./certificate.ts";
import { announce, collectOnRequest } from "./collect.ts";

/** The part of Bun's types that this file needs. */
interface BunSocket {
  data: { pending: Uint8Array };
  write(bytes: Uint8Array): number;
}
declare const Bun: {
  listen(options: {
    hostname: string;
    port: number;
    tls: CertificateFiles | undefined;
    socket: {
      data(socket: BunSocket, bytes: Uint8Array): void;
      drain(socket: BunSocket): void;
      open(socket: BunSocket): void;
      error(): void;
    };
  }): { port: number };
};

const NOTHING = new Uint8Array(0);

/** Bun's write returns the number of bytes that the kernel accepted; the caller keeps the rest. */
function write(socket: BunSocket, bytes: Uint8Array): void {
  const sent = Math.max(0, socket.write(bytes));
  socket.data.pending = sent === bytes.length ? NOTHING : bytes.slice(sent);
}

collectOnRequest();
const listener = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  tls: certificateIn(),
  socket: {
    open(socket): void {
      socket.data = { pending: NOTHING };
    },
    data(socket, bytes): void {
      const { pending } = socket.data;
      write(socket, pending.length === 0 ? bytes : Buffer.concat([pending, bytes]));
    },
    drain(socket): void {
      if (socket.data.pending.length > 0) write(socket, socket.data.pending);
    },
    error(): void {},
  },
});
announce(listener.port);
