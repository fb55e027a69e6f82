import { serverEndpoint } from "../../reactor/tls-endpoint.ts";
import type { Child, ChildEvents } from "../child.ts";
import { preforked } from "../model-options.ts";
import { ProcessStarter } from "../process-child.ts";
import { tlsInputOf } from "../tls-input.ts";
import type { Model, ModelContext } from "./model.ts";
import { startPooled } from "./pooled.ts";

/**
 * `prefork`: processes that are started before there are connections, each with an event loop.
 *
 * @throws what listening throws; SysError `EMFILE`; what the module throws as it starts.
 */
export async function startPrefork(context: ModelContext): Promise<Model> {
  const { kernel, reactor, options, input } = context;
  const { engine, trigger, sharing = "exclusive" } = options;
  const count = preforked(options.children);
  const exclusive = sharing === "exclusive" && count > 1;
  const tls = options.tls && tlsInputOf(kernel, options.tls);
  // A certificate that cannot be used is an error here, before any process is started.
  if (options.tls !== undefined) serverEndpoint(kernel, options.tls).context.dispose();
  const task = { ...input, task: "event-loop", engine, trigger, exclusive, tls } as const;
  const starter = new ProcessStarter(kernel, reactor, options.execArgv);
  const start = (listener: number, events: ChildEvents): Child =>
    starter.start(task, listener, events);
  try {
    const model = await startPooled(context, { kind: "process", count, sharing, start });
    void model.over.then(() => starter.close());
    return model;
  } catch (error) {
    starter.close();
    throw error;
  }
}
