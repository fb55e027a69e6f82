import type { World } from "../../base/world.ts";
import { differsAt } from "../content.ts";
import { type RequestPlan, type Route, wireOf } from "../programs/http-requests.ts";
import type { PeerPlan, Step } from "../scenario.ts";
import { ClientPeer } from "./client-peer.ts";
import { type ResponseHead, ResponseReader } from "./response-reader.ts";

/** The answer of the server when a handler throws. */
const FAILURE = "Internal Server Error\n";
/** The answer of the route `ignore`. */
export const IGNORED = "ignored";

/** A request that was sent. */
interface Asked {
  readonly plan: RequestPlan;
  /** The stream of its body. */
  readonly stream: number;
}

/** A client of the HTTP server. It compares every response with its request. */
export class HttpPeer extends ClientPeer {
  /** Whether the server may refuse it because it has too many connections. */
  mayBeRefused = false;
  readonly #asked: Asked[] = [];
  readonly #reader: ResponseReader;
  /** The number of complete responses. */
  answered = 0;
  /** Whether it has sent something that is no request. From then on any response may come. */
  hasSentGarbage = false;
  /** What is wrong about a response. */
  wrong: string | undefined;
  /** Whether a response announced the end of the connection. */
  closes = false;
  #at = 0;
  #text = "";
  #head: ResponseHead | undefined;

  constructor(world: World, number: number, plan: PeerPlan, onOver: (peer: ClientPeer) => void) {
    super(world, number, plan, onOver);
    this.#reader = new ResponseReader({
      isHead: () => this.#asked[this.answered]?.plan.isHead ?? false,
      head: (head) => this.#began(head),
      body: (bytes) => this.#body(bytes),
      end: () => this.#ended(),
      wrong: (what) => this.#fail(what),
    });
  }

  /** The number of responses that must come: those up to the one after which the connection ends. */
  get expected(): number {
    const last = this.#asked.findIndex(({ plan }) => plan.closes || plan.route === "never");
    if (last < 0) return this.#asked.length;
    return this.#asked[last]?.plan.route === "never" ? last : last + 1;
  }

  /** Whether it has asked for something that is never answered. */
  get asksInVain(): boolean {
    return this.#asked.some(({ plan }) => plan.route === "never");
  }

  /** Whether a response has begun and is not complete. */
  get isCutOff(): boolean {
    return !this.#reader.isBetween;
  }

  protected override get isAnswered(): boolean {
    return this.hasSentGarbage || this.answered >= this.expected;
  }

  protected override took(bytes: Uint8Array): void {
    this.#reader.feed(bytes);
  }

  protected override bytesOf(step: Step): Uint8Array {
    if (step.do === "garbage") {
      this.hasSentGarbage = true;
      return Buffer.from(step.text, "latin1");
    }
    if (step.do !== "request") throw new RangeError(`Cannot perform ${step.do} on an HTTP server`);
    const stream = 64 * this.number + this.#asked.length;
    this.#asked.push({ plan: step.request, stream });
    return wireOf(step.request, stream);
  }

  #began(head: ResponseHead): void {
    this.#head = head;
    this.#at = 0;
    this.#text = "";
    if (head.closes) this.closes = true;
    const asked = this.#asked[this.answered];
    if (head.status === 503 && this.mayBeRefused) return;
    if (asked === undefined) {
      if (!this.hasSentGarbage) this.#fail(`a response ${head.status} without a request`);
      return;
    }
    const { route, length } = asked.plan;
    const { status } = head;
    if (this.#isRefusal(asked)) return;
    if (status !== wantedOf(route)) this.#fail(`a response ${status} to ${route}`);
    const isFixed = route === "bytes" || route === "late";
    if (isFixed && head.length !== length) {
      this.#fail(`a response of ${head.length} bytes, not ${length}`);
    }
  }

  /** Whether the response is not to this request, but to what was sent behind it. */
  #isRefusal({ plan }: Asked): boolean {
    const status = this.#head?.status ?? 0;
    return this.hasSentGarbage && status >= 400 && status !== wantedOf(plan.route);
  }

  #body(bytes: Uint8Array): void {
    const asked = this.#asked[this.answered];
    const isOfRequest = asked !== undefined && (this.#head?.status ?? 0) === 200;
    if (!isOfRequest) {
      this.#text += Buffer.from(bytes).toString("latin1");
      return;
    }
    const { plan, stream } = asked;
    const at = differsAt(plan.route === "echo" ? stream : plan.length, this.#at, bytes);
    if (at >= 0) this.#fail(`byte ${at} of a response to ${plan.route} is wrong`);
    this.#at += bytes.length;
  }

  #ended(): void {
    const asked = this.#asked[this.answered];
    if (asked === undefined || (this.#head?.status === 503 && this.mayBeRefused)) return;
    if (this.#isRefusal(asked)) return;
    const { plan } = asked;
    const wanted = plan.isHead ? 0 : plan.route === "echo" ? plan.bodyLength : plan.length;
    const text = plan.route === "throw" ? FAILURE : plan.route === "ignore" ? IGNORED : undefined;
    if (text !== undefined && this.#text !== text) this.#fail(`"${this.#text}" to ${plan.route}`);
    if (text === undefined && this.#at !== wanted) {
      this.#fail(`${this.#at} of ${wanted} bytes to ${plan.route}`);
    }
    this.answered++;
  }

  #fail(what: string): void {
    this.wrong ??= what;
  }
}

function wantedOf(route: Route): number {
  return route === "throw" ? 500 : route === "ignore" ? 202 : 200;
}
