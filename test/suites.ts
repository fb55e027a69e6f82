import { libcConformance } from "./conformance/libc.ts";
import { watchConformance } from "./conformance/watch.ts";
import type { Suite } from "./suite.ts";

/** Every conformance suite: what runs under each runtime. A new one is one line here. */
export const suites: readonly (() => Suite)[] = [libcConformance, watchConformance];
