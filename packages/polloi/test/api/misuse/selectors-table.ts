/** `polloi/selectors`: every function and method, and the kinds of its arguments. */
import * as selectors from "../../../src/selectors/index.ts";
import { type Call, internal, made, maker, method, type Table } from "./calls.ts";
import { FD, OWN_FD } from "./select-table.ts";
import {
  ANYTHING,
  BOOLEAN,
  integer,
  KERNEL,
  kind,
  optional,
  options,
  PYTHON_TIMEOUT,
} from "./wrong-values.ts";

const { EVENT_ALL, EVENT_READ, SelectorBatch, Waker } = selectors;
const OPTIONS = optional(options({ kernel: KERNEL }));
const INDEX = integer(0, 1023);
const EVENTS = integer(0, EVENT_ALL, EVENT_READ);
const HOW = optional(
  options({
    trigger: optional(
      kind(
        () => "level",
        () => false,
      ),
    ),
    oneShot: optional(BOOLEAN),
    exclusive: optional(BOOLEAN),
  }),
);
/** An object that is looked up and is not registered. */
const SOUGHT = kind(
  () => FD.good(),
  () => false,
);

type Selector = selectors.Selector<unknown>;
type Made = new () => Selector;

function ofSelector(name: string, Made: Made): Record<string, Call> {
  const watching = (): Selector => {
    const selector = new Made();
    selector.register(FD.good() as number, EVENT_READ, undefined);
    return selector;
  };
  const on = (method: string, call: Call): [string, Call] => [`${name}.${method}`, call];
  return Object.fromEntries([
    on("close", method(watching, "close")),
    on("fileno", method(watching, "fileno")),
    on("getMap", method(watching, "getMap")),
    on("getKey", method(watching, "getKey", SOUGHT)),
    on("unregister", method(watching, "unregister", SOUGHT)),
    on(
      "register",
      method(() => new Made(), "register", FD, EVENTS, ANYTHING, HOW),
    ),
    on("modify", method(watching, "modify", SOUGHT, EVENTS, ANYTHING, HOW)),
    on("select", method(watching, "select", PYTHON_TIMEOUT)),
    on(
      "wait",
      method(
        watching,
        "wait",
        kind(
          () => new SelectorBatch(),
          () => false,
        ),
        PYTHON_TIMEOUT,
      ),
    ),
  ]);
}

const { DefaultSelector, EpollSelector, PollSelector, SelectSelector } = selectors;

export const SELECTORS: Table = {
  functions: {
    DefaultSelector: made(DefaultSelector, OPTIONS),
    EpollSelector: made(EpollSelector, OPTIONS),
    PollSelector: made(PollSelector, OPTIONS),
    SelectSelector: made(SelectSelector, OPTIONS),
    SelectorBatch: made(SelectorBatch, optional(integer(1, 65_536))),
    SysError: internal("polloi makes it"),
    Waker: made(Waker, optional(options({ fd: OWN_FD, kernel: KERNEL }))),
  },
  methods: {
    ...ofSelector("DefaultSelector", DefaultSelector),
    ...ofSelector("EpollSelector", EpollSelector),
    ...ofSelector("PollSelector", PollSelector),
    ...ofSelector("SelectSelector", SelectSelector),
    "SelectorBatch.keyAt": method(() => new SelectorBatch(), "keyAt", INDEX),
    "SelectorBatch.eventsAt": method(() => new SelectorBatch(), "eventsAt", INDEX),
    "SelectorBatch.take": internal("for Selector"),
    "Waker:fromFd": maker(Waker.fromFd, FD, OPTIONS),
    "Waker.close": method(() => new Waker(), "close"),
    "Waker.drain": method(() => new Waker(), "drain"),
    "Waker.fileno": method(() => new Waker(), "fileno"),
    "Waker.wake": method(() => new Waker(), "wake"),
  },
};
