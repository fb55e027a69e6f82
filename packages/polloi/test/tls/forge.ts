import assert from "node:assert/strict";
import { createCipheriv, createHmac } from "node:crypto";
import type { TlsClientOptions } from "../../src/tls/options.ts";

/** Types of records. RFC 8446 section 5.1 */
export const ALERT = 21;
export const HANDSHAKE = 22;
export const DATA = 23;

const KEY_BYTES = 16;
const TAG_BYTES = 16;
/** The bytes of a record before the random number of a hello message. */
const BEFORE_RANDOM = 11;
const RANDOM_BYTES = 32;

/** HMAC with SHA-256. */
function hmac(key: Uint8Array, ...parts: Uint8Array[]): Buffer {
  const mac = createHmac("sha256", key);
  for (const part of parts) mac.update(part);
  return mac.digest();
}

/** HKDF-Expand-Label, for at most 32 bytes. RFC 8446 section 7.1 */
function expandLabel(secret: Uint8Array, label: string, length: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`);
  const info = [Buffer.from([0, length, name.length]), name, Buffer.from([0, 1])];
  return hmac(secret, ...info).subarray(0, length);
}

/** The key block of TLS 1.2: P_SHA256. RFC 5246 section 5 */
function keyBlock(master: Uint8Array, serverRandom: Uint8Array, clientRandom: Uint8Array): Buffer {
  const seed = Buffer.concat([Buffer.from("key expansion"), serverRandom, clientRandom]);
  let chain: Uint8Array = seed;
  const parts: Buffer[] = [];
  for (let round = 0; round < 2; round++) {
    chain = hmac(master, chain);
    parts.push(hmac(master, chain, seed));
  }
  return Buffer.concat(parts);
}

/**
 * Encrypts records with the keys of a client after its handshake, so that a test can send valid records that OpenSSL
 * would not send.
 */
export class Forger {
  readonly #lines: string[] = [];
  #isNew = true;
  #key: Uint8Array = new Uint8Array(0);
  #iv: Uint8Array = new Uint8Array(0);
  #sequence = 0;

  /** The options of the client. */
  options(version: "TLSv1.2" | "TLSv1.3"): TlsClientOptions {
    this.#isNew = version === "TLSv1.3";
    return {
      maxVersion: version,
      ciphers: this.#isNew ? "TLS_AES_128_GCM_SHA256" : "ECDHE-ECDSA-AES128-GCM-SHA256",
      keylog: (line) => void this.#lines.push(line),
    };
  }

  /**
   * Derives the keys.
   *
   * @param clientHello - The first bytes of the client.
   * @param serverHello - The first bytes of the server.
   */
  begin(clientHello: Uint8Array, serverHello: Uint8Array): this {
    const name = this.#isNew ? "CLIENT_TRAFFIC_SECRET_0" : "CLIENT_RANDOM";
    const secret = this.#lines.find((line) => line.startsWith(`${name} `))?.split(" ")[2];
    assert.ok(secret !== undefined, `no ${name}`);
    const bytes = Buffer.from(secret, "hex");
    if (this.#isNew) {
      this.#key = expandLabel(bytes, "key", KEY_BYTES);
      this.#iv = expandLabel(bytes, "iv", 12);
      return this;
    }
    const random = (hello: Uint8Array) =>
      hello.subarray(BEFORE_RANDOM, BEFORE_RANDOM + RANDOM_BYTES);
    const block = keyBlock(bytes, random(serverHello), random(clientHello));
    this.#key = block.subarray(0, KEY_BYTES);
    this.#iv = block.subarray(2 * KEY_BYTES, 2 * KEY_BYTES + 4);
    // The message Finished was the first.
    this.#sequence = 1;
    return this;
  }

  /** One record. */
  seal(type: number, content: Uint8Array): Uint8Array {
    const sequence = Buffer.alloc(8);
    sequence.writeBigUInt64BE(BigInt(this.#sequence++));
    return this.#isNew
      ? this.#sealNew(type, content, sequence)
      : this.#sealOld(type, content, sequence);
  }

  #sealNew(type: number, content: Uint8Array, sequence: Uint8Array): Uint8Array {
    const nonce = Buffer.from(this.#iv);
    for (let i = 0; i < 8; i++) nonce[4 + i] = (nonce[4 + i] as number) ^ (sequence[i] as number);
    const plain = Buffer.concat([content, Buffer.from([type])]);
    const header = headerOf(DATA, plain.length + TAG_BYTES);
    return Buffer.concat([header, encrypt(this.#key, nonce, header, plain)]);
  }

  #sealOld(type: number, content: Uint8Array, sequence: Uint8Array): Uint8Array {
    const nonce = Buffer.concat([this.#iv, sequence]);
    const about = Buffer.concat([sequence, headerOf(type, content.length)]);
    const header = headerOf(type, 8 + content.length + TAG_BYTES);
    return Buffer.concat([header, sequence, encrypt(this.#key, nonce, about, content)]);
  }
}

function headerOf(type: number, length: number): Buffer {
  return Buffer.from([type, 3, 3, length >> 8, length & 0xff]);
}

/** AES-128-GCM: the encrypted bytes and the tag. */
function encrypt(key: Uint8Array, nonce: Uint8Array, about: Uint8Array, plain: Uint8Array) {
  const cipher = createCipheriv("aes-128-gcm", key, nonce);
  cipher.setAAD(about);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** The header of a ClientHello, which begins a renegotiation. */
export const CLIENT_HELLO: Uint8Array = Uint8Array.from([1, 0, 0, 0]);
/** KeyUpdate that demands one of the peer. RFC 8446 section 4.6.3 */
export const KEY_UPDATE: Uint8Array = Uint8Array.from([24, 0, 0, 1, 1]);
