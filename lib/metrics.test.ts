import { expect, test } from "vitest";
import { openMetrics } from "./metrics.ts";

test("instruments are read as Prometheus reads them, with what every process tells of itself", async () => {
  await using metrics = await openMetrics("test", undefined);
  const pushed = metrics.meter.createCounter("plumbline_things", { description: "Things" });
  pushed.add(2, { kind: "good" });
  const text = await metrics.text();
  expect(text).toContain('plumbline_things_total{kind="good"} 2');
  expect(text).toMatch(/plumbline_event_loop_delay(_seconds)?\{quantile="0.99"\} [\d.e-]+/);
  expect(text).toMatch(/plumbline_resident_memory(_bytes)? \d+/);
});
