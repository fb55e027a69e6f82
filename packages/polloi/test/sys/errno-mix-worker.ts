import { parentPort, workerData } from "node:worker_threads";
import { kernel } from "../../src/sys/open.ts";
import { countErrnoMistakes } from "./errno-mix.ts";

parentPort?.postMessage(await countErrnoMistakes(kernel, workerData as number));
