import assert from "node:assert/strict";
import { type Certificate, makeCertificate } from "../../../../test/support/certificates.ts";
import { kernel } from "../../src/sys/open.ts";
import { passSecrets, TlsContext } from "../../src/tls/context.ts";
import { tlsLibrary } from "../../src/tls/library.ts";
import {
  checkClientOptions,
  checkServerOptions,
  type TlsClientOptions,
  type TlsServerOptions,
} from "../../src/tls/options.ts";
import { type ExpectedPeer, TlsSession } from "../../src/tls/session.ts";
import { Forger } from "./forge.ts";

/** Why a case cannot run: the reason why there is no OpenSSL. */
export function whyNoTls(): string | undefined {
  try {
    tlsLibrary(kernel);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

let root: Certificate | undefined;
let leaf: Certificate | undefined;

/** A root certificate, which is made once. */
export function testRoot(): Certificate {
  root ??= makeCertificate({ commonName: "test root", isCa: true });
  return root;
}

/** A certificate for localhost and 127.0.0.1, issued by {@link testRoot}, which is made once. */
export function testCertificate(): Certificate {
  leaf ??= makeCertificate({ issuer: testRoot() });
  return leaf;
}

let clientContext: TlsContext | undefined;

/** The context of clients that trust {@link testRoot}, which is made once. */
export function testClientContext(): TlsContext {
  clientContext ??= new TlsContext(tlsLibrary(kernel), { ca: testRoot().cert }, false);
  return clientContext;
}

/** A client and a server that are connected through memory. */
export class Pair {
  readonly client: End;
  readonly server: End;
  readonly #contexts: TlsContext[];

  constructor(
    clientOptions: TlsClientOptions,
    serverOptions: TlsServerOptions,
    expected: ExpectedPeer = { servername: "localhost" },
    prepare: (serverContext: TlsContext) => void = () => {},
  ) {
    const library = tlsLibrary(kernel);
    const { cert, key } = testCertificate();
    const server = new TlsContext(
      library,
      checkServerOptions({ cert, key, ...serverOptions }),
      true,
    );
    const client = new TlsContext(
      library,
      checkClientOptions({ ca: testRoot().cert, ...clientOptions }),
      false,
    );
    this.#contexts = [server, client];
    prepare(server);
    this.server = new End(new TlsSession(server));
    this.client = new End(new TlsSession(client, expected));
  }

  /** Moves bytes until neither end has any. @param chunk - The length of each chunk. */
  settle(chunk: () => number = () => 65_536): this {
    let moved = true;
    this.client.step();
    while (moved) {
      moved = this.client.pass(this.server, chunk());
      moved = this.server.pass(this.client, chunk()) || moved;
    }
    return this;
  }

  /** Settles, and requires that both ends are open. */
  open(): this {
    this.settle();
    assert.ifError(this.client.session.error);
    assert.ifError(this.server.session.error);
    assert.ok(this.client.session.isOpen && this.server.session.isOpen);
    return this;
  }

  [Symbol.dispose](): void {
    this.client.session.dispose();
    this.server.session.dispose();
    for (const context of this.#contexts) context.dispose();
  }
}

const arena = kernel.arenas.map(65_536);
/** Where output is taken to. The sessions read from the other one. */
const taken = kernel.arenas.map(65_536);

/** An open session whose client sends forged records. */
export class ForgedPair extends Pair {
  readonly forger: Forger;

  constructor(version: "TLSv1.2" | "TLSv1.3", serverOptions: TlsServerOptions = {}) {
    const forger = new Forger();
    super(forger.options(version), serverOptions);
    this.forger = forger;
    const { client, server } = this;
    client.step();
    const hello = client.outgoing;
    client.pass(server, hello.length);
    const answer = server.outgoing;
    this.open();
    forger.begin(hello, answer);
  }

  /** The server receives forged records. */
  send(type: number, ...contents: Uint8Array[]): void {
    for (const content of contents) {
      if (this.server.session.error === null) this.server.receive(this.forger.seal(type, content));
    }
  }
}

/** One end of a connection through memory. */
export class End {
  readonly session: TlsSession;
  /** Records to send. */
  outgoing: Uint8Array = new Uint8Array(0);
  #received: Uint8Array[] = [];

  constructor(session: TlsSession) {
    this.session = session;
  }

  get received(): Uint8Array {
    return Buffer.concat(this.#received);
  }

  /** Returns the received bytes, and forgets them. */
  take(): Uint8Array {
    const all = this.received;
    this.#received = [];
    return all;
  }

  write(bytes: Uint8Array | string): this {
    const all = Buffer.from(bytes);
    const pieces = [this.outgoing];
    for (let at = 0; at < all.length; at += arena.byteLength) {
      const part = all.subarray(at, at + arena.byteLength);
      arena.u8.set(part);
      assert.ok(this.session.write(arena.address, part.length), this.session.error?.message);
      this.#takeInto(pieces);
    }
    this.outgoing = Buffer.concat(pieces);
    return this;
  }

  end(): this {
    this.session.end();
    this.#take();
    return this;
  }

  /** Continues after bytes were received, or at the start. */
  step(): void {
    const { session } = this;
    if (session.error !== null) return;
    if (!session.isOpen) {
      const isDone = session.handshake();
      this.#take();
      passSecrets(session.library, (error) => {
        throw error;
      });
      if (!isDone || !session.isOpen) return;
    }
    const length = session.read();
    if (length > 0) this.#received.push(session.library.plaintext.u8.slice(0, length));
    if (session.hasOutput) this.#take();
  }

  /** Receives bytes, which may be any. */
  receive(bytes: Uint8Array): void {
    arena.u8.set(bytes);
    this.session.receive(arena, 0, bytes.length);
    this.step();
  }

  /** Passes at most `most` bytes to the other end. @returns Whether there were any. */
  pass(other: End, most: number): boolean {
    const part = this.outgoing.subarray(0, Math.min(most, arena.byteLength));
    if (part.length === 0) return false;
    this.outgoing = this.outgoing.subarray(part.length);
    if (other.session.error === null && !other.session.hasEnded) other.receive(part);
    return true;
  }

  #take(): void {
    const pieces = [this.outgoing];
    this.#takeInto(pieces);
    this.outgoing = Buffer.concat(pieces);
  }

  #takeInto(pieces: Uint8Array[]): void {
    for (;;) {
      const length = this.session.takeOutput(taken.address, taken.byteLength);
      if (length === 0) return;
      pieces.push(taken.u8.slice(0, length));
    }
  }
}
