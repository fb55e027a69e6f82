/** The routes of the handler of the soak test's server. Most answers follow from the path. */

import { setTimeout as sleep } from "node:timers/promises";
import {
  type FilesHandler,
  files,
  type HttpReply,
  type HttpRequest,
} from "../../../src/http/index.ts";
import { COPIED_BYTES } from "../../../src/reactor/send-queue.ts";
import { content, contentText, sumOf } from "./content.ts";

/** The error that a handler throws on request. */
export class Planned extends Error {
  /** Whether the client waits for the answer. */
  readonly isAwaited: boolean;

  constructor(isAwaited: boolean) {
    super("a failure that was asked for");
    this.isAwaited = isAwaited;
  }
}

export const SWITCHING =
  "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

/** Whether the client has announced that it waits for its answer. */
export function isAwaited(mark: string | null | undefined): boolean {
  return mark === "stays";
}

/**
 * Bytes that are overwritten after the write if the reply has copied them. Longer arrays are unchanged
 * until they are sent.
 */
function lent(bytes: Uint8Array, take: (copy: Uint8Array) => void): void {
  const copy = new Uint8Array(bytes);
  take(copy);
  if (copy.length <= COPIED_BYTES) copy.fill(0x21);
}

export class Routes {
  readonly #site: FilesHandler;
  readonly #upgraded: () => void;

  /** @param upgraded - Called for each connection that is taken for another protocol. */
  constructor(dir: string, upgraded: () => void) {
    this.#site = files({ dir });
    this.#upgraded = upgraded;
  }

  close(): void {
    this.#site.close();
  }

  answer = (request: HttpRequest, reply: HttpReply): void | Promise<void> => {
    const [, route, ...rest] = request.path.split("/");
    const [length = 0, seed = 0, more = 0] = rest.map(Number);
    switch (route) {
      case "bytes":
        lent(content(seed, length), (bytes) => reply.send(bytes));
        return;
      case "text":
        reply.send(contentText(seed, length));
        return;
      case "later":
        return answerLater(reply, length, seed, more);
      case "stream":
        stream(reply, length, seed, more);
        return;
      case "counted":
        reply.header("Content-Length", length);
        stream(reply, length, seed, more);
        return;
      case "echo":
        echo(request, reply);
        return;
      case "sum":
        return sum(request, reply);
      case "ignore":
        reply.status(202).send("ignored");
        return;
      case "throw":
        throw new Planned(isAwaited(request.header("soak")));
      case "partial":
        return tear(request, reply);
      case "upgrade":
        this.#upgrade(request);
        return;
      default:
        return this.#site(request, reply);
    }
  };

  #upgrade(request: HttpRequest): void {
    this.#upgraded();
    const socket = request.upgrade({
      data(connection, bytes) {
        if (!connection.write(bytes)) connection.pause();
      },
      drain: (connection) => connection.resume(),
      idleTimeoutMs: 20_000,
    });
    socket.write(SWITCHING);
  }
}

async function answerLater(
  reply: HttpReply,
  length: number,
  seed: number,
  delayMs: number,
): Promise<void> {
  await sleep(delayMs);
  lent(content(seed, length), (bytes) => reply.send(bytes));
}

/** Sends piece by piece, as fast as the client reads. */
function stream(reply: HttpReply, length: number, seed: number, piece: number): void {
  const all = content(seed, length);
  let at = 0;
  reply.begin();
  const next = (): void => {
    while (at < length) {
      const to = Math.min(at + piece, length);
      let goesOn = false;
      lent(all.subarray(at, to), (bytes) => {
        goesOn = reply.write(bytes);
      });
      at = to;
      if (reply.done) return;
      if (!goesOn && at < length) {
        reply.whenDrained(next);
        return;
      }
    }
    reply.trailer("Soak-Sum", sumOf(all)).end();
  };
  next();
}

function echo(request: HttpRequest, reply: HttpReply): void {
  // This sends 100 Continue to a client that waits for it, before the head of the answer.
  request.read({
    data(bytes) {
      if (reply.write(bytes)) return;
      request.pause();
      reply.whenDrained(() => request.resume());
    },
    end: () => reply.end(),
  });
  reply.begin();
}

async function sum(request: HttpRequest, reply: HttpReply): Promise<void> {
  const bytes = await request.bytes();
  const trailers = request.trailers.map(([name, value]) => `${name}=${value}`);
  reply.send(JSON.stringify({ length: bytes.length, sum: sumOf(bytes), trailers }));
}

/** Sends part of an answer, which must not look complete. */
async function tear(request: HttpRequest, reply: HttpReply): Promise<void> {
  const planned = new Planned(isAwaited(request.header("soak")));
  reply.begin().write("half");
  await sleep(1);
  throw planned;
}
