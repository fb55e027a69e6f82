import assert from "node:assert/strict";
import { test } from "node:test";
import { LatencyHistogram } from "./latency.ts";

test("percentiles are exact to three digits, and the maximum is exact", () => {
  const latency = new LatencyHistogram();
  for (let i = 1; i <= 10_000; i++) latency.record(i / 100);
  const { count, mean, p50, p90, p99, max, ...figures } = latency.percentiles();
  const near = (value: number, expected: number): void => {
    assert.ok(Math.abs(value - expected) <= expected / 1000, `${value} is not ${expected}`);
  };
  assert.equal(count, 10_000);
  near(mean, 50.005);
  near(p50, 50);
  near(p90, 90);
  near(p99, 99);
  near(figures["p99.9"], 99.9);
  near(figures["p99.99"], 99.99);
  near(max, 100);
  assert.ok(max <= 100.1);
});

test("histograms can be added, encoded and reset without a loss", () => {
  const [one, other, both] = [
    new LatencyHistogram(),
    new LatencyHistogram(),
    new LatencyHistogram(),
  ];
  for (let i = 0; i < 500; i++) {
    one.record(i);
    other.record(i * i);
    both.record(i);
    both.record(i * i);
  }
  one.add(LatencyHistogram.decode(other.encode()));
  assert.deepEqual(one.percentiles(), both.percentiles());
  one.reset();
  assert.deepEqual(one.percentiles(), new LatencyHistogram().percentiles());
});

test("times out of range are recorded as the nearest limit", () => {
  const latency = new LatencyHistogram();
  for (const ms of [-1, 0, 1e-9, 1e12]) latency.record(ms);
  assert.equal(latency.count, 4);
  assert.ok(Math.abs(latency.at(100) - 3.6e6) <= 3600);
});
