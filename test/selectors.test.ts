import {
  DefaultSelector,
  EpollSelector,
  PollSelector,
  SelectSelector,
} from "../src/selectors/index.ts";
import { EpollPoller } from "../src/selectors/pollers/epoll-poller.ts";
import { PollPoller } from "../src/selectors/pollers/poll-poller.ts";
import { SelectPoller } from "../src/selectors/pollers/select-poller.ts";
import { pollerConformance } from "./conformance/poller.ts";
import { selectorConformance } from "./conformance/selector.ts";
import { wakerConformance } from "./conformance/waker.ts";
import { report } from "./suite.ts";

report(pollerConformance("epoll", (kernel) => new EpollPoller(kernel)));
report(pollerConformance("poll", (kernel) => new PollPoller(kernel)));
report(pollerConformance("select", (kernel) => new SelectPoller(kernel)));

report(selectorConformance("EpollSelector", (options) => new EpollSelector(options)));
report(selectorConformance("PollSelector", (options) => new PollSelector(options)));
report(selectorConformance("SelectSelector", (options) => new SelectSelector(options)));
report(selectorConformance("DefaultSelector", (options) => new DefaultSelector(options)));
report(wakerConformance());
