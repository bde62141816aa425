import { expect, test } from "vitest";
import { View } from "#hub/view/view.ts";
import { ApplicationStatus, Event } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { clusterId } from "#proto/ids.ts";

const eu = clusterId("eu-1");
const status = (application: string): ApplicationStatus => ApplicationStatus.fromPartial({ application });
const notice = (text: string): Event => Event.fromPartial({ body: { $case: "notice", value: { text } } });

test("a full report drops what it does not name, and says what", () => {
  const view = new View();
  for (const name of ["shop", "gone"]) view.status(eu, status(name), 1);
  expect(view.keepOnly(eu, new Set(["shop"]))).toEqual(["gone"]);
  expect(view.statuses(eu).map(({ application }) => application)).toEqual(["shop"]);
});

test("a status that came before its cluster's Hello does not make the cluster heard", () => {
  const view = new View();
  view.status(eu, status("shop"), 1);
  expect(view.clusters.get(eu)).toMatchObject({ connected: false, heardAtMs: undefined });
});

test("who listens hears each event until it stops", () => {
  const view = new View();
  const heard: unknown[] = [];
  const stop = view.listen(({ event }) => heard.push(event.body?.value));
  view.event(eu, notice("one"), 1);
  stop();
  view.event(eu, notice("two"), 2);
  expect([heard, view.happenings().length]).toEqual([[{ text: "one" }], 2]);
});
