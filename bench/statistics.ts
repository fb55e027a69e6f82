/** What the benchmark and the lab take from their rounds. */
export { pairedRatio, type Spread, spreadOf } from "../src/lab/spread.ts";
