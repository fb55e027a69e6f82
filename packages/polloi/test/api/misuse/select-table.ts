/** `polloi/select`: every function and method, and the kinds of its arguments. */
import * as select from "../../../src/select/index.ts";
import { Waker } from "../../../src/selectors/index.ts";
import { call, internal, made, maker, method, type Table } from "./calls.ts";
import {
  FLAGS,
  integer,
  KERNEL,
  type Kind,
  kind,
  like,
  optional,
  options,
  PYTHON_TIMEOUT,
  TIMEOUT,
  untried,
} from "./wrong-values.ts";

const { Epoll, EPOLLIN, Poll, POLLIN, SignalFd } = select;

/** An object that stays readable, so that no wait blocks, and is never closed. */
let ready: Waker | undefined;
function readable(): Waker {
  if (ready === undefined) {
    ready = new Waker();
    ready.wake();
  }
  return ready;
}

/** A descriptor to watch. -0 is the standard input, which may be any file. */
export const FD: Kind = kind(
  () => readable().fileno(),
  (value) => Object.is(value, -0),
);
/** The reason not to try -0: the standard input would be adopted, and closed. */
export const OWN_FD: Kind = untried(
  kind(
    () => undefined,
    (value) => value === undefined,
  ),
  -0,
);
const FDS = kind(
  () => [readable()],
  (value) => Array.isArray(value),
);

/** A list of signals that no other object receives. */
const SIGNALS = kind(
  () => ["SIGUSR2"],
  () => false,
);

const signalFd = (): select.SignalFd => new SignalFd(["SIGUSR2"]);

function watchingEpoll(): select.Epoll {
  const epoll = new Epoll();
  epoll.register(readable(), EPOLLIN);
  return epoll;
}

function watchingPoll(): select.Poll {
  const poll = new Poll();
  poll.register(readable(), POLLIN);
  return poll;
}

export const SELECT: Table = {
  functions: {
    Epoll: made(Epoll, optional(options({ fd: OWN_FD, kernel: KERNEL }))),
    Poll: made(Poll, optional(options({ kernel: KERNEL }))),
    SignalFd: made(SignalFd, SIGNALS, optional(options({ kernel: KERNEL }))),
    SysError: internal("polloi makes it"),
    select: call(
      select.select,
      FDS,
      like(FDS, () => []),
      like(FDS, () => []),
      TIMEOUT,
      KERNEL,
    ),
  },
  methods: {
    "Epoll:fromFd": maker(
      Epoll.fromFd,
      untried(
        kind(
          () => 2 ** 31 - 1,
          () => false,
        ),
        -0,
      ),
      optional(options({ kernel: KERNEL })),
    ),
    "Epoll.close": method(watchingEpoll, "close"),
    "Epoll.fileno": method(watchingEpoll, "fileno"),
    "Epoll.register": method(() => new Epoll(), "register", FD, optional(FLAGS)),
    "Epoll.modify": method(watchingEpoll, "modify", FD, FLAGS),
    "Epoll.unregister": method(watchingEpoll, "unregister", FD),
    "Epoll.poll": method(
      watchingEpoll,
      "poll",
      PYTHON_TIMEOUT,
      optional(integer(1, Number.MAX_SAFE_INTEGER)),
    ),
    "Poll.register": method(() => new Poll(), "register", FD, optional(integer(0, 0xffff))),
    "Poll.modify": method(watchingPoll, "modify", FD, integer(0, 0xffff)),
    "Poll.unregister": method(watchingPoll, "unregister", FD),
    "Poll.poll": method(watchingPoll, "poll", PYTHON_TIMEOUT),
    "SignalFd.fileno": method(signalFd, "fileno"),
    "SignalFd.read": method(signalFd, "read"),
    "SignalFd.close": method(signalFd, "close"),
  },
};
