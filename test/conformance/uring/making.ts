import assert from "node:assert/strict";
import { UringEngine } from "../../../src/engine/uring-engine.ts";
import { assertGivesBack } from "../../arenas.ts";
import { Told, type UringRig } from "./rig.ts";

export const making: Readonly<Record<string, (rig: UringRig) => void>> = {
  "one that finds no memory, at whatever step, gives back all that it had": ({ kernel }) => {
    const needed = assertGivesBack(kernel, (scarce) => {
      const engine = new UringEngine(scarce, new Told(), { entries: 8 });
      return () => engine.dispose();
    });
    // Both parts of the ring and its arguments, the buffers and the ring that they are in.
    assert.equal(needed, 5);
  },
};
