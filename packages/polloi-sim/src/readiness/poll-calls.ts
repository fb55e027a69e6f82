import { ERRNO, type Libc, POLLERR, POLLFD_SIZE, POLLHUP, POLLNVAL } from "polloi/internal/pure";
import type { Process } from "../process/process.ts";
import { waitForFiles } from "./poll-table.ts";
import { timeoutAt } from "./timeouts.ts";

const AT_EVENTS = 4;
const AT_REVENTS = 6;
/** These are reported whether asked for or not. */
const ALWAYS: number = POLLERR | POLLHUP;

/** Source: poll(2); fs/select.c, do_sys_poll. */
export function pollCalls(process: Process): Pick<Libc, "ppoll"> {
  const { descriptors, memory } = process;
  return {
    ppoll(fds, count, timeout) {
      const timeoutMs = timeoutAt(memory, timeout);
      if (timeoutMs < 0) return timeoutMs;
      if (count < 0 || count > descriptors.limit) return -ERRNO.EINVAL;
      const bytes = count * POLLFD_SIZE;
      const view = count === 0 ? NOTHING : memory.view(fds, bytes);
      if (view === undefined) return -ERRNO.EFAULT;
      const scan = (): number => {
        let found = 0;
        for (let at = 0; at < bytes; at += POLLFD_SIZE) {
          const fd = view.getInt32(at, true);
          let mask = 0;
          if (fd >= 0) {
            const file = descriptors.get(fd);
            const asked = view.getUint16(at + AT_EVENTS, true) | ALWAYS;
            mask = file === undefined ? POLLNVAL : file.poll() & asked;
          }
          view.setUint16(at + AT_REVENTS, mask, true);
          if (mask !== 0) found++;
        }
        return found;
      };
      return waitForFiles(
        process,
        scan,
        (table) => {
          for (let at = 0; at < bytes; at += POLLFD_SIZE) {
            const file = descriptors.get(view.getInt32(at, true));
            if (file !== undefined) {
              table.add(file, view.getUint16(at + AT_EVENTS, true) | ALWAYS);
            }
          }
        },
        timeoutMs,
      );
    },
  };
}

const NOTHING = new DataView(new ArrayBuffer(0));
