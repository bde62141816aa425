import { expect, test } from "vitest";
import { View } from "#hub/view/view.ts";
import { openMetrics } from "#lib/metrics.ts";
import { ApplicationPhase, ApplicationStatus, Health, Hello } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { clusterId } from "#proto/ids.ts";
import { observeHub } from "./metrics.ts";

test("the fleet is counted as it is when it is read, and a silent cluster is Unknown", async () => {
  const view = new View();
  let now = 1_000;
  const status = ApplicationStatus.fromPartial({
    application: "shop",
    health: Health.CURRENT,
    phase: ApplicationPhase.APPLIED,
    drifted: 2,
  });
  for (const name of ["eu-1", "eu-2"]) {
    view.hello(clusterId(name), Hello.create(), name === "eu-1" ? 1_000 : 100_000);
    view.status(clusterId(name), status, 1_000);
  }
  await using metrics = await openMetrics("test", undefined);
  const observed = { view, sessions: () => 2, waiting: () => 1, problems: () => 0, nowMs: () => now };
  observeHub(metrics.meter, observed);
  expect(await metrics.text()).toContain('plumbline_applications{health="Current"} 2');
  now = 100_000;
  const later = await metrics.text();
  expect(later).toContain('plumbline_applications{health="Unknown"} 1');
  expect(later).toContain('plumbline_applications{health="Failed"} 0');
  expect(later).toContain('plumbline_application_phases{phase="Applied"} 2');
  expect(later).toContain('plumbline_clusters{state="silent"} 1');
  expect(later).toMatch(/plumbline_drifted_objects 2\b/);
});
