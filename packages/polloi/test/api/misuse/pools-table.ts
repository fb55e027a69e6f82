/** `polloi/workers` and `polloi/models`: every function and method, and its arguments. */
import { ModelServer } from "../../../src/pool/model-server.ts";
import * as models from "../../../src/pool/models.ts";
import { WorkerPool } from "../../../src/pool/worker-pool.ts";
import * as workers from "../../../src/pool/workers.ts";
import { type Call, call, refusing, type Table } from "./calls.ts";
import { ENGINE, NOTHING, TLS_SERVER, WHERE } from "./reactor-table.ts";
import {
  ANYTHING,
  BOOLEAN,
  CALLBACK,
  integer,
  KERNEL,
  type Kind,
  kind,
  MILLISECONDS,
  optional,
  options,
  required,
} from "./wrong-values.ts";

const MODULE = kind(
  () => "./echo.js",
  (value) => typeof value === "string" && value !== "",
);
/** An object that is checked after the module. */
const LATER: Kind = kind(
  () => ({}),
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
);
const LISTEN = options(WHERE, () => ({ host: "127.0.0.1", port: 0 }));
const AUTO = (most: number): Kind =>
  optional(
    kind(
      () => 1,
      (value) =>
        value === "auto" ||
        (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most),
    ),
  );

/** One of several names. */
const NAMED = (name: string): Kind =>
  kind(
    () => name,
    () => false,
  );

/** A method of an object that only a pool makes. A wrong argument is rejected before the object is used. */
function ofNone(prototype: object, name: string, ...args: Kind[]): Call {
  const run = ([...given]: readonly unknown[]): unknown => {
    const it = Object.create(prototype) as Record<string, (...args: unknown[]) => unknown>;
    return it[name]?.(...given);
  };
  return refusing({ args, run });
}

export const WORKERS: Table = {
  functions: {
    startWorkers: refusing(
      call(
        workers.startWorkers,
        required(
          {
            ...ENGINE,
            module: MODULE,
            workers: AUTO(1024),
            listen: optional(LISTEN),
            data: ANYTHING,
            exited: optional(CALLBACK),
            unresponsive: optional(CALLBACK),
            recovered: optional(CALLBACK),
            message: optional(CALLBACK),
            kernel: KERNEL,
          },
          () => ({ module: "./echo.js" }),
        ),
      ),
    ),
  },
  methods: {
    "WorkerPool.stop": ofNone(WorkerPool.prototype, "stop", MILLISECONDS),
  },
};

/** The models that have the option. */
function serving(base: object, keys: Readonly<Record<string, Kind>>): Call {
  const given = () => ({ module: "./echo.js", listen: { host: "127.0.0.1", port: 0 }, ...base });
  return refusing(call(models.serveModel, required(keys, given)));
}

const OF_MODELS = {
  model: NAMED("event"),
  module: MODULE,
  listen: LATER,
  data: ANYTHING,
  noDelay: optional(BOOLEAN),
  idleTimeoutMs: MILLISECONDS,
  tls: TLS_SERVER,
  execArgv: optional(
    kind(
      () => [],
      (value) => Array.isArray(value),
    ),
  ),
  observer: optional(LATER),
  message: optional(CALLBACK),
  exited: optional(CALLBACK),
  unresponsive: optional(CALLBACK),
  recovered: optional(CALLBACK),
  limitReached: optional(CALLBACK),
  acceptError: optional(CALLBACK),
  reactor: NOTHING,
  kernel: KERNEL,
};

export const MODELS: Table = {
  functions: {
    serveModel: serving({ model: "event" }, { ...OF_MODELS, ...ENGINE }),
  },
  methods: {
    "ModelServer.stop": ofNone(ModelServer.prototype, "stop", MILLISECONDS),
    "serveModel of prefork": serving(
      { model: "prefork" },
      { children: AUTO(1024), sharing: optional(NAMED("exclusive")) },
    ),
    "serveModel of process": serving(
      { model: "process" },
      { maxChildren: optional(integer(1, 10_000)), atLimit: optional(NAMED("wait")) },
    ),
  },
};
