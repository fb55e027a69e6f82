import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  POLLPRI,
  POLLRDHUP,
} from "../select/constants.ts";
import {
  EVENT_ALL,
  EVENT_ERROR,
  EVENT_HANGUP,
  EVENT_PEER_CLOSED,
  EVENT_PRIORITY,
  EVENT_READ,
  EVENT_WRITE,
  eventsOf,
  maskOf,
} from "./events.ts";

const PAIRS = [
  [EVENT_READ, POLLIN],
  [EVENT_WRITE, POLLOUT],
  [EVENT_PRIORITY, POLLPRI],
  [EVENT_PEER_CLOSED, POLLRDHUP],
] as const;

const REPORTED = [
  ...PAIRS,
  [EVENT_ERROR, POLLERR],
  [EVENT_ERROR, POLLNVAL],
  [EVENT_HANGUP, POLLHUP],
] as const;

test("every set of events becomes the mask of its events, and back", () => {
  for (let events = 0; events <= EVENT_ALL; events++) {
    const mask = PAIRS.reduce((all, [event, bit]) => ((events & event) !== 0 ? all | bit : all), 0);
    assert.equal(maskOf(events), mask);
    assert.equal(eventsOf(mask), events);
  }
});

test("every mask that is reported becomes its events, whatever other bits it has", () => {
  fc.assert(
    fc.property(fc.nat(0xffff), (mask) => {
      const events = REPORTED.reduce(
        (all, [event, bit]) => ((mask & bit) !== 0 ? all | event : all),
        0,
      );
      assert.equal(eventsOf(mask), events);
    }),
  );
});
