/** A process that hosts a reactor. The arguments select a scenario; its output and exit are the result. */
import { createServer } from "node:http";
import { connect as netConnect } from "node:net";
import process from "node:process";
import { type EngineChoice, Reactor, type Trigger } from "../../src/index.ts";

const [what, engine, trigger] = process.argv.slice(2) as [string, EngineChoice, Trigger?];
const reactor = new Reactor({ engine, trigger });
const here = { host: "127.0.0.1", port: 0 };

switch (what) {
  case "closed": {
    const listener = reactor.listen({
      ...here,
      data: (connection, bytes) => void connection.write(bytes),
      close: () => listener.close(),
    });
    reactor.connect({
      host: "127.0.0.1",
      port: listener.port,
      open: (connection) => connection.end("x"),
      close: () => {
        console.log("closed");
        // Soon nothing else keeps the process alive.
        reactor.setTimer(50, () => console.log("fired"));
      },
    });
    reactor.setTimer(60_000, () => console.log("never")).cancel();
    break;
  }
  case "serves": {
    const listener = reactor.listen({
      ...here,
      data: (connection, bytes) => void connection.write(bytes),
    });
    console.log(listener.port);
    break;
  }
  case "open":
    reactor.listen(here);
    console.log("open");
    break;
  case "throws": {
    const listener = reactor.listen({
      ...here,
      data: () => {
        throw new Error("nobody catches this");
      },
    });
    netConnect(listener.port, "127.0.0.1").end("x");
    break;
  }
  case "refused":
    reactor.connect({ host: "127.0.0.1", port: 1 });
    break;
  case "neighbours": {
    const seen = new Set<string>();
    let finished = false;
    const saw = (name: string) => {
      seen.add(name);
      if (seen.size < 5 || finished) return;
      finished = true;
      console.log([...seen].sort().join());
      listener.close();
      web.close();
      clearInterval(interval);
      process.off("SIGUSR2", onSignal);
    };
    const onSignal = () => saw("signal");
    process.on("SIGUSR2", onSignal);
    const listener = reactor.listen({
      ...here,
      data: (connection, bytes) => {
        connection.end(bytes);
        saw("echo");
      },
    });
    const interval = setInterval(() => saw("interval"), 5);
    Promise.resolve().then(() => saw("promise"));
    const web = createServer((_request, response) => {
      response.setHeader("connection", "close").end("web");
    });
    web.listen(0, "127.0.0.1", async () => {
      const { port } = web.address() as { port: number };
      const response = await fetch(`http://127.0.0.1:${port}/`);
      saw((await response.text()) === "web" ? "fetch" : "not fetch");
    });
    reactor.connect({ ...here, port: listener.port }).end("x");
    process.kill(process.pid, "SIGUSR2");
    break;
  }
}
