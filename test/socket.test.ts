import { socketConformance } from "./conformance/socket.ts";
import { report } from "./suite.ts";

for (const suite of socketConformance()) report(suite);
