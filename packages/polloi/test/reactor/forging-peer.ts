import type { Socket } from "../../src/socket/socket.ts";
import { kernel } from "../../src/sys/open.ts";
import { TlsContext } from "../../src/tls/context.ts";
import { tlsLibrary } from "../../src/tls/library.ts";
import { TlsSession } from "../../src/tls/session.ts";
import { Forger } from "../tls/forge.ts";
import { End, testRoot } from "../tls/pair.ts";
import { Peer } from "./rig.ts";

/** A client that sends forged records after its handshake. */
export class ForgingPeer extends Peer {
  readonly #forger = new Forger();
  readonly #context: TlsContext;
  readonly #end: End;
  readonly #hello: Uint8Array;
  #answer: Uint8Array | undefined;

  constructor(socket: Socket, version: "TLSv1.2" | "TLSv1.3") {
    super(socket);
    const options = { ca: testRoot().cert, ...this.#forger.options(version) };
    this.#context = new TlsContext(tlsLibrary(kernel), options, false);
    this.#end = new End(new TlsSession(this.#context, { servername: "localhost" }));
    this.#end.step();
    this.#hello = this.#end.outgoing;
    this.#pass();
  }

  get isOpen(): boolean {
    return this.#end.session.isOpen;
  }

  /** Sends records at once. */
  forge(...records: readonly (readonly [type: number, content: Uint8Array])[]): this {
    return this.send(
      Buffer.concat(records.map(([type, content]) => this.#forger.seal(type, content))),
    );
  }

  protected override arrived(bytes: Uint8Array): void {
    const { session } = this.#end;
    if (bytes.length === 0) super.arrived(bytes);
    if (bytes.length === 0 || session.error !== null) return;
    this.#answer ??= bytes.slice();
    const wasOpen = session.isOpen;
    this.#end.receive(bytes);
    const received = this.#end.take();
    if (received.length > 0) super.arrived(received);
    if (session.isOpen && !wasOpen) this.#forger.begin(this.#hello, this.#answer);
    if (!wasOpen) this.#pass();
  }

  override close(): void {
    super.close();
    this.#end.session.dispose();
    this.#context.dispose();
  }

  #pass(): void {
    const { outgoing } = this.#end;
    this.#end.outgoing = new Uint8Array(0);
    if (outgoing.length > 0) this.transmit(outgoing);
  }
}
