import {
  type HttpOptions,
  type HttpReply,
  type HttpRequest,
  type HttpServer,
  serve,
} from "polloi/http";
import { contentOf } from "../content.ts";
import { HttpPeer, IGNORED } from "../peers/http-peer.ts";
import { probeOf } from "../plain.ts";
import { isSafe, type PeerPlan } from "../scenario.ts";
import { PATH, PORT, type Sparse } from "./program.ts";
import { ServerProgram } from "./server-program.ts";

/** The error that a handler throws on purpose. */
class Planned extends Error {}

/** An HTTP server. Its peers ask for what its routes do: see `ROUTES`. */
export class HttpProgram extends ServerProgram<HttpPeer> {
  #server: HttpServer | undefined;
  #handled = 0;
  /** Requests that are never answered, and of those the ones whose client was seen to leave. */
  #unanswered = 0;
  #left = 0;

  protected override readonly probes: readonly PeerPlan[] = [PROBE];

  protected override open(): void {
    const { scenario, reactor, report } = this.stage;
    const { isUnix, options } = scenario;
    const { maxConnections } = options;
    const usesFetch = scenario.usesFetch && scenario.drive !== "run";
    const sparse: Sparse<HttpOptions> = {
      reactor,
      path: isUnix ? PATH : undefined,
      host: isUnix ? undefined : "127.0.0.1",
      port: isUnix ? undefined : PORT,
      maxConnections: maxConnections > 0 ? maxConnections : undefined,
      fetch: usesFetch ? (request: Request) => this.#fetch(request) : undefined,
      handler: usesFetch ? undefined : (request, reply) => this.#handle(request, reply),
      error: (error) => {
        if (error instanceof Planned || !isSafe(scenario)) return;
        report.fail("failed", `the server reports ${(error as Error).message}`);
      },
      acceptError: () => {
        if (isSafe(scenario)) report.fail("accept", "accepting has failed without a reason");
      },
    };
    this.#server = serve(sparse as HttpOptions);
  }

  override stop(): void {
    this.#server?.close();
  }

  override check(): void {
    for (const peer of this.peers) this.#judge(peer);
    const { report } = this.stage;
    const left = this.#server?.connections ?? 0;
    if (left > 0) report.fail("count", `the server counts ${left} connections of none`);
    if (this.#left !== this.#unanswered) {
      report.fail("left", `${this.#left} of ${this.#unanswered} clients were seen to leave`);
    }
  }

  override describe(): string {
    return `${super.describe()}; ${this.#handled} requests were handled`;
  }

  protected override describePeer(peer: HttpPeer): string {
    return `${peer.describe()}, ${peer.answered} responses`;
  }

  protected override seenBy({ outcome, answered }: HttpPeer): string {
    return `${outcome} ${answered}`;
  }

  protected override peerOf(number: number, plan: PeerPlan, over: () => void): HttpPeer {
    const peer = new HttpPeer(this.stage.world, number, plan, over);
    peer.mayBeRefused = this.stage.scenario.options.maxConnections > 0;
    return peer;
  }

  protected override begin(peer: HttpPeer): void {
    peer.begin(this.stage.dial(peer.plan.bufferBytes));
  }

  #handle(request: HttpRequest, reply: HttpReply): void {
    this.#handled++;
    this.stage.busy();
    const { route, length, piece, delayMs } = partsOf(request.path);
    switch (route) {
      case "bytes":
        reply.send(contentOf(length, 0, length));
        return;
      case "late":
        this.stage.outside(delayMs, () => reply.send(contentOf(length, 0, length)));
        return;
      case "stream":
        stream(reply, length, piece);
        return;
      case "echo":
        echo(request, reply);
        return;
      case "ignore":
        reply.status(202).send(IGNORED);
        return;
      case "throw":
        throw new Planned("thrown on purpose");
      case "never":
        this.#unanswered++;
        request.whenLeft(() => this.#left++);
        return;
      default:
        reply.status(404).send();
    }
  }

  /** The same with `fetch`. */
  async #fetch(request: Request): Promise<Response> {
    this.#handled++;
    this.stage.busy();
    const { route, length, piece, delayMs } = partsOf(new URL(request.url).pathname);
    switch (route) {
      case "bytes":
        return new Response(contentOf(length, 0, length));
      case "late":
        await new Promise<void>((resolve) => this.stage.outside(delayMs, resolve));
        return new Response(contentOf(length, 0, length));
      case "stream":
        return new Response(readable(length, piece));
      case "echo":
        return new Response(request.body);
      case "ignore":
        return new Response(IGNORED, { status: 202 });
      case "throw":
        throw new Planned("thrown on purpose");
      case "never":
        this.#unanswered++;
        request.signal.addEventListener("abort", () => this.#left++);
        return new Promise(() => {});
      default:
        return new Response(null, { status: 404 });
    }
  }

  #judge(peer: HttpPeer): void {
    const { scenario, isShut } = this.stage;
    if (peer.wrong !== undefined) this.#accuse("content", peer, peer.wrong);
    if (isShut) return;
    const isProbe = peer.plan === PROBE;
    if (!isProbe && (!isSafe(scenario) || !peer.isHonest)) return;
    if (peer.hasSentGarbage || peer.asksInVain) return;
    if (scenario.options.maxConnections > 0) return;
    if (peer.answered < peer.expected) {
      this.#accuse("short", peer, `${peer.answered} of ${peer.expected} requests were answered`);
    }
    if (peer.outcome !== "end" && !peer.closes) this.#accuse("cut", peer, "it was cut off");
  }

  #accuse(rule: string, peer: HttpPeer, text: string): void {
    this.stage.report.fail(rule, `${peer.describe()}: ${text}`);
  }
}

/** The parts of a path: see `wireOf`. */
function partsOf(path: string): { route: string; length: number; piece: number; delayMs: number } {
  const [, route = "", ...numbers] = path.split("/");
  const [length = 0, piece = 1, delayMs = 0] = numbers.map(Number);
  return { route, length, piece, delayMs };
}

/** The bytes of a response, made as fast as the client reads them. */
function readable(length: number, piece: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      const part = contentOf(length, at, Math.min(piece, length - at));
      at += part.length;
      controller.enqueue(part.slice());
      if (at === length) controller.close();
    },
  });
}

/** Sends piece by piece, as fast as the client reads. */
function stream(reply: HttpReply, length: number, piece: number): void {
  let at = 0;
  reply.begin();
  const next = (): void => {
    while (at < length && !reply.done) {
      const part = contentOf(length, at, Math.min(piece, length - at));
      at += part.length;
      if (!reply.write(part) && at < length) {
        reply.whenDrained(next);
        return;
      }
    }
    if (!reply.done) reply.end();
  };
  next();
}

function echo(request: HttpRequest, reply: HttpReply): void {
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

/** A well-behaved client. */
const PROBE: PeerPlan = probeOf([
  {
    do: "request",
    request: {
      route: "bytes",
      length: 2000,
      piece: 1,
      delayMs: 0,
      framing: "none",
      bodyLength: 0,
      chunk: 1,
      isHead: false,
      closes: false,
    },
    piece: 1000,
    gapMs: 0,
  },
  { do: "await" },
]);
