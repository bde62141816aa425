import { expect, test } from "vitest";
import { heardClusters } from "#hub/view/heard.ts";
import { staleMs } from "#hub/view/query.ts";
import { View } from "#hub/view/view.ts";
import { ApplicationStatus, Hello } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { clusterId } from "#proto/ids.ts";

const [first, second, gone] = ["eu-1", "eu-2", "eu-3"].map(clusterId) as [
  ReturnType<typeof clusterId>,
  ReturnType<typeof clusterId>,
  ReturnType<typeof clusterId>,
];
const joined = [first, second, gone];
const startMs = 1_000_000;

/** A hub that has just started: one agent is back, one came and went, of one there is only what it said to the hub before. */
function opened(): View {
  const view = new View();
  view.status(second, ApplicationStatus.create(), startMs);
  for (const cluster of [first, gone]) view.hello(cluster, Hello.create(), startMs);
  view.gone(gone);
  return view;
}
const heardAfter = (view: View, ms: number): string[] => [...heardClusters(view, joined, startMs + ms, ms)];

test("a gate waits for a cluster that a hub has not heard since its start, for as long as it may be coming", () => {
  const view = opened();
  expect(heardAfter(view, 0)).toEqual([first, second]);
  expect(heardAfter(view, staleMs - 1)).toEqual([first, second]);
  view.heard(first, startMs + staleMs);
  expect(heardAfter(view, staleMs)).toEqual([first]);
});

test("one that has come counts like any other from then on", () => {
  const view = opened();
  view.hello(second, Hello.create(), startMs + 1_000);
  view.gone(second);
  expect(heardAfter(view, 1_000)).toEqual([first]);
});
