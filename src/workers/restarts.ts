/** What has run for so long was sound; what it crashes of is not how it starts. */
const SOUND_MS = 10_000;
/** After so many crashes in a row of what was not sound, nothing takes its place. */
const MAX_CRASHES = 5;
/** How long a place stays empty after the first of these crashes; doubled with each. */
const FIRST_RESTART_MS = 50;

/** When the next takes the place of what has crashed: a worker, a process. */
export class Restarts {
  #quick = 0;

  /** Whether it has crashed too often, so that nothing is to take its place. */
  get givenUp(): boolean {
    return this.#quick >= MAX_CRASHES;
  }

  /** After how long the next is to start. */
  get delayMs(): number {
    return FIRST_RESTART_MS * 2 ** (this.#quick - 1);
  }

  /** It has crashed. @param startedAt - When it was started, as `performance.now()` tells time. */
  crashed(startedAt: number): void {
    const sound = performance.now() - startedAt > SOUND_MS;
    this.#quick = sound ? 1 : this.#quick + 1;
  }
}
