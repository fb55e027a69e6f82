/** The conformance suites of the library that apply to a simulated kernel. */
import type { Suite } from "../../../../test/support/suite.ts";

/** Makes a suite, or several. It is called after a kernel was provided, and may fail. */
interface SuiteMaker {
  readonly name: string;
  readonly make: () => Promise<Suite | readonly Suite[]>;
}

/** Where the suites of the library are. The imports are dynamic because the kernel must be provided first. */
const MAKERS: readonly SuiteMaker[] = [
  {
    name: "libc",
    make: async () => (await import("../../../polloi/test/sys/libc.ts")).libcConformance(),
  },
  {
    name: "kernel proxy",
    make: async () =>
      (await import("../../../polloi/test/sys/kernel-proxy.ts")).kernelProxyConformance(),
  },
  {
    name: "watch",
    make: async () => (await import("../../../polloi/test/sys/watch.ts")).watchConformance(),
  },
  {
    name: "select",
    make: async () => (await import("../../../polloi/test/select/select.ts")).selectConformance(),
  },
  {
    name: "poll",
    make: async () => (await import("../../../polloi/test/select/select.ts")).pollConformance(),
  },
  {
    name: "epoll",
    make: async () => (await import("../../../polloi/test/select/select.ts")).epollConformance(),
  },
  { name: "pollers", make: pollers },
  { name: "selectors", make: selectors },
  {
    name: "waker",
    make: async () => (await import("../../../polloi/test/selectors/waker.ts")).wakerConformance(),
  },
  {
    name: "sockets",
    make: async () => (await import("../../../polloi/test/socket/socket.ts")).socketConformance(),
  },
  {
    name: "uring",
    make: async () => (await import("../../../polloi/test/uring/uring.ts")).uringConformance(),
  },
  {
    name: "provided buffers",
    make: async () =>
      (await import("../../../polloi/test/uring/provided-buffers.ts")).providedBuffersSuite(),
  },
  {
    name: "ring reader",
    make: async () => (await import("../../../polloi/test/uring/ring-reader.ts")).ringReaderSuite(),
  },
  ...(["io_uring", "epoll level", "epoll edge", "poll level", "select level"] as const).flatMap(
    (name): SuiteMaker[] => [
      { name: `engine ${name}`, make: () => engine(name) },
      { name: `reactor ${name} hosted`, make: () => reactor(name, "hosted") },
      { name: `reactor ${name} blocking`, make: () => reactor(name, "blocking") },
    ],
  ),
  { name: "uring engine", make: () => uringEngine(false) },
  { name: "uring engine of an older kernel", make: () => uringEngine(true) },
];

/** The names of all suites, for {@link suitesOf}. */
export const SUITE_NAMES: readonly string[] = MAKERS.map(({ name }) => name);

/** Whether a suite is one of the reactor, which takes most of the time. */
export function isOfReactor(name: string): boolean {
  return name.startsWith("reactor");
}

/** The suites of a name. One that cannot be made is a case that fails. */
export async function suitesOf(name: string): Promise<readonly Suite[]> {
  const maker = MAKERS.find((each) => each.name === name);
  if (maker === undefined) throw new RangeError(`There is no suite ${name}`);
  try {
    const made = await maker.make();
    return "cases" in made ? [made] : made;
  } catch (error) {
    const fail = (): never => {
      throw error;
    };
    return [{ title: name, cases: [{ name: "the suite is made", run: fail }] }];
  }
}

async function pollers(): Promise<readonly Suite[]> {
  const { pollerConformance } = await import("../../../polloi/test/selectors/poller.ts");
  const { openPoller } = await import("../../../polloi/src/selectors/open-poller.ts");
  return (["epoll", "poll", "select"] as const).map((name) =>
    pollerConformance(name, (kernel) => openPoller(name, kernel)),
  );
}

async function selectors(): Promise<readonly Suite[]> {
  const { selectorConformance } = await import("../../../polloi/test/selectors/selector.ts");
  const { DefaultSelector, EpollSelector, PollSelector, SelectSelector } = await import(
    "../../../polloi/src/selectors/index.ts"
  );
  return [
    selectorConformance("EpollSelector", (options) => new EpollSelector(options)),
    selectorConformance("PollSelector", (options) => new PollSelector(options)),
    selectorConformance("SelectSelector", (options) => new SelectSelector(options)),
    selectorConformance("DefaultSelector", (options) => new DefaultSelector(options)),
  ];
}

type EngineLabel = "io_uring" | "epoll level" | "epoll edge" | "poll level" | "select level";

/** The engine of a label, and its trigger. */
async function choiceOf(label: EngineLabel) {
  const { ENGINES } = await import("../../../polloi/test/support/engines.ts");
  const found = ENGINES.find(
    ([engine, trigger]) => label === (trigger === undefined ? engine : `${engine} ${trigger}`),
  );
  if (found === undefined) throw new RangeError(`There is no engine ${label}`);
  return { engine: found[0], trigger: found[1] };
}

async function engine(label: EngineLabel): Promise<Suite> {
  const choice = await choiceOf(label);
  const { engineConformance } = await import("../../../polloi/test/engine/engine.ts");
  const { makeEngine } = await import("../../../polloi/src/engine/choose.ts");
  return engineConformance(label, (kernel, completions) => makeEngine(kernel, choice, completions));
}

async function uringEngine(isOlder: boolean): Promise<Suite> {
  const { kernel } = await import("../../../polloi/src/sys/open.ts");
  const { uringEngineConformance } = await import(
    "../../../polloi/test/engine/uring/uring-engine.ts"
  );
  const { withoutIncrementalBuffers, withoutReceiveLimits } = await import(
    "../../../polloi/test/support/older-kernels.ts"
  );
  return isOlder
    ? uringEngineConformance(
        "an older kernel, with buffers of one receive and receives without a limit",
        withoutReceiveLimits(withoutIncrementalBuffers(kernel)),
      )
    : uringEngineConformance("buffers that are used up bit by bit");
}

async function reactor(label: EngineLabel, mode: "hosted" | "blocking"): Promise<Suite> {
  const { engine, trigger } = await choiceOf(label);
  const { reactorConformance } = await import("../../../polloi/test/reactor/reactor.ts");
  return reactorConformance({ engine, mode, ...(trigger === undefined ? {} : { trigger }) });
}
