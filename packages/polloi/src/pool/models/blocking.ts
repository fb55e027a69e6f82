import { ThreadStarter } from "../thread-child.ts";
import type { Model, ModelContext } from "./model.ts";
import { startPooled } from "./pooled.ts";

/**
 * `blocking`: one thread that accepts a connection, serves it, and accepts the next. It is not the main thread, which
 * must be able to stop it.
 *
 * @throws what listening throws; SysError `EMFILE`; what the module throws as it starts.
 */
export function startBlocking(context: ModelContext): Promise<Model> {
  const task = { ...context.input, task: "accept-loop" } as const;
  const starter = new ThreadStarter(context.kernel);
  return startPooled(context, {
    kind: "thread",
    count: 1,
    sharing: "exclusive",
    start: (listener, events) => starter.start(task, listener, events),
  });
}
