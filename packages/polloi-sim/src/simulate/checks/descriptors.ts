import type { World } from "../../base/world.ts";
import type { Descriptors } from "../../process/descriptors.ts";
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
 *
 * @param named - Called whenever a call names a descriptor.
 */
export function watchDescriptors(
  descriptors: Descriptors,
  world: World,
  report: Report,
  { takenOneIn, keptOneIn }: Others,
  named: () => void,
): void {
  const get = descriptors.get.bind(descriptors);
  const close = descriptors.close.bind(descriptors);
  descriptors.get = (fd) => {
    named();
    const file = get(fd);
    if (file === undefined) {
      // -1 is a descriptor that nobody has. Some calls are made with it on purpose.
      if (fd >= 0) report.fail("descriptor", `a call names descriptor ${fd}, which is closed`);
    } else if (file instanceof ForeignFile) {
      report.fail("descriptor", `a call names descriptor ${fd}, which another thread has opened`);
    }
    return file;
  };
  descriptors.close = (fd) => {
    const file = get(fd);
    if (file === undefined) {
      report.fail("descriptor", `descriptor ${fd} is closed again`);
    } else if (file instanceof ForeignFile) {
      report.fail("descriptor", `descriptor ${fd} is closed, which another thread has opened`);
    }
    const isKept = file !== undefined && keptOneIn > 0 && world.choices.oneIn(keptOneIn);
    if (isKept) {
      file.hold();
      world.schedule(KEPT_MS, () => file.drop());
    }
    const result = close(fd);
    if (result === 0 && takenOneIn > 0 && world.choices.oneIn(takenOneIn)) {
      const foreign = new ForeignFile();
      const taken = descriptors.add(foreign, true, fd);
      if (taken >= 0) world.schedule(TAKEN_MS, () => void close(taken));
    }
    return result;
  };
}

/** The open descriptors, without those of other threads. */
export function ownDescriptors(descriptors: Descriptors): number[] {
  return descriptors.list().filter((fd) => !(descriptors.peek(fd) instanceof ForeignFile));
}
