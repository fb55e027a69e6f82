import type { RequestParser } from "./parser/request-parser.ts";
import { Sending } from "./sending.ts";

/**
 * The half of a session that reads: which parser it reads with.
 *
 * @remarks
 * Most connections are between two requests, and whole requests come in one piece, so one parser of the server's
 * does for nearly all. Who is in the middle of a request keeps the parser that it began with.
 */
export abstract class Reading extends Sending {
  /** Its own, while it is in the middle of a request. */
  #parser: RequestParser | null = null;

  /** The one to read with: its own, or else the server's. */
  protected get parser(): RequestParser {
    return this.#parser ?? this.server.parser;
  }

  protected get hasParser(): boolean {
    return this.#parser !== null;
  }

  /** From here on the parser is this session's, and the head stays where it is. */
  protected keepParser(): void {
    const { parser } = this;
    if (this.#parser === null) {
      this.#parser = parser;
      this.server.taken();
    }
    parser.keepHead();
  }

  /** Nothing of what it has read is needed any more. */
  protected giveParserBack(): void {
    if (this.#parser !== null) this.server.giveBack(this.#parser);
    this.#parser = null;
  }

  /** The head in it is a request's, for as long as somebody keeps that. */
  protected leaveParser(): void {
    this.#parser = null;
  }
}
