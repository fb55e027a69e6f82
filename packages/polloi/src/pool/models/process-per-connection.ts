import { ProcessStarter } from "../process-child.ts";
import type { Model, ModelContext } from "./model.ts";
import { PerConnection } from "./per-connection.ts";

/**
 * `process`: a process for each connection, which waits in blocking calls.
 *
 * @throws what listening throws; SysError `EMFILE`
 */
export function startProcessPerConnection(context: ModelContext): Model {
  const { kernel, reactor, options, input, reporter } = context;
  const task = { ...input, task: "connection" } as const;
  return new PerConnection(context, () => {
    const starter = new ProcessStarter(kernel, reactor, options.execArgv);
    return {
      kind: "process",
      idle: 0,
      start(fd, events) {
        const child = starter.start(task, fd, events);
        reporter.started++;
        return child;
      },
      stop: () => {},
      close: () => starter.close(),
    };
  });
}
