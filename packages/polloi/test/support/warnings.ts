/** A warning, as Node, Bun and Deno emit it. */
export type Warning = Error & { readonly detail?: string };

/**
 * Collects the warnings of this process, without those about objects of earlier cases that were not closed: they are
 * garbage-collected at any time.
 */
export class Warnings implements Disposable {
  readonly all: Warning[] = [];
  readonly #hear = (warning: Warning): void => {
    if (!warning.message.includes("garbage-collected")) this.all.push(warning);
  };

  constructor() {
    process.on("warning", this.#hear);
  }

  [Symbol.dispose](): void {
    process.off("warning", this.#hear);
  }
}
