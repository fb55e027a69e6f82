import { type Command, Option } from "commander";
import type { ModelName, Sharing } from "polloi/models";
import { children, maxChildren, oneOf } from "./arguments.ts";
import type { Asked, ServeFlags } from "./serve-flags.ts";

// Said here and not read from the library, which may fail to load: help and doctor must still work.
const MODELS: readonly ModelName[] = ["blocking", "process", "thread", "prefork", "event"];
const SHARINGS: readonly Sharing[] = ["exclusive", "reuseport"];

/** Gives `serve` the flags for the five ways. */
export function withModelFlags(command: Command): Command {
  return command
    .addOption(
      new Option(
        "-m, --model <model>",
        "how to serve many clients: blocking is one at a time, process and thread are one for each connection, prefork is processes with an event loop each, event is one event loop",
      )
        .choices(MODELS)
        .argParser(oneOf(MODELS))
        .conflicts("workers"),
    )
    .option(
      "--children <count>",
      "prefork: how many processes; auto, one for each processor, is the default",
      children,
    )
    .addOption(
      new Option(
        "--share <how>",
        "prefork: exclusive (the default) is one listener, a connection waking one process; reuseport is one for each",
      )
        .choices(SHARINGS)
        .argParser(oneOf(SHARINGS)),
    )
    .option(
      "--max-children <count>",
      "process, thread: no more than so many at once (default: 256)",
      maxChildren,
    )
    .addOption(
      new Option(
        "--at-limit <what>",
        "process, thread: further connections wait (the default), or are closed at once",
      ).choices(["wait", "close"]),
    );
}

/** Refuses flags that the model, or what is served, has no use for. */
export function refuseUnfitModel(
  asked: readonly Asked[],
  flags: ServeFlags,
  command: Command,
): void {
  const { model } = flags;
  const only = (name: string, flag: unknown, models: readonly ModelName[]): void => {
    if (flag === undefined || (model !== undefined && models.includes(model))) return;
    command.error(`error: ${name} is for --model ${models.join(" and ")}`);
  };
  only("--children", flags.children, ["prefork"]);
  only("--share", flags.share, ["prefork"]);
  only("--max-children", flags.maxChildren, ["process", "thread"]);
  only("--at-limit", flags.atLimit, ["process", "thread"]);
  if (model === undefined) return;
  const engine = command.getOptionValueSource("engine") === "cli" ? flags.engine : undefined;
  only("--engine", engine, ["prefork", "event"]);
  only("--trigger", flags.trigger, ["prefork", "event"]);
  const loops = model === "prefork" || model === "event";
  if (!loops && asked.some(({ protocol }) => protocol === "http")) {
    command.error(
      `error: http needs an event loop, which --model ${model} does not have: use prefork or event`,
    );
  }
}
