/**
 * A loop that blocks its thread until a signal is received, and cleans up. The first argument selects the wait.
 *
 * With `default`, the signal is restored first, so that it ends the process.
 */
import process from "node:process";
import { Reactor } from "../../src/index.ts";
import { EPOLLIN, Epoll, POLLIN, Poll, SignalFd, select } from "../../src/select/index.ts";
import { DefaultSelector, EVENT_READ } from "../../src/selectors/index.ts";
import { createServer } from "../../src/socket/index.ts";

function wait(how: string | undefined, signals: SignalFd): void {
  switch (how) {
    case "select":
      select([signals], [], []);
      return;
    case "poll": {
      const poll = new Poll();
      poll.register(signals, POLLIN);
      poll.poll();
      return;
    }
    case "epoll": {
      using epoll = new Epoll();
      epoll.register(signals, EPOLLIN);
      epoll.poll();
      return;
    }
    case "selector": {
      using selector = new DefaultSelector();
      selector.register(signals, EVENT_READ);
      selector.select();
      return;
    }
    case "run": {
      using reactor = new Reactor();
      reactor.watch(signals, EVENT_READ, () => reactor.stop());
      reactor.run();
      return;
    }
    case "busy":
      // Not waiting: the signal is pending for the next wait.
      for (let ready = 0; ready === 0; ) ready = select([signals], [], [], 0)[0].length;
      return;
  }
  throw new Error(`wait in ${how}?`);
}

const how = process.argv[2];
// A listener of the runtime, which must neither be called nor interfere.
process.on("SIGTERM", () => console.log("never"));
using server = createServer({ host: "127.0.0.1", port: 0 });
using signals = new SignalFd(["SIGINT", "SIGTERM"]);
if (how === "default") {
  signals.close();
  console.log("ready");
  for (;;) select([server], [], []);
}
console.log("ready");
try {
  wait(how, signals);
  console.log(signals.read());
} finally {
  console.log("cleaned up");
  signals.close();
}
process.exit();
