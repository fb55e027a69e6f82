import process from "node:process";
import { uncaught } from "./run.ts";

/** Attributes errors that nobody catches to the run in which they happen, as the failure of a process. */
export function catchErrors(): void {
  const caught = (error: unknown): void => {
    if (uncaught(error)) return;
    console.error(error);
    process.exit(1);
  };
  process.on("uncaughtException", caught);
  process.on("unhandledRejection", caught);
}
