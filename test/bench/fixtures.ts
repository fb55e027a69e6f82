/** What the bench's programs really printed, short runs each; the figures themselves mean nothing. */
import { readFileSync } from "node:fs";
import { inRepository } from "../../bench/places.ts";

export function fixture(name: string): string {
  return readFileSync(inRepository(`test/bench/fixtures/${name}`), "utf8");
}

export function jsonFixture<T>(name: string): T {
  return JSON.parse(fixture(name)) as T;
}
