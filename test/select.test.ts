import { epollConformance, pollConformance, selectConformance } from "./conformance/select.ts";
import { report } from "./suite.ts";

report(selectConformance());
report(pollConformance());
report(epollConformance());
