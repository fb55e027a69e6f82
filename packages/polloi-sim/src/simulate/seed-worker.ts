/** A thread that runs a range of seeds. */
import { parentPort, workerData } from "node:worker_threads";
import { catchErrors } from "./uncaught.ts";
import { perform, type Work } from "./work.ts";

catchErrors();
await perform(workerData as Work, (progress) => parentPort?.postMessage(progress));
