/** `polloi-tools/load`: every function, and its arguments. */
import type { Suite } from "../../../../test/support/suite.ts";
import { call, misuseSuite, type Table } from "../../../polloi/test/api/misuse/calls.ts";
import { ENGINE, NOTHING } from "../../../polloi/test/api/misuse/reactor-table.ts";
import {
  integer,
  KERNEL,
  type Kind,
  kind,
  MILLISECONDS,
  optional,
  options,
  required,
} from "../../../polloi/test/api/misuse/wrong-values.ts";
import * as loading from "../../src/load/index.ts";

const NAMED = (name: string): Kind =>
  kind(
    () => name,
    () => false,
  );
const COUNT = (most: number): Kind => optional(integer(1, most));

const LOAD: Table = {
  functions: {
    isClean: call(
      loading.isClean,
      kind(
        () => ({ errors: {}, mismatches: 0, lost: 0, unsent: 0 }),
        (value) => typeof value === "object" && value !== null && !Array.isArray(value),
      ),
    ),
    load: {
      args: [
        required(
          {
            ...ENGINE,
            target: NAMED("tcp://127.0.0.1:1"),
            connections: COUNT(10_000_000),
            durationMs: MILLISECONDS,
            messages: NOTHING,
            sizeBytes: COUNT(1 << 30),
            data: NOTHING,
            rate: optional(
              kind(
                () => 1,
                (value) => typeof value === "number" && value > 0 && Number.isFinite(value),
              ),
            ),
            rampMs: MILLISECONDS,
            parts: COUNT(64),
            pipeline: COUNT(65_536),
            thinkMs: MILLISECONDS,
            from: optional(
              kind(
                () => [],
                (value) => Array.isArray(value),
              ),
            ),
            timeoutMs: optional(
              kind(
                () => 1000,
                (value) => typeof value === "number" && value > 0 && value <= 0x7fff_ffff,
              ),
            ),
            workers: NOTHING,
          },
          () => ({ target: "tcp://127.0.0.1:1", connections: 1, durationMs: 1 }),
        ),
        optional(options({ kernel: KERNEL })),
      ],
      run: (given) => {
        const run = loading.load(...(given as Parameters<typeof loading.load>));
        run.finished.catch(() => {});
        run.snapshot();
        run.abort();
        return run.finished.then(
          () => undefined,
          () => undefined,
        );
      },
    },
  },
  methods: {},
};

export function loadMisuse(): Suite {
  return misuseSuite("polloi-tools/load", loading, LOAD);
}
