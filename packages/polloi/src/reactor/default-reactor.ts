import { optionsOf } from "../base/argument.ts";
import { checkEngine, type EngineChoice } from "../engine/choose.ts";
import type { Trigger } from "../engine/engine.ts";
import { Reactor } from "./reactor.ts";

/** Which reactor: one for each engine and trigger, made when it is first asked for. */
export interface ReactorChoice {
  readonly engine?: EngineChoice | undefined;
  readonly trigger?: Trigger | undefined;
}

const reactors = new Map<string, Reactor>();

/** This thread's reactor for an engine and a trigger: what `listen`, `connect` and `serve` use. */
export function defaultReactor(choice: ReactorChoice = {}): Reactor {
  const { engine = "auto", trigger } = optionsOf(choice);
  checkEngine({ engine, trigger });
  const key = `${engine} ${trigger ?? "by default"}`;
  let reactor = reactors.get(key);
  if (reactor === undefined) {
    reactor = new Reactor({ engine, trigger });
    reactors.set(key, reactor);
  }
  return reactor;
}
