/** The most unused parsers to keep. */
const SPARE = 64;

/**
 * The parsers of many connections.
 *
 * @remarks
 * A parser has a head, fields and buffers, and between two messages it has no state of its connection. Most connections
 * are between two messages, and most messages arrive in one piece, so one parser serves nearly all of them. A connection
 * in the middle of a message keeps the parser that began it.
 */
export class ParserPool<Parser extends { reset(): void }> {
  /** The parser of all connections that are between two messages. */
  shared: Parser;
  readonly #make: () => Parser;
  readonly #spare: Parser[] = [];

  constructor(make: () => Parser) {
    this.#make = make;
    this.shared = make();
  }

  /** Gives the shared parser to a connection. The others share another one from then on. */
  take(): Parser {
    const taken = this.shared;
    this.shared = this.#spare.pop() ?? this.#make();
    return taken;
  }

  /** Takes back the parser of a connection, and resets it. */
  giveBack(parser: Parser): void {
    parser.reset();
    if (this.#spare.length < SPARE) this.#spare.push(parser);
  }
}
