/**
 * The program of a child process, which serves one connection, or a listener on an event loop.
 *
 * Its first message says what to serve, and a descriptor comes with it. It never outlives its parent: the kernel kills
 * it when the parent exits (PR_SET_PDEATHSIG), and the end of its channel ends it as well. It imports little, since
 * each connection pays for it: of sockets only the system calls, an event loop only if it needs one, and never
 * node:process, which makes Node open stdin, stdout and stderr.
 */
import { PR_SET_PDEATHSIG, SYS } from "../sys/abi.ts";
import { kernel } from "../sys/open.ts";
import { BlockingServer } from "./blocking.ts";
import { ProcessControl } from "./child-control.ts";
import { ServedCounter } from "./counts.ts";
import { STARTING, sendingObserver, toPlainError } from "./messages.ts";
import { loadHandlers } from "./module.ts";

const SIGKILL = 9;

async function serve(control: ProcessControl): Promise<void> {
  const { input, fd } = control.receiveInput();
  if (input.task === "event-loop") {
    const { serveAsProcess } = await import("./loop-child.ts");
    await serveAsProcess(control, input, fd);
    return;
  }
  const starting = (): void => control.setPhase(STARTING);
  const handlers = await loadHandlers(input.module, input.data, starting);
  const observer =
    input.observed === true ? sendingObserver((sent) => control.send(sent)) : undefined;
  const counter = new ServedCounter(observer);
  // Also when a handler throws, or calls exit.
  process.once("exit", () => control.send({ type: "counts", counts: counter.snapshot() }));
  control.send({ type: "ready" });
  const { idleTimeoutMs } = input;
  new BlockingServer({ kernel, control, handlers, idleTimeoutMs }).serve(fd, counter);
}

kernel.libc.syscall(SYS.prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
// The terminal sends these to every process. The parent decides when to stop.
process.on("SIGINT", () => {});
process.on("SIGHUP", () => {});
try {
  const control = new ProcessControl(kernel, `\0${process.argv[2]}`);
  try {
    await serve(control);
    process.exit(0);
  } catch (error) {
    control.send({ type: "failed", error: toPlainError(error) });
    process.exit(1);
  }
} catch {
  // The parent has exited.
  process.exit(1);
}
