/** Cases of the io_uring engine beyond those of every engine: full queues and exhausted buffers. */

import type { Suite } from "../../../../../test/support/suite.ts";
import { whyNoUring } from "../../../src/engine/try-uring.ts";
import type { Kernel } from "../../../src/sys/kernel.ts";
import { kernel } from "../../../src/sys/open.ts";
import { assertEngineBalance } from "../../support/balance.ts";
import { accepts } from "./accepts.ts";
import { exhaustion } from "./exhaustion.ts";
import { making } from "./making.ts";
import { receives } from "./receives.ts";
import { UringRig } from "./rig.ts";
import { sends } from "./sends.ts";

/** The cases of the io_uring engine alone, over `from`. */
export function uringEngineConformance(what: string, from: Kernel = kernel): Suite {
  const skip = whyNoUring(from);
  const bodies = { ...making, ...accepts, ...receives, ...sends, ...exhaustion };
  return {
    title: `Engine on io_uring: ${what} on ${kernel.runtime}`,
    cases: Object.entries(bodies).map(([name, body]) => ({
      name,
      skip,
      run: () => {
        using rig = new UringRig(from);
        body(rig);
        assertEngineBalance(rig.engine);
      },
    })),
  };
}
