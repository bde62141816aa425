import { expect, test } from "vitest";
import { readFleet } from "#hub/fleet/read.ts";
import {
  queryCluster,
  queryClusters,
  queryDrift,
  queryHistory,
  queryStatus,
  staleMs,
  type Known,
} from "#hub/view/query.ts";
import { View } from "#hub/view/view.ts";
import {
  ApplicationPhase,
  ApplicationStatus,
  DriftState,
  Event,
  Health,
  Hello,
} from "#proto/gen/plumbline/agent/v1/agent.ts";
import { clusterId } from "#proto/ids.ts";

const eu = clusterId("eu-1");
const us = clusterId("us-1");
const documents = `apiVersion: plumbline.dev/v1
kind: Environment
metadata: {name: prod}
spec: {clusters: {matchLabels: {env: prod}}, revisions: {follow: main}}
---
apiVersion: plumbline.dev/v1
kind: Application
metadata: {name: shop}
spec: {source: {path: shop}, namespace: shop, environments: [prod]}
${["eu-1", "us-1"].map((name) => `---\napiVersion: plumbline.dev/v1\nkind: Cluster\nmetadata: {name: ${name}, labels: {env: prod}}\n`).join("")}`;
const { fleet, problems } = readFleet([{ path: "fleet/all.yaml", bytes: Buffer.from(documents) }]);
const enrolled = (cluster: typeof eu) => ({
  cluster,
  spki: "",
  nkey: "",
  sealingKey: "",
  jti: "",
  acceptedBy: "",
  acceptedAtMs: 0,
  revoked: null,
});
const known = (view: View, more: Partial<Known> = {}): Known => ({
  view,
  fleet,
  fleetCommit: "c".repeat(40),
  problems,
  alarms: [],
  waiting: [],
  records: new Map([
    [eu, enrolled(eu)],
    [us, enrolled(us)],
  ]),
  nowMs: 1_000,
  ...more,
});
const healthy = {
  application: "shop",
  environment: "prod",
  revision: "a".repeat(40),
  health: Health.CURRENT,
  phase: ApplicationPhase.APPLIED,
  objects: 3,
  current: 3,
};
function heard(...clusters: (typeof eu)[]): View {
  const view = new View();
  for (const cluster of clusters) {
    view.hello(cluster, Hello.fromPartial({ kubernetesVersion: "v1.36.2" }), 1_000);
    view.status(cluster, ApplicationStatus.fromPartial(healthy), 1_000);
  }
  return view;
}
const drift = (state: DriftState, more: object = {}): Event =>
  Event.fromPartial({
    application: "shop",
    environment: "prod",
    atMs: 500n,
    body: {
      $case: "drift",
      value: {
        episode: "e1",
        object: { group: "apps", kind: "Deployment", namespace: "shop", name: "web" },
        state,
        tool: "kubectl-scale",
        fields: [{ path: "spec.replicas", before: "3", after: "9" }],
        seenAtMs: 400n,
        ...more,
      },
    },
  });

test("a cluster that nobody has heard from is Unknown, whatever it said before", () => {
  expect(problems).toEqual([]);
  const view = heard(eu, us);
  expect(queryStatus(known(view)).rows[0]).toMatchObject({
    clusters: 2,
    settled: 2,
    health: { Current: 2, Unknown: 0 },
  });
  const late = queryStatus(known(view, { nowMs: 1_001 + staleMs }));
  expect([late.heard, late.rows[0]!.settled, late.rows[0]!.health.Unknown]).toEqual([0, 0, 2]);
  view.gone(us);
  expect(queryStatus(known(view)).rows[0]).toMatchObject({ settled: 1, health: { Current: 1, Unknown: 1 } });
});

test("objects that are all well do not hide an apply that failed", () => {
  const view = heard(eu, us);
  view.status(
    us,
    ApplicationStatus.fromPartial({ ...healthy, phase: ApplicationPhase.FAILED, reason: "quota" }),
    1_000,
  );
  expect(queryStatus(known(view)).rows[0]).toMatchObject({
    settled: 1,
    health: { Current: 1, Failed: 1 },
    reasons: ["us-1: quota"],
  });
  view.status(us, ApplicationStatus.fromPartial({ ...healthy, phase: ApplicationPhase.APPLYING }), 1_000);
  expect(queryStatus(known(view)).rows[0]!.health).toMatchObject({ Current: 1, InProgress: 1 });
  expect(queryClusters(known(view)).map(({ cluster }) => cluster)).toEqual(["us-1", "eu-1"]);
});

test("a cluster says where it stands: declared, connected, silent, revoked or unknown to Git", () => {
  const view = heard(eu);
  const state = (name: string, more: Partial<Known> = {}): string | undefined =>
    queryCluster(known(view, more), name)?.state;
  expect([state("eu-1"), state("us-1"), state("nowhere")]).toEqual(["Connected", "Silent", undefined]);
  expect(state("eu-1", { records: new Map() })).toBe("Declared");
  const revoked = { ...enrolled(eu), revoked: { atMs: 1, because: "stolen" } };
  expect(state("eu-1", { records: new Map([[eu, revoked]]) })).toBe("Revoked");
  expect(state("eu-1", { fleet: readFleet([]).fleet })).toBe("Undeclared");
});

test("an episode is one row, which keeps its fields when it ends", () => {
  const view = heard(eu);
  view.event(eu, drift(DriftState.SEEN), 400);
  expect(queryDrift(known(view), 0)).toMatchObject([
    { state: "seen", object: "Deployment shop/web", healedInMs: null },
  ]);
  view.event(eu, drift(DriftState.HEALED, { healedAtMs: 438n }), 440);
  view.event(eu, drift(DriftState.ENDED, { fields: [], reason: "an exception covers it" }), 450);
  expect(queryDrift(known(view), 0)).toMatchObject([
    {
      state: "ended",
      fields: [{ path: "spec.replicas", before: "3", after: "9" }],
      reason: "an exception covers it",
      healedInMs: 38,
    },
  ]);
  expect(queryDrift(known(view), 401)).toEqual([]);
  expect(queryHistory(known(view), 2).map(({ text }) => text)).toEqual([
    "Deployment shop/web changed by kubectl-scale: ended: an exception covers it",
    "Deployment shop/web changed by kubectl-scale: healed",
  ]);
});

test("what could not be applied is shown by object, with when it is tried again", () => {
  const view = heard(eu);
  const object = { group: "", kind: "ConfigMap", namespace: "shop", name: "a" };
  const passing = { object, reason: "InternalError", message: "the webhook does not answer", nextTryAtMs: 4_000n };
  const final = { object, reason: "Invalid", message: "field is immutable", final: true };
  view.status(eu, ApplicationStatus.fromPartial({ ...healthy, problems: [passing, final] }), 1_000);
  expect(queryCluster(known(view), eu)?.running[0]?.problems).toEqual([
    { object: "ConfigMap shop/a", reason: "InternalError", message: passing.message, nextTryInMs: 3_000 },
    { object: "ConfigMap shop/a", reason: "Invalid", message: final.message, nextTryInMs: null },
  ]);
});

test("what a cluster repeats of the hub's words is said once, and not at all when the hub has newer ones", () => {
  const view = heard(eu);
  const reasons = (reason: string, more: Partial<Known> = {}): readonly string[] => {
    view.status(eu, ApplicationStatus.fromPartial({ ...healthy, reason }), 1_000);
    const { environment, application } = healthy;
    return queryStatus(known(view, more)).rows.find(
      (row) => row.environment === environment && row.application === application,
    )!.reasons;
  };
  const { environment, application } = healthy;
  const waiting = [{ environment, application, because: "1a2b3c4 does not render: a.yaml is too large" }] as never;
  const held = (): string => "branch main of shop is not known";
  expect(reasons("a.yaml is too large", { waiting })).toHaveLength(1);
  expect(reasons("branch main of shop is not known", { waiting, held })).toHaveLength(1);
  // Of its own, or when the hub says nothing else, it is heard.
  expect(reasons("the bundle cannot be fetched", { waiting, held })).toHaveLength(2);
  expect(reasons("branch main of shop is not known", { held })).toEqual([`${eu}: branch main of shop is not known`]);
});
