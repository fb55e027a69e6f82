import type { RequestParser } from "./wire/request-parser.ts";
import { Sending } from "./sending.ts";

/**
 * The parser of a session.
 *
 * @remarks
 * Most connections are between two requests, and most requests arrive in one piece, so one parser of the server serves
 * nearly all of them. A session in the middle of a request keeps the parser that began it.
 */
export abstract class Reading extends Sending {
  /** Its own parser, while it is in the middle of a request. */
  #parser: RequestParser | null = null;

  /** The parser to use: its own, or else the server's. */
  protected get parser(): RequestParser {
    return this.#parser ?? this.server.parser;
  }

  protected get hasParser(): boolean {
    return this.#parser !== null;
  }

  /** Keeps the parser for this session, and the head in it. */
  protected keepParser(): void {
    const { parser } = this;
    if (this.#parser === null) {
      this.#parser = parser;
      this.server.taken();
    }
    parser.keepHead();
  }

  /** Returns its own parser to the server: the head in it is no longer needed. */
  protected giveParserBack(): void {
    if (this.#parser !== null) this.server.giveBack(this.#parser);
    this.#parser = null;
  }

  /** Gives up its own parser, whose head stays with the request. */
  protected leaveParser(): void {
    this.#parser = null;
  }
}
