import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { test } from "node:test";
import { currentContext, inCurrentContext, outsideContexts } from "./async-context.ts";

test("nothing is captured until an AsyncLocalStorage is used, and its methods are then as before", () => {
  const callback = (): void => {};
  assert.equal(currentContext(), undefined);
  assert.equal(inCurrentContext(callback), callback);
  const storage = new AsyncLocalStorage<number>();
  const noticing = storage.run;
  assert.equal(
    storage.run(7, (more) => (storage.getStore() ?? 0) + more, 1),
    8,
    "the first call has its arguments and its result",
  );
  assert.notEqual(storage.run, noticing);
  assert.equal(
    noticing.call(storage, 7, () => storage.getStore()),
    7,
    "a program may have kept the method",
  );
  const context = storage.run(9, currentContext);
  assert.equal(storage.getStore(), undefined);
  assert.equal(
    context?.(() => storage.getStore()),
    9,
  );
  assert.equal(
    storage.run(9, () => outsideContexts(() => storage.getStore(), undefined)),
    undefined,
  );
});
