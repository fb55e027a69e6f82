/** The cases that cannot run on a simulated kernel, each with its reason. */
import type { Suite } from "../../../../test/support/suite.ts";

/** Cases that do not apply. */
interface NotApplicable {
  /** The titles of their suites. */
  readonly suite: RegExp;
  /** Their exact names. */
  readonly cases: readonly string[];
  /** The reason, which completes "not applicable: ". */
  readonly why: string;
}

const THREAD = "it starts a thread, whose kernel is not this one";
const PROCESS = "it starts another process, whose kernel is the real one";
const RUNTIME_KERNEL = "it opens the kernel of the runtime";
const RUNTIME_LOOP = "joint turns need the event loop of a runtime";
const RUNTIME_NETWORK = "it needs the runtime's own network";

const TABLE: readonly NotApplicable[] = [
  {
    suite: /^Reactor conformance/,
    cases: ["broadcast needs its option"],
    why: "the simulated network has no broadcast addresses",
  },
  {
    suite: /^libc on /,
    cases: ["a worker opens its own kernel, and neither thread sees the errno of the other"],
    why: THREAD,
  },
  {
    suite: /^libc on /,
    cases: ["a thread that ends can unmap all of its arenas, once"],
    why: RUNTIME_KERNEL,
  },
  {
    suite: /^Waker on /,
    cases: ["ends a wait without a timeout from another thread"],
    why: THREAD,
  },
  {
    suite: /^watch\(\) on /,
    cases: [
      "a watch keeps the process alive until it is stopped",
      "after unref the process ends while the watch is active, asleep or busy",
      "after unref and ref the process stays alive",
      "exit ends the process at once while a watch sleeps",
      "an exception of a callback ends the process with a message",
      "an exception of a callback can be handled as an uncaught exception, and the watch continues",
    ],
    why: PROCESS,
  },
  {
    suite: /^watch\(\) on /,
    cases: [
      "a worker thread can watch",
      "a worker thread may be terminated while it starts and stops watches",
    ],
    why: THREAD,
  },
  {
    suite: /^watch\(\) on /,
    cases: [
      "joint turns follow a call that found something, until they find nothing for a while",
      "the runtime's timers, immediates and sockets are served between joint turns",
      "an immediate without a reference runs although each joint turn finds something",
      "an owner that declines joint turns is not asked again, and its watch continues",
      "the time that joint turns wait counts as idle time of the runtime's loop",
      "of two watches with joint turns one has them, and both are served; they end with stop and unref",
      "two copies of the library watch in one thread, and one of them has joint turns",
    ],
    why: RUNTIME_LOOP,
  },
  {
    suite: /^proxyKernel$/,
    cases: ["a call replaced in place is replaced for all code that uses the kernel"],
    why: RUNTIME_KERNEL,
  },
  {
    suite: /^Reactor conformance: .*, hosted/,
    cases: [
      "the process exits when everything is closed and every timer has fired; a cancelled timer does not keep it",
      "the process stays alive while something is open",
      "an exception of a handler without an error handler fails the process",
      "a failed connect without an error handler fails the process",
      "timers, promises, fetch and signal handlers of the runtime work beside a reactor",
      "a server that starts without free descriptors serves every client later",
    ],
    why: PROCESS,
  },
  {
    suite: /^Reactor conformance: .*, hosted/,
    cases: ["fetch and node:net make progress on a thread with a connection that is always busy"],
    why: RUNTIME_NETWORK,
  },
  {
    suite: /^Reactor conformance: (io_uring|epoll, edge-triggered), hosted/,
    cases: [
      "a worker thread that hosts a server, a client and a selector may be terminated at any time",
    ],
    why: THREAD,
  },
  {
    suite: /^Reactor conformance: .*, blocking/,
    cases: ["run() in a worker thread serves, and returns when nothing is open"],
    why: THREAD,
  },
];

/** Skips the cases of a suite that do not apply. */
export function whereItApplies({ title, cases }: Suite): Suite {
  const entries = TABLE.filter(({ suite }) => suite.test(title));
  return {
    title,
    cases: cases.map((each) => {
      const entry = entries.find((one) => one.cases.includes(each.name));
      return entry === undefined || each.skip !== undefined
        ? each
        : { ...each, skip: `not applicable: ${entry.why}` };
    }),
  };
}

/** The lines of the table that name a case which no suite has: `title pattern: name`. */
export function unknownIn(suites: readonly Suite[]): string[] {
  return TABLE.flatMap(({ suite, cases }) => {
    const matching = suites.filter(({ title }) => suite.test(title));
    return cases
      .filter((name) => !matching.some((one) => one.cases.some((each) => each.name === name)))
      .map((name) => `${suite}: ${name}`);
  });
}
