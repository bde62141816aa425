import { describe, expect, test } from "vitest";
import { readFleet } from "#hub/fleet/read.ts";
import { View } from "#hub/view/view.ts";
import type { DesiredState, Entry } from "#proto/desired-state.ts";
import {
  ApplicationPhase,
  ApplicationStatus,
  DriftKind,
  DriftState,
  Event,
  Health,
  Hello,
  type Drift,
} from "#proto/gen/plumbline/agent/v1/agent.ts";
import { applicationName, blobAddress, bundleDigest, clusterId, environmentName, revision } from "#proto/ids.ts";
import { plainDelivery } from "#test/harness/documents.ts";
import type { Question, Told, WhyKnown } from "./facts.ts";
import { why, type Why } from "./why.ts";

const now = Date.parse("2030-01-01T12:00:00Z");
const minute = 60_000;
const eu = clusterId("eu-7");
const us = clusterId("us-2");
const cluster = (name: string, env: string): string => `---
apiVersion: plumbline.dev/v1
kind: Cluster
metadata: {name: ${name}, labels: {env: ${env}}}
`;
const fleetText = (
  followed = "{promotedFrom: [staging]}",
  promotion = "4f1c9ab".padEnd(40, "0"),
): string => `apiVersion: plumbline.dev/v1
kind: Environment
metadata: {name: staging}
spec: {clusters: {matchLabels: {env: staging}}, revisions: {follow: main}}
---
apiVersion: plumbline.dev/v1
kind: Environment
metadata: {name: prod}
spec: {clusters: {matchLabels: {env: prod}}, revisions: ${followed}}
---
apiVersion: plumbline.dev/v1
kind: Application
metadata: {name: api}
spec: {source: {path: api}, namespace: shop, environments: [staging, prod]}
${
  promotion === ""
    ? ""
    : `---
apiVersion: plumbline.dev/v1
kind: Promotion
metadata: {name: api}
spec: {environment: prod, application: api, revision: "${promotion}"}
`
}${cluster("eu-7", "prod")}${cluster("us-2", "prod")}${cluster("lab-1", "lab")}`;

const asked = revision("4f1c9ab".padEnd(40, "0"));
const before = revision("8d02e17".padEnd(40, "0"));
const digest = bundleDigest("9be1".padEnd(64, "0"));
const key = { application: applicationName("api"), environment: environmentName("prod") };
const run: Entry & { kind: "run" } = {
  ...key,
  kind: "run",
  revision: asked,
  digest,
  address: blobAddress("a".repeat(64)),
  slices: 1,
  objects: 3,
  sealedKey: new Uint8Array(),
  delivery: plainDelivery,
};
const web = { group: "apps", kind: "Deployment", namespace: "shop", name: "web" };
const settings = { group: "", kind: "ConfigMap", namespace: "shop", name: "settings" };
const status = (more: Partial<ApplicationStatus> = {}): ApplicationStatus =>
  ApplicationStatus.fromPartial({
    application: "api",
    environment: "prod",
    revision: asked,
    digest: Buffer.from(digest, "hex"),
    health: Health.CURRENT,
    phase: ApplicationPhase.APPLIED,
    objects: 3,
    current: 3,
    appliedAtMs: BigInt(now - 2 * minute),
    sinceMs: BigInt(now - minute),
    ...more,
  });
const drift = (more: Partial<Drift>): Event =>
  Event.fromPartial({
    application: "api",
    environment: "prod",
    body: {
      $case: "drift",
      value: {
        episode: "e1",
        object: settings,
        kind: DriftKind.CHANGED,
        state: DriftState.SEEN,
        fields: [{ path: "data.LOG_LEVEL", before: "info", after: "debug" }],
        tool: "kubectl-edit",
        changedAtMs: BigInt(now - 4 * minute),
        seenAtMs: BigInt(now - 4 * minute),
        ...more,
      },
    },
  });

type Given = {
  readonly question?: Partial<Question>;
  readonly fleet?: string;
  readonly entry?: Entry | null;
  readonly status?: ApplicationStatus;
  readonly events?: readonly Event[];
  readonly heardAgoMs?: number;
  readonly waiting?: readonly string[];
  readonly revoked?: string;
  readonly isUnenrolled?: boolean;
};

function whyOf(given: Given): Promise<Why> {
  const { fleet, problems } = readFleet([{ path: "fleet/all.yaml", bytes: Buffer.from(given.fleet ?? fleetText()) }]);
  const isBroken = problems.filter(({ message }) => !message.includes("prod follows"));
  expect(isBroken).toEqual([]);
  const view = new View();
  if (given.heardAgoMs !== Number.POSITIVE_INFINITY)
    view.hello(eu, Hello.fromPartial({}), now - (given.heardAgoMs ?? 1_000));
  if (given.status !== undefined) view.status(eu, given.status, now - (given.heardAgoMs ?? 1_000));
  for (const event of given.events ?? []) view.event(eu, event, now - minute);
  const entry = given.entry === undefined ? run : given.entry;
  const document: DesiredState = {
    cluster: eu,
    epoch: 1,
    generation: 1n,
    fleetCommit: asked,
    recordCommit: "",
    issuedAtMs: now - 3 * minute,
    entries: entry === null ? [] : [entry],
    healthRules: [],
  };
  const enrolled = { spki: "", nkey: "", sealingKey: "", jti: "", acceptedBy: "", acceptedAtMs: 0 };
  const revoked = given.revoked === undefined ? null : { atMs: now - minute, because: given.revoked };
  const records = new Map([
    [eu, { ...enrolled, cluster: eu, revoked }],
    [us, { ...enrolled, cluster: us, revoked: null }],
  ]);
  if (given.isUnenrolled === true) records.clear();
  const known: WhyKnown = {
    view,
    fleet,
    fleetCommit: asked,
    problems: [],
    alarms: [],
    waiting: (given.waiting ?? []).map((because) => ({ ...key, because })),
    records,
    nowMs: now,
    document: (cluster) => (cluster === eu && given.isUnenrolled !== true ? document : undefined),
    bundleKeys: () => ["/Namespace//shop", "apps/Deployment/shop/web", "/ConfigMap/shop/settings"],
    rollouts: [
      { ...key, qualified: [], completed: [before] },
      { ...key, environment: environmentName("staging"), qualified: [asked], completed: [asked] },
    ],
  };
  return why(known, { application: "api", cluster: "eu-7", ...given.question }, told);
}

const told: Told = {
  source: async (_application, commit) => ({
    commit,
    author: "dev1 <dev1@example.com>",
    atMs: now - 14 * minute,
    subject: "raise api limits",
    actor: "",
    reason: "",
  }),
  file: async () => ({
    commit: "c07d2e1".padEnd(40, "0"),
    author: "plumbline <hub>",
    atMs: now - 9 * minute,
    subject: "promote api 4f1c9ab to prod",
    actor: "ops2",
    reason: "incident 4412",
  }),
};

const way = [
  'commit: 4f1c9ab "raise api limits" by dev1, 14m ago',
  "promotion: c07d2e1 asked for 4f1c9ab by ops2, 9m ago: incident 4412",
];
const through = [
  ...way,
  "gate: open: staging proved it by healthy receipts",
  "digest: 9be100000000, 3 objects, in the document of 3m ago",
];
const applied = [...through, "applied: 2m ago"];
const rollback = "plumb promote prod api 8d02e17";

type Case = Given & {
  readonly name: string;
  readonly summary: string;
  readonly lines: readonly string[];
  readonly next: string;
  readonly commands?: readonly string[];
};

const ill = status({
  health: Health.FAILED,
  current: 2,
  exceptional: [
    {
      object: web,
      health: Health.FAILED,
      reason: "0 of 3 replicas are ready: pod web-6d: container web: ImagePullBackOff",
      drifted: false,
      contested: false,
      sinceMs: BigInt(now - 52_000),
    },
  ],
  sinceMs: BigInt(now - 52_000),
});

const cases: readonly Case[] = [
  {
    name: "well",
    status: status(),
    summary: "api 4f1c9ab on eu-7 is Current for 1m",
    lines: applied,
    next: "nothing is waited for",
  },
  {
    name: "an image that cannot be pulled",
    status: ill,
    summary: "api 4f1c9ab on eu-7 is Failed for 52s",
    lines: [
      ...applied,
      "health: Deployment shop/web Failed for 52s: 0 of 3 replicas are ready: pod web-6d: container web: ImagePullBackOff",
    ],
    next: "the agent goes on watching; environments that are promoted from here do not get this revision before it is well",
    commands: ["kubectl -n shop describe deployment.apps web", rollback],
  },
  {
    name: "one object of it that is well",
    status: ill,
    question: { object: "configmap/settings" },
    summary: "ConfigMap shop/settings of api 4f1c9ab on eu-7 is Current",
    lines: applied,
    next: "nothing is waited for",
  },
  {
    name: "a gate that is closed",
    entry: { ...run, revision: before },
    status: status({ revision: before }),
    waiting: ["4f1c9ab waits for healthy receipts of api from every heard cluster of staging"],
    summary: "api 8d02e17 on eu-7 is Current for 1m",
    lines: [
      ...way,
      "gate: 4f1c9ab waits for healthy receipts of api from every heard cluster of staging",
      "digest: 9be100000000, 3 objects, in the document of 3m ago",
      "applied: 2m ago",
    ],
    next: "it goes on by itself when this is no longer so; until then 8d02e17 stays",
    commands: ["plumb why staging/api"],
  },
  {
    name: "nothing is promoted",
    fleet: fleetText(undefined, ""),
    entry: { ...key, kind: "hold", because: "nothing is promoted to prod yet" },
    waiting: ["nothing is promoted to prod yet"],
    summary: "api on eu-7 is not run",
    lines: [
      "gate: nothing is promoted to prod yet",
      "hold: the document of 3m ago says hold: nothing is promoted to prod yet",
    ],
    next: "nothing moves before somebody promotes; until then nothing is started",
    commands: ["plumb promote prod api"],
  },
  {
    name: "published, and not applied yet",
    status: status({ digest: Buffer.alloc(0), revision: before, phase: ApplicationPhase.APPLYING, current: 1 }),
    summary: "api 8d02e17 on eu-7 is InProgress for 1m",
    lines: [...through, "applied: not yet: 1 of 3 objects are Current; until then 8d02e17 runs"],
    next: "the agent applies 4f1c9ab, published 3m ago",
  },
  {
    name: "an apply that is tried again",
    status: status({
      digest: Buffer.alloc(0),
      phase: ApplicationPhase.APPLYING,
      problems: [
        {
          object: web,
          reason: "Forbidden",
          message: "exceeded quota: small",
          final: false,
          nextTryAtMs: BigInt(now + 12_000),
        },
      ],
    }),
    summary: "api 4f1c9ab on eu-7 is InProgress for 1m",
    lines: [
      ...through,
      "applied: not yet: 3 of 3 objects are Current",
      "apply: Deployment shop/web: exceeded quota: small; it is tried again in 12s",
    ],
    next: "tried again in 12s",
    commands: ["kubectl -n shop describe deployment.apps web"],
  },
  {
    name: "an apply that is refused for good",
    status: status({
      phase: ApplicationPhase.FAILED,
      health: Health.FAILED,
      digest: Buffer.alloc(0),
      problems: [
        { object: web, reason: "Invalid", message: "spec.replicas: must be 0 or more", final: true, nextTryAtMs: 0n },
      ],
    }),
    summary: "api 4f1c9ab on eu-7 is Failed for 1m",
    lines: [
      ...through,
      "applied: not yet: 3 of 3 objects are Current",
      "apply: Deployment shop/web: spec.replicas: must be 0 or more; it is not tried again before the revision or the object changes",
    ],
    next: "nothing is tried before the revision or the object changes",
    commands: [rollback],
  },
  {
    name: "a prune over budget",
    status: status({ prunePlan: "12ab34cd56ef7890", reason: "30 of 100 objects would be deleted, 20 are allowed" }),
    summary: "api 4f1c9ab on eu-7 is Current for 1m",
    lines: [...applied, "prune: blocked, plan 12ab34cd56ef7890: 30 of 100 objects would be deleted, 20 are allowed"],
    next: "nothing is deleted before a Promotion allows exactly this plan",
    commands: ["plumb promote prod api 4f1c9ab --allow-prune 12ab34cd56ef7890"],
  },
  {
    name: "two bundles with one object",
    status: status({ phase: ApplicationPhase.BLOCKED, reason: "ConfigMap shop/a is also in web" }),
    summary: "api 4f1c9ab on eu-7 is Failed for 1m",
    lines: applied,
    next: "nothing is applied until this is mended: ConfigMap shop/a is also in web",
  },
  {
    name: "a fight over a field",
    status: status({ drifted: 1 }),
    events: [
      drift({
        state: DriftState.CONTESTED,
        heals: 6,
        tool: "argocd",
        reason: "data.LOG_LEVEL was healed 6 times",
        nextHealAtMs: BigInt(now + 4 * minute),
      }),
    ],
    summary: "api 4f1c9ab on eu-7 is Current for 1m",
    lines: [
      ...applied,
      "drift: ConfigMap shop/settings: data.LOG_LEVEL info → debug by argocd, 4m ago: contested: data.LOG_LEVEL was healed 6 times; healed 6 times, next heal in 4m",
    ],
    next: "healed again in 4m; stop the other tool, or commit a DriftException",
    commands: ["plumb drift", "kubectl -n shop describe configmap settings"],
  },
  {
    name: "a field that admission gives another value at each heal",
    status: status({ drifted: 1 }),
    events: [drift({ state: DriftState.CONTESTED, reason: "admission gives another value", nextHealAtMs: 0n })],
    summary: "api 4f1c9ab on eu-7 is Current for 1m",
    lines: [
      ...applied,
      "drift: ConfigMap shop/settings: data.LOG_LEVEL info → debug by kubectl-edit, 4m ago: contested: admission gives another value; not healed before the object is another",
    ],
    next: "it is not healed before the object is another or the agent starts again: the API server's admission gives another value; change that, or Git, or commit a DriftException",
    commands: ["plumb drift", "kubectl -n shop describe configmap settings"],
  },
  {
    name: "drift that is only told",
    entry: { ...run, delivery: { ...plainDelivery, drift: "report" } },
    status: status({ drifted: 1 }),
    events: [drift({})],
    summary: "api 4f1c9ab on eu-7 is Current for 1m",
    lines: [
      ...applied,
      "drift: ConfigMap shop/settings: data.LOG_LEVEL info → debug by kubectl-edit, 4m ago: not healed",
    ],
    next: "nothing is healed: api only reports drift (delivery.drift)",
    commands: ["plumb drift", "kubectl -n shop describe configmap settings"],
  },
  {
    name: "drift that was healed lately",
    status: status(),
    events: [drift({ state: DriftState.HEALED, healedAtMs: BigInt(now - 4 * minute + 38) })],
    summary: "api 4f1c9ab on eu-7 is Current for 1m",
    lines: [
      ...applied,
      "drift: ConfigMap shop/settings: data.LOG_LEVEL info → debug by kubectl-edit, 4m ago: healed in 38 ms",
    ],
    next: "nothing is waited for",
  },
  {
    name: "a wave that waits for the one before",
    status: status({
      digest: Buffer.alloc(0),
      phase: ApplicationPhase.APPLYING,
      current: 2,
      reason: "its next wave waits until 2030-01-01T12:04:00.000Z at the latest: Deployment shop/web is InProgress",
    }),
    summary: "api 4f1c9ab on eu-7 is InProgress for 1m",
    lines: [...through, "applied: not yet: 2 of 3 objects are Current"],
    next: "the agent applies 4f1c9ab, published 3m ago: its next wave waits until 2030-01-01T12:04:00.000Z at the latest: Deployment shop/web is InProgress",
  },
  {
    name: "an Application that waits for another",
    entry: { ...run, delivery: { ...plainDelivery, dependsOn: [applicationName("db")] } },
    status: status({
      digest: Buffer.from("00", "hex"),
      revision: before,
      phase: ApplicationPhase.HELD,
      reason: "waits for db, which is InProgress",
    }),
    summary: "api 8d02e17 on eu-7 is Current for 1m",
    lines: [...through, "applied: not yet: 3 of 3 objects are Current; until then 8d02e17 runs"],
    next: "4f1c9ab is applied when this is no longer so: waits for db, which is InProgress; what runs is kept and healed",
    commands: ["plumb why eu-7 db"],
  },
  {
    name: "a bundle that could not be fetched",
    status: status({
      digest: Buffer.alloc(0),
      revision: "",
      phase: ApplicationPhase.HELD,
      health: Health.UNKNOWN,
      objects: 0,
      current: 0,
      sinceMs: 0n,
      reason: "bundle 9be100000000 of 4f1c9ab could not be taken: slice 1 of 1 is not there",
    }),
    summary: "api on eu-7 is Unknown",
    lines: [...through, "applied: not yet: nothing of it is here"],
    next: "4f1c9ab is applied when this is no longer so: bundle 9be100000000 of 4f1c9ab could not be taken: slice 1 of 1 is not there; what runs is kept and healed",
  },
  {
    name: "rights that the agent has not",
    status: status({
      phase: ApplicationPhase.FAILED,
      health: Health.FAILED,
      digest: Buffer.alloc(0),
      problems: [
        { object: web, reason: "Forbidden", message: "cannot patch deployments", final: true, nextTryAtMs: 0n },
      ],
    }),
    summary: "api 4f1c9ab on eu-7 is Failed for 1m",
    lines: [
      ...through,
      "applied: not yet: 3 of 3 objects are Current",
      "apply: Deployment shop/web: cannot patch deployments; it is not tried again before the revision or the object changes",
    ],
    next: "nothing is tried before the revision or the object changes; where rights were missing, once its agent starts anew",
    commands: ["kubectl -n plumbline-agent rollout restart deployment/plumbline-agent", rollback],
  },
  {
    name: "a hook that failed",
    status: status({
      digest: Buffer.alloc(0),
      phase: ApplicationPhase.FAILED,
      reason: "the pre hook Job shop/migrate failed: BackoffLimitExceeded",
    }),
    summary: "api 4f1c9ab on eu-7 is Failed for 1m",
    lines: [...through, "applied: not yet: 3 of 3 objects are Current"],
    next: "nothing is tried before the revision changes, or what failed does: the pre hook Job shop/migrate failed: BackoffLimitExceeded",
  },
  {
    name: "an apply that stopped as a whole",
    status: status({
      phase: ApplicationPhase.FAILED,
      reason: "connect ECONNREFUSED",
      nextTryAtMs: BigInt(now + 30_000),
    }),
    summary: "api 4f1c9ab on eu-7 is Failed for 1m",
    lines: applied,
    next: "the agent tries again in 30s: connect ECONNREFUSED",
  },
  {
    name: "drift under an exception that ends",
    status: status({ drifted: 1 }),
    events: [drift({ reason: "exception: incident 4412", nextHealAtMs: BigInt(now + 3 * 60 * minute) })],
    summary: "api 4f1c9ab on eu-7 is Current for 1m",
    lines: [
      ...applied,
      "drift: ConfigMap shop/settings: data.LOG_LEVEL info → debug by kubectl-edit, 4m ago: not healed: exception: incident 4412",
    ],
    next: "its heal is tried in 3h (exception: incident 4412)",
    commands: ["plumb drift", "kubectl -n shop describe configmap settings"],
  },
  {
    name: "drift under an exception without an end",
    status: status({ drifted: 1 }),
    events: [drift({ reason: "exception: ours to tune" })],
    summary: "api 4f1c9ab on eu-7 is Current for 1m",
    lines: [
      ...applied,
      "drift: ConfigMap shop/settings: data.LOG_LEVEL info → debug by kubectl-edit, 4m ago: not healed: exception: ours to tune",
    ],
    next: "it is not healed before Git or the object changes (exception: ours to tune)",
    commands: ["plumb drift", "kubectl -n shop describe configmap settings"],
  },
  {
    name: "an object that is gone, where drift is only told",
    entry: { ...run, delivery: { ...plainDelivery, drift: "report" } },
    status: status({
      drifted: 1,
      current: 2,
      health: Health.NOT_FOUND,
      exceptional: [
        {
          object: settings,
          health: Health.NOT_FOUND,
          reason: "does not exist",
          drifted: true,
          contested: false,
          sinceMs: 0n,
        },
      ],
    }),
    events: [drift({ kind: DriftKind.DELETED, fields: [], tool: "", reason: "is missing" })],
    summary: "api 4f1c9ab on eu-7 is NotFound for 1m",
    lines: [
      ...applied,
      "health: ConfigMap shop/settings NotFound: does not exist",
      "drift: ConfigMap shop/settings: deleted, 4m ago: not healed: is missing",
    ],
    next: "nothing is healed: api only reports drift (delivery.drift)",
    commands: ["plumb drift", "kubectl -n shop describe configmap settings"],
  },
  {
    name: "drift while healing is frozen",
    entry: { ...run, delivery: { ...plainDelivery, healingFrozen: { untilMs: now + 30 * minute } } },
    status: status({ drifted: 1 }),
    events: [drift({})],
    summary: "api 4f1c9ab on eu-7 is Current for 1m",
    lines: [
      ...applied,
      "drift: ConfigMap shop/settings: data.LOG_LEVEL info → debug by kubectl-edit, 4m ago: not healed",
    ],
    next: "healing is frozen; it ends in 30m",
    commands: ["plumb drift", "kubectl -n shop describe configmap settings"],
  },
  {
    name: "one object that is ill, and one that only drifted",
    status: status({
      drifted: 1,
      current: 2,
      health: Health.IN_PROGRESS,
      exceptional: [
        { object: settings, health: Health.CURRENT, reason: "", drifted: true, contested: false, sinceMs: 0n },
        { object: web, health: Health.IN_PROGRESS, reason: "0 of 1", drifted: false, contested: false, sinceMs: 0n },
      ],
    }),
    summary: "api 4f1c9ab on eu-7 is InProgress for 1m",
    lines: [...applied, "health: Deployment shop/web InProgress: 0 of 1"],
    next: "the agent goes on watching; it is told when this is well, or has failed",
    commands: ["kubectl -n shop describe deployment.apps web", rollback],
  },
  {
    name: "an object that is being deleted",
    status: status({
      current: 2,
      health: Health.TERMINATING,
      exceptional: [
        {
          object: web,
          health: Health.TERMINATING,
          reason: "is being deleted, waits for example.com/never",
          drifted: false,
          contested: false,
          sinceMs: 0n,
        },
      ],
    }),
    summary: "api 4f1c9ab on eu-7 is Terminating for 1m",
    lines: [...applied, "health: Deployment shop/web Terminating: is being deleted, waits for example.com/never"],
    next: "it is made again once it is gone",
    commands: ["kubectl -n shop describe deployment.apps web", rollback],
  },
  {
    name: "deletions that wait for their hour",
    status: status({
      reason: "the agent's limit of deletions an hour is reached: it goes on at 2030-01-01T12:40:00.000Z",
      nextTryAtMs: BigInt(now + 40 * minute),
    }),
    summary: "api 4f1c9ab on eu-7 is Current for 1m",
    lines: [
      ...applied,
      "note: the agent's limit of deletions an hour is reached: it goes on at 2030-01-01T12:40:00.000Z",
    ],
    next: "the agent goes on in 40m",
  },
  {
    name: "a removal that its hook stopped",
    entry: { ...key, kind: "remove", mode: "delete", commit: revision("abc1234".padEnd(40, "0")) },
    status: status({
      phase: ApplicationPhase.FAILED,
      reason: "nothing more is deleted: the delete hook Pod shop/before failed",
    }),
    summary: "api 4f1c9ab on eu-7 is Failed for 1m",
    lines: [...way, "removal: the document of 3m ago says delete its objects, as abc1234 asked"],
    next: "nothing more is deleted: the delete hook Pod shop/before failed",
  },
  {
    name: "a silent cluster",
    status: status(),
    heardAgoMs: 3 * minute,
    summary: "api 4f1c9ab on eu-7 is Unknown: the cluster is Silent",
    lines: [
      ...way,
      "gate: open: staging proved it by healthy receipts",
      "agent: silent, last heard 3m ago; what follows is what it said 3m ago",
      "digest: 9be100000000, 3 objects, in the document of 3m ago",
      "applied: 2m ago",
    ],
    next: "it keeps itself true to its last document alone; what happens there is told when its agent is back",
    commands: ["plumb cluster show eu-7", "kubectl -n plumbline-agent logs deployment/plumbline-agent"],
  },
  {
    name: "a revoked cluster",
    status: status(),
    revoked: "stolen (ops2)",
    summary: "api 4f1c9ab on eu-7 is Unknown: the cluster is Revoked",
    lines: [
      ...way,
      "gate: open: staging proved it by healthy receipts",
      "agent: its keys were revoked, last heard 1s ago: stolen (ops2)",
      "digest: 9be100000000, 3 objects, in the document of 3m ago",
      "applied: 2m ago",
    ],
    next: "nothing is published to it any more; its agent goes on healing what it runs, and prunes nothing",
    commands: ["plumb cluster register NEW-NAME"],
  },
  {
    name: "a cluster that has not joined",
    isUnenrolled: true,
    heardAgoMs: Number.POSITIVE_INFINITY,
    summary: "api on eu-7 is Unknown: the cluster is Declared",
    lines: [
      ...way,
      "agent: it is declared, and no agent has joined",
      "document: none was published to this cluster yet",
    ],
    next: "it is given its first document when it joins",
    commands: ["plumb cluster register eu-7"],
  },
  {
    name: "a document that the agent refused",
    status: status({ digest: Buffer.alloc(0), revision: before }),
    events: [
      Event.fromPartial({
        atMs: BigInt(now - minute),
        body: { $case: "refusal", value: { reason: "NotDelegated", detail: "the hub's key has expired" } },
      }),
    ],
    summary: "api 8d02e17 on eu-7 is Current for 1m",
    lines: [
      ...through,
      "refused: by the agent 1m ago: NotDelegated: the hub's key has expired; it keeps its last good document",
      "applied: not yet: 3 of 3 objects are Current; until then 8d02e17 runs",
    ],
    next: "the agent takes the next document that it can verify",
    commands: ["plumb history"],
  },
  {
    name: "a removal",
    entry: { ...key, kind: "remove", mode: "delete", commit: revision("abc1234".padEnd(40, "0")) },
    status: status({ phase: ApplicationPhase.REMOVING, reason: "asked for by abc1234" }),
    summary: "api 4f1c9ab on eu-7 is Current for 1m",
    lines: [...way, "removal: the document of 3m ago says delete its objects, as abc1234 asked"],
    next: "its objects are being deleted: asked for by abc1234",
  },
  {
    name: "a cluster whose label no longer matches",
    fleet: fleetText().replace(cluster("eu-7", "prod"), cluster("eu-7", "prd")),
    entry: { ...key, kind: "hold", because: "eu-7 is no longer selected for api in prod" },
    status: status(),
    summary: "api 4f1c9ab on eu-7 is Current for 1m",
    lines: [...way, "hold: the document of 3m ago says hold: eu-7 is no longer selected for api in prod"],
    next: "it keeps what it runs until a Removal, or until it is selected again (prod selects env=prod, and eu-7 has the labels env=prd)",
    commands: ["plumb remove api --cluster eu-7"],
  },
  {
    name: "a whole environment, told by the cluster that is worst off",
    question: { cluster: undefined, environment: "prod" },
    status: ill,
    summary: "api 4f1c9ab on eu-7 is Failed for 52s",
    lines: [
      "clusters: this is the worst of 2; also us-2 Unknown; 0 of the others are Current",
      ...applied,
      "health: Deployment shop/web Failed for 52s: 0 of 3 replicas are ready: pod web-6d: container web: ImagePullBackOff",
    ],
    next: "the agent goes on watching; environments that are promoted from here do not get this revision before it is well",
    commands: ["kubectl -n shop describe deployment.apps web", rollback],
  },
];

describe("one chain in words", () => {
  test.each(cases)("$name", async ({ name: _name, summary, lines, next, commands = [], ...given }) => {
    const answer = await whyOf(given);
    if (!answer.ok) throw new Error(answer.message);
    expect(answer.summary).toBe(summary);
    expect(answer.lines.map(({ about, text }) => `${about}: ${text}`)).toEqual(lines);
    expect([answer.next, answer.commands]).toEqual([next, commands]);
  });
});

test.each([
  [{ application: "apii" }, "there is no application apii", "plumb status shows those there are"],
  [{ application: "eu-7", cluster: "api" }, "there is no application eu-7", "did you mean plumb why eu-7 api"],
  [{ cluster: "eu-9" }, "there is no cluster eu-9", "plumb cluster list shows those there are"],
  [{ environment: "dev" }, "api is not delivered to dev", "it is delivered to staging, prod"],
  [{ cluster: undefined }, "name a cluster or an environment", "plumb why staging/api"],
  [
    { object: "Deployment/shop/wob" },
    "api has no Deployment/shop/wob on eu-7",
    "it has Namespace shop, Deployment shop/web, ConfigMap shop/settings",
  ],
  [{ object: "Service/web" }, "api has no Service/web on eu-7", "it has Deployment shop/web"],
] as const)("%j is refused, and says what to ask instead", async (question, message, advice) => {
  expect(await whyOf({ question })).toMatchObject({ ok: false, message, advice });
});

test.each(["web", "deployment/web", "Deployment/shop/web", "Deployment shop/web", "shop/web"])(
  "%s names the Deployment",
  async (object) => {
    expect(await whyOf({ question: { object }, status: status() })).toMatchObject({
      ok: true,
      object: "Deployment shop/web",
    });
  },
);
