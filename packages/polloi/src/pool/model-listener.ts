import type { SocketAddress } from "../socket/address.ts";
import { IPPROTO_TCP, TCP_NODELAY } from "../socket/constants.ts";
import { openListener } from "../socket/listener.ts";
import { readLocalAddress, setIntOption } from "../socket/raw.ts";
import { SocketFile } from "../socket/socket-file.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { ModelOptions } from "./model-options.ts";

/** The one listening socket of a model, which the main thread opens and keeps. */
export class ModelListener {
  readonly address: SocketAddress;
  readonly #kernel: Kernel;
  readonly #file: SocketFile | undefined;
  #fd: number;

  /** @throws SysError `EADDRINUSE`, `EACCES` and what else listening throws; misuse of an option. */
  constructor(kernel: Kernel, { listen, noDelay }: ModelOptions) {
    this.#kernel = kernel;
    this.#fd = openListener(kernel, { ...listen, nonBlocking: true });
    this.address = readLocalAddress(kernel, this.#fd) as SocketAddress;
    this.#file = SocketFile.of(this.address);
    // Accepted sockets inherit it.
    if (this.address.path === undefined && noDelay !== false) {
      setIntOption(kernel, this.#fd, IPPROTO_TCP, TCP_NODELAY, 1);
    }
  }

  get fd(): number {
    return this.#fd;
  }

  close(): void {
    this.#file?.remove();
    if (this.#fd >= 0) this.#kernel.libc.close(this.#fd);
    this.#fd = -1;
  }
}
