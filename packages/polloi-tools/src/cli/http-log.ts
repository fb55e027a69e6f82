import { type AccessFormat, AccessLog, type AccessSink } from "polloi/http";
import { failureLine } from "./failure.ts";
import { complain } from "./output.ts";

/** The access log of `polloi serve http`: it can be handed to a worker. */
export interface LogFlags {
  /** A path, or a descriptor. */
  readonly to: string | number;
  readonly format: AccessFormat | undefined;
  /** A number that is raised when the file has been moved away. All threads see it. */
  readonly moves: SharedArrayBuffer;
}

/** @throws What opening the file fails with. */
export function openLog({ to, format, moves }: LogFlags): AccessSink & { close(): Promise<void> } {
  const log = new AccessLog({ to, ...(format === undefined ? {} : { format }) });
  const asked = new Int32Array(moves);
  let seen = Atomics.load(asked, 0);
  return {
    write(entry) {
      const now = Atomics.load(asked, 0);
      if (now !== seen) {
        seen = now;
        reopen(log);
      }
      log.write(entry);
    },
    close: () => log.close(),
  };
}

/** What cannot be opened anew goes on where it went. */
function reopen(log: AccessLog): void {
  try {
    log.reopen();
  } catch (error) {
    complain(failureLine("cannot open the access log anew", error));
  }
}

/** The flags of the log, and has SIGHUP open it anew, as logrotate expects. */
export function logFlags(to: string, format: AccessFormat | undefined): LogFlags {
  const moves = new SharedArrayBuffer(4);
  process.on("SIGHUP", () => Atomics.add(new Int32Array(moves), 0, 1));
  return { to: to === "-" ? 1 : to, format, moves };
}
