import { reactorConformance, VARIANTS } from "./conformance/reactor.ts";
import { report } from "./suite.ts";

for (const variant of VARIANTS) report(reactorConformance(variant));
