/** Recorded output of the benchmark's programs from short runs. The figures have no meaning. */
import { readFileSync } from "node:fs";
import { inRepository } from "../../bench/places.ts";

export function fixture(name: string): string {
  return readFileSync(inRepository(`test/bench/fixtures/${name}`), "utf8");
}

export function jsonFixture<T>(name: string): T {
  return JSON.parse(fixture(name)) as T;
}
