import type { Command } from "commander";
import type { Destination, SecurityFlags } from "./connect.ts";
import { type Address, address, portToConnect, unixSuggestion } from "./flags.ts";

const EXAMPLES = `
Examples:
  polloi connect localhost 7788
  printf 'hello' | polloi connect 127.0.0.1:7788
  polloi connect '[::1]:7788' < request.bin > answer.bin
  polloi connect tcp://localhost:7788
  polloi connect /run/app.sock
  polloi connect --tls example.org 443

When the server has ended its half, input is still sent, until it ends or is silent for 5 seconds.`;

/** Adds `polloi connect`. */
export function addConnect(program: Command, exitWith: (code: number) => void): void {
  program
    .command("connect")
    .summary("connect standard input and output to a server")
    .description(
      "Connects, sends standard input, and prints the answer. At the end of input it ends its half of the connection and prints the rest of the answer.",
    )
    .argument(
      "<host>",
      "HOST, HOST:PORT or tcp://HOST:PORT; or the path of a unix socket (/run/x, unix:x, @abstract)",
      address,
    )
    .argument("[port]", "port, when the host has none; not for a unix socket", portToConnect)
    .option("--tls", "use TLS, and verify the certificate of the server")
    .option("--insecure", "with --tls: accept any certificate")
    .addHelpText("after", EXAMPLES)
    .action(
      async (at: Address, port: number | undefined, flags: SecurityFlags, command: Command) => {
        const destination = destinationFrom(at, port, command);
        if (flags.insecure && !flags.tls) command.error("error: --insecure is for --tls");
        const { connectTo } = await import("./connect.ts");
        exitWith(await connectTo(destination, flags));
      },
    );
}

/** Combines the two arguments. */
function destinationFrom(at: Address, port: number | undefined, command: Command): Destination {
  const text = command.args[0];
  if (at.path !== undefined) {
    if (port !== undefined) {
      command.error(`error: '${text}' is a unix socket, and has no port: leave out ${port}`);
    }
    return { path: at.path };
  }
  if (at.port !== undefined && port !== undefined) {
    command.error(`error: '${text}' has a port already: leave out ${port}`);
  }
  const given = at.port ?? port;
  if (given === undefined) {
    const suggestion = unixSuggestion(at.host);
    command.error(`error: missing port: give one from 1 to 65535 after '${text}'${suggestion}`);
  }
  if (given === 0) {
    command.error(`error: '${text}' has port 0: a port to connect to is from 1 to 65535`);
  }
  return { host: at.host, port: given };
}
