import type { World } from "../../base/world.ts";
import type { DescriptorObserver, Descriptors } from "../../process/descriptors.ts";
import { OpenFile } from "../../process/open-file.ts";
import type { Report } from "./report.ts";

/** How long another thread keeps a descriptor, and another process a duplicate. */
const TAKEN_MS = 50;
const KEPT_MS = 20;

/** What others do with descriptors that are closed: each once in so many times; 0 is never. */
export interface Others {
  /** Another thread opens a file, which gets the number. */
  readonly takenOneIn: number;
  /** Another process has a duplicate, so that the file stays open for a time. */
  readonly keptOneIn: number;
}

/** A file that another thread of the process has opened. */
class ForeignFile extends OpenFile {
  override readonly kind = "foreign";

  poll(): number {
    return 0;
  }

  protected released(): void {}
}

/**
 * Checks that no call names a descriptor that is closed, or that belongs to another thread, and that none is closed
 * twice. It watches the table of descriptors, so the operations of io_uring are checked too.
 */
class DescriptorCheck implements DescriptorObserver {
  readonly #descriptors: Descriptors;
  readonly #world: World;
  readonly #report: Report;
  readonly #others: Others;
  readonly #onNamed: () => void;

  /** @param onNamed - Called whenever a call names a descriptor. */
  constructor(
    descriptors: Descriptors,
    world: World,
    report: Report,
    others: Others,
    onNamed: () => void,
  ) {
    this.#descriptors = descriptors;
    this.#world = world;
    this.#report = report;
    this.#others = others;
    this.#onNamed = onNamed;
  }

  named(fd: number, file: OpenFile | undefined): void {
    this.#onNamed();
    if (file === undefined) {
      // -1 is a descriptor that nobody has. Some calls are made with it on purpose.
      if (fd >= 0) this.#fail(`a call names descriptor ${fd}, which is closed`);
    } else if (file instanceof ForeignFile) {
      this.#fail(`a call names descriptor ${fd}, which another thread has opened`);
    }
  }

  closing(fd: number, file: OpenFile | undefined): void {
    if (file === undefined) this.#fail(`descriptor ${fd} is closed again`);
    else if (file instanceof ForeignFile) {
      this.#fail(`descriptor ${fd} is closed, which another thread has opened`);
    }
    const { choices } = this.#world;
    if (file === undefined || !choices.oneIn(this.#others.keptOneIn)) return;
    file.hold();
    this.#world.schedule(KEPT_MS, () => file.drop());
  }

  closed(fd: number): void {
    if (!this.#world.choices.oneIn(this.#others.takenOneIn)) return;
    const taken = this.#descriptors.add(new ForeignFile(), true, fd);
    if (taken >= 0) this.#world.schedule(TAKEN_MS, () => void this.#descriptors.remove(taken));
  }

  #fail(text: string): void {
    this.#report.fail("descriptor", text);
  }
}

/** Has a {@link DescriptorCheck} observe the descriptors of a process. */
export function watchDescriptors(
  descriptors: Descriptors,
  world: World,
  report: Report,
  others: Others,
  onNamed: () => void,
): void {
  descriptors.observe(new DescriptorCheck(descriptors, world, report, others, onNamed));
}

/** The open descriptors, without those of other threads. */
export function ownDescriptors(descriptors: Descriptors): number[] {
  return descriptors.list().filter((fd) => !(descriptors.peek(fd) instanceof ForeignFile));
}
