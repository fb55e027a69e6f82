/** The time of a simulation, in milliseconds. */
export interface Clock {
  /** The monotonic time. It has fractions. */
  now(): number;
  /** Waits until `time`, if it is in the future. */
  sleepUntil(time: number): void;
  /** Calls `run` at `time` or later, unless the world moves by itself. A later call replaces an earlier one. */
  wakeAt(time: number, run: () => void): void;
}

/** A clock that only moves when somebody waits, so waiting takes no time. */
export class VirtualClock implements Clock {
  #now = 0;

  now(): number {
    return this.#now;
  }

  sleepUntil(time: number): void {
    if (time > this.#now) this.#now = time;
  }

  wakeAt(): void {}
}

/** The clock of the machine, for programs that compare a simulation with their own timers. */
export class RealClock implements Clock {
  readonly #word = new Int32Array(new SharedArrayBuffer(4));
  #cancel: () => void = () => {};
  #wakesAt = Number.POSITIVE_INFINITY;

  now(): number {
    return performance.now();
  }

  sleepUntil(time: number): void {
    for (;;) {
      const left = time - performance.now();
      if (left <= 0) return;
      Atomics.wait(this.#word, 0, 0, left);
    }
  }

  wakeAt(time: number, run: () => void): void {
    if (time >= this.#wakesAt) return;
    this.#cancel();
    this.#wakesAt = time;
    const wake = () => {
      this.#wakesAt = Number.POSITIVE_INFINITY;
      run();
    };
    const left = time - performance.now();
    if (left > 0) {
      const timer = setTimeout(wake, Math.ceil(left));
      this.#cancel = () => clearTimeout(timer);
    } else {
      const immediate = setImmediate(wake);
      this.#cancel = () => clearImmediate(immediate);
    }
  }
}
