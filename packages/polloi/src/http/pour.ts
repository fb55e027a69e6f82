/** What is needed of a reply to send a source by it. */
export interface Sink {
  /** Whether nobody is there to have more. */
  readonly done: boolean;
  write(bytes: string | Uint8Array): boolean;
  whenDrained(callback: () => void): void;
}

/** Writes what a source has, no faster than it is taken. A source that is not wanted any more is told to stop. */
export async function pour(source: AsyncIterable<string | Uint8Array>, reply: Sink): Promise<void> {
  for await (const piece of source) {
    const goOn = reply.write(piece);
    if (reply.done) return;
    if (!goOn) await new Promise<void>((resolve) => reply.whenDrained(resolve));
  }
}
