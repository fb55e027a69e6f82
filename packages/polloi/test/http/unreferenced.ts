/** Serves without keeping the process alive, answers one request of its own, and ends. */
import process from "node:process";
import { serve } from "../../src/http/index.ts";

const server = serve({ host: "127.0.0.1", port: 0, fetch: () => new Response("hello") });
server.unref();
const response = await fetch(`${server.url}`, { headers: { Connection: "close" } });
console.log(await response.text());
process.on("exit", () => console.log("ending"));
