import fc from "fast-check";
import { expect, test } from "vitest";
import { decide } from "#hub/decide/decide.ts";
import {
  keyOf,
  type DecidedRun,
  type DeclaredRemoval,
  type Inputs,
  type SignatureAsk,
  type SignedEntry,
} from "#hub/decide/inputs.ts";
import type { ClusterRecord } from "#hub/decide/record.ts";
import type { Trust } from "#hub/trust/gate.ts";
import type { Delivery } from "#proto/desired-state.ts";
import {
  applicationName,
  bundleDigest,
  clusterId,
  environmentName,
  revision,
  type ClusterId,
  type Revision,
} from "#proto/ids.ts";

const web = applicationName("web");
const staging = environmentName("staging");
const prod = environmentName("prod");
const s1 = clusterId("s1");
const p1 = clusterId("p1");
const p2 = clusterId("p2");
const r1 = revision("1".repeat(40));
const r2 = revision("2".repeat(40));
const fleetCommit = revision("f".repeat(40));
/** Gives the same objects as r2. */
const r3 = revision("3".repeat(40));
const digests = new Map([r1, r2].map((at) => [at, bundleDigest(at.slice(0, 1).repeat(64))]));
digests.set(r3, digests.get(r2)!);
const policy: Delivery = {
  drift: "correct",
  strict: false,
  adopt: "ifEqual",
  serviceAccount: "",
  timeoutMs: 300_000,
  prune: { enabled: true, budgetPercent: 20, protected: [] },
  allowPrune: "",
  exceptions: [],
  soakMarksMs: [],
  dependsOn: [],
  healingFrozen: null,
};
const enrolled = (cluster: ClusterId): [ClusterId, ClusterRecord] => [
  cluster,
  { cluster, spki: "", nkey: "", sealingKey: "", jti: "", acceptedBy: "", acceptedAtMs: 0, revoked: null },
];
const runs = (environment: typeof prod, at: Revision): DecidedRun => ({
  kind: "run",
  application: web,
  environment,
  revision: at,
  digest: digests.get(at)!,
  delivery: policy,
});
const receipt = (cluster: ClusterId, environment: typeof prod, at: Revision, healthyForMs = 0) => ({
  cluster,
  environment,
  application: web,
  digest: digests.get(at)!,
  healthy: true,
  healthyForMs,
});

const promotionOf = (at: Revision) => ({
  application: web,
  environment: prod,
  revision: at,
  file: "promotions/web.yaml",
});

/** staging follows main at r2; prod runs r1 and r2 is promoted to it. */
const base: Inputs = {
  nowMs: 1_000,
  fleetCommit,
  clusters: new Map([
    [s1, { labels: { env: "staging" } }],
    [p1, { labels: { env: "prod" } }],
    [p2, { labels: { env: "prod" } }],
  ]),
  environments: new Map([
    [
      staging,
      {
        clusters: { matchLabels: { env: "staging" } },
        revisions: { follow: "main" },
        soakMs: 0,
        signatures: "off",
        closedGates: [],
        unreadable: [],
      },
    ],
    [
      prod,
      {
        clusters: { matchLabels: { env: "prod" } },
        revisions: { promotedFrom: [staging], auto: false },
        soakMs: 0,
        signatures: "off",
        closedGates: [],
        unreadable: [],
      },
    ],
  ]),
  applications: new Map([[web, { environments: [staging, prod] }]]),
  promotions: [promotionOf(r2)],
  removals: [],
  freezes: [],
  records: [],
  clusterRecords: new Map([s1, p1, p2].map(enrolled)),
  signed: new Map<ClusterId, SignedEntry[]>([
    [s1, [runs(staging, r2)]],
    [p1, [runs(prod, r1)]],
    [p2, [runs(prod, r1)]],
  ]),
  receipts: [],
  heard: new Set([s1, p1, p2]),
  head: () => r2,
  trust: () => undefined,
  rendered: ({ revision }) => ({ ok: true, digest: digests.get(revision)! }),
  delivery: () => policy,
};
const proved = { receipts: [receipt(s1, staging, r2)] };

/** "run 2222222", "hold", "remove delete", "nothing", or "unpublished": what p1 is told about web. */
function told(change: Partial<Inputs>, cluster = p1): string {
  const entries = decide({ ...base, ...change }).desired.get(cluster);
  if (!entries) return "unpublished";
  const entry = entries.find(({ application }) => application === web);
  if (!entry) return "nothing";
  if (entry.kind === "run") return `run ${entry.revision.slice(0, 1)}`;
  return entry.kind === "remove" ? `remove ${entry.mode}` : "hold";
}
const freeze = {
  name: "xmas",
  environments: [prod],
  applications: [],
  clusters: [],
  untilMs: 2_000,
  reason: "peak",
  healing: true,
};
const removal: DeclaredRemoval = {
  application: web,
  scope: { environment: prod },
  mode: "delete",
  file: "removals/web.yaml",
};
const unlabelled = new Map([...base.clusters, [p1, { labels: { env: "prdo" } }] as const]);

/** prod asks for signatures, and each is judged by its kind. */
const signed = (
  require: "head" | "all",
  answers: Partial<Record<SignatureAsk["kind"], Trust["kind"]>>,
  more: Partial<Inputs> = {},
): Partial<Inputs> => ({
  ...proved,
  environments: new Map([...base.environments, [prod, { ...base.environments.get(prod)!, signatures: require }]]),
  trust({ kind }) {
    const answer = answers[kind];
    if (answer === undefined) return undefined;
    return answer === "trusted"
      ? { kind: answer, by: "dev1" }
      : { kind: answer, because: "commit 2222222 is not signed" };
  },
  ...more,
});
const both = { revision: "trusted", request: "trusted" } as const;
const completedR2 = { records: [{ environment: prod, application: web, qualified: [], completed: [r2] }] };

test.each<[string, Partial<Inputs>, string]>([
  ["goes when revision and Promotion are signed", signed("head", both), "run 2"],
  ["keeps what runs while the revision is not", signed("all", { ...both, revision: "refused" }), "run 1"],
  ["keeps what runs while the Promotion is not", signed("head", { ...both, request: "refused" }), "run 1"],
  ["keeps what runs until signatures were looked at", signed("head", {}), "run 1"],
  [
    "goes back to what ran here without its signature",
    signed("all", { ...both, revision: "refused" }, completedR2),
    "run 2",
  ],
  ["but for no Promotion that is not signed", signed("all", { ...both, request: "refused" }, completedR2), "run 1"],
  ["removes for a Removal that is signed", signed("head", both, { removals: [removal] }), "remove delete"],
  ["removes for no other", signed("head", { ...both, request: "refused" }, { removals: [removal] }), "run 1"],
  [
    "removes for no Removal while the Environment is not declared",
    { removals: [removal], environments: new Map([...base.environments].filter(([name]) => name !== prod)) },
    "hold",
  ],
  [
    "gives a new cluster nothing for a Promotion while the Environment is not declared",
    {
      ...proved,
      environments: new Map([...base.environments].filter(([name]) => name !== prod)),
      signed: new Map([...base.signed, [p1, []]]),
    },
    "nothing",
  ],
  [
    "removes nothing for the Removal of a whole cluster either, while the Environment is not declared",
    { removals: [{ ...removal, scope: { cluster: p1 } }], environments: new Map() },
    "hold",
  ],
  ["asks nobody where none are required", { ...proved, trust: () => ({ kind: "refused", because: "" }) }, "run 2"],
])("with signers, prod %s", (_name, change, expected) => {
  expect(told(change)).toBe(expected);
});

test("what is being removed does not come back for a Removal that somebody changed without a signature", () => {
  const removing: SignedEntry = { application: web, environment: prod, kind: "remove", mode: "delete", commit: r1 };
  const running = new Map([...base.signed, [p1, [removing]] as const]);
  expect(told(signed("head", { ...both, request: "refused" }, { removals: [removal], signed: running }))).toBe(
    "remove delete",
  );
});

test("a Removal waits for its Environment, and says so; what is being removed already goes on", () => {
  const undeclared = { ...base, removals: [removal], environments: new Map() };
  expect(decide(undeclared).waiting.map(({ because }) => because)).toContainEqual(
    expect.stringContaining("not removed: the Environment prod is not declared or cannot be read"),
  );
  const removing: SignedEntry = { application: web, environment: prod, kind: "remove", mode: "delete", commit: r1 };
  expect(told({ ...undeclared, signed: new Map([...base.signed, [p1, [removing]] as const]) })).toBe("remove delete");
});

test("asks for signatures since what ran and runs here, and says who has to act when they are missing", () => {
  const inputs = { ...base, ...signed("all", {}) };
  expect(decide(inputs).examine).toEqual([
    { kind: "request", environment: prod, file: "promotions/web.yaml" },
    { kind: "revision", application: web, environment: prod, revision: r2, require: "all", since: [r1] },
  ]);
  const refused = decide({ ...base, ...signed("all", { ...both, revision: "refused" }) });
  expect(refused.examine).toEqual([]);
  expect(refused.waiting.map(({ because }) => because)).toContain(
    "2222222 waits, prod takes only what is signed: commit 2222222 is not signed",
  );
});

test.each<[string, Partial<Inputs>, string]>([
  ["keeps the old revision until the environment before has proved the new one", {}, "run 1"],
  ["goes when every heard cluster before has a receipt for the digest", proved, "run 2"],
  [
    "goes when what was proved before gave the very same digest under another revision",
    { ...proved, promotions: [promotionOf(r3)] },
    "run 3",
  ],
  ["takes no receipt for another digest", { receipts: [receipt(s1, staging, r1)] }, "run 1"],
  ["takes no unhealthy receipt", { receipts: [{ ...receipt(s1, staging, r2), healthy: false }] }, "run 1"],
  ["takes no receipt of a cluster that nobody hears", { ...proved, heard: new Set([p1]) }, "run 1"],
  [
    "goes by the record when staging has moved on",
    { records: [{ environment: staging, application: web, qualified: [r2], completed: [] }] },
    "run 2",
  ],
  [
    "goes back to a completed revision without a gate",
    {
      promotions: [promotionOf(r2)],
      records: [{ environment: prod, application: web, qualified: [], completed: [r2, r1] }],
    },
    "run 2",
  ],
  ["keeps what runs when the Promotion is gone", { ...proved, promotions: [] }, "run 1"],
  [
    "keeps what runs when two Promotions disagree",
    { ...proved, promotions: [...base.promotions, promotionOf(r1)] },
    "run 1",
  ],
  ["keeps what runs while frozen", { ...proved, freezes: [freeze] }, "run 1"],
  ["goes when the freeze has ended", { ...proved, freezes: [freeze], nowMs: 2_000 }, "run 2"],
  ["keeps what runs while its own cluster is frozen", { ...proved, freezes: [{ ...freeze, clusters: [p1] }] }, "run 1"],
  ["holds a failed render", { ...proved, rendered: () => ({ ok: false, because: "a.yaml:3: no kind" }) }, "hold"],
  ["keeps what runs until the target is rendered", { ...proved, rendered: () => undefined }, "run 1"],
  ["holds what a label typo deselects", { ...proved, clusters: unlabelled }, "hold"],
  ["holds what a removed Application file leaves", { applications: new Map() }, "hold"],
  ["holds what a removed Environment file leaves", { environments: new Map() }, "hold"],
  ["publishes nothing to a cluster whose file is gone", { clusters: new Map(), removals: [removal] }, "unpublished"],
  ["publishes nothing to a cluster whose state is unknown", { ...proved, signed: new Map() }, "unpublished"],
  [
    "publishes nothing to a revoked cluster",
    { ...proved, clusterRecords: new Map([[p1, { ...enrolled(p1)[1], revoked: { atMs: 0, because: "lost" } }]]) },
    "unpublished",
  ],
  ["removes for a Removal", { removals: [removal] }, "remove delete"],
  ["removes what was unselected before", { removals: [removal], clusters: unlabelled }, "remove delete"],
  [
    "lets go for a Removal of one cluster",
    { removals: [{ ...removal, scope: { cluster: p1 }, mode: "orphan" }] },
    "remove orphan",
  ],
  ["removes nothing for another cluster's Removal", { removals: [{ ...removal, scope: { cluster: p2 } }] }, "run 1"],
  [
    "forgets a removed Application when its file and Removal are gone",
    {
      applications: new Map(),
      signed: new Map([
        [p1, [{ kind: "remove", application: web, environment: prod, mode: "delete", commit: fleetCommit }]],
      ]),
    },
    "nothing",
  ],
  ["holds a new cluster while nothing has completed", { signed: new Map([...base.signed, [p1, []]]) }, "hold"],
  [
    "gives a new cluster what the environment completed",
    {
      signed: new Map([...base.signed, [p1, []]]),
      records: [{ environment: prod, application: web, qualified: [], completed: [r1] }],
    },
    "run 1",
  ],
])("%s", (_name, change, expected) => {
  expect(told(change)).toBe(expected);
});

test.each<[string, SignedEntry[], string]>([
  ["keeps what runs, also when a completed revision is asked for", [runs(prod, r1)], "run 1"],
  ["starts nothing on a new cluster", [], "hold"],
  [
    "does not run again what was removed",
    [{ kind: "remove", application: web, environment: prod, mode: "delete", commit: fleetCommit }],
    "hold",
  ],
])("while a document that may speak of the environment cannot be read: %s", (_name, signed, expected) => {
  const unreadable = ["Removal at fleet/x.yaml:3 cannot be read"];
  const change: Partial<Inputs> = {
    ...proved,
    signed: new Map([...base.signed, [p1, signed]]),
    environments: new Map([...base.environments, [prod, { ...base.environments.get(prod)!, unreadable }]]),
    records: [{ environment: prod, application: web, qualified: [], completed: [r1, r2] }],
  };
  expect(told(change)).toBe(expected);
  expect(decide({ ...base, ...change }).waiting).toContainEqual(expect.objectContaining({ because: unreadable[0] }));
});

test("counts soak by the agent's clock and asks the agent for that mark", () => {
  const environments = new Map([...base.environments, [prod, { ...base.environments.get(prod)!, soakMs: 60_000 }]]);
  expect(told({ environments, receipts: [receipt(s1, staging, r2, 59_999)] })).toBe("run 1");
  expect(told({ environments, receipts: [receipt(s1, staging, r2, 60_000)] })).toBe("run 2");
  const [entry] = decide({ ...base, environments }).desired.get(s1)!;
  expect(entry).toMatchObject({ delivery: { soakMarksMs: [60_000] } });
});

test("says why in a sentence, and records what was proved once", () => {
  expect(decide(base).waiting).toContainEqual({
    application: web,
    environment: prod,
    because: "2222222 waits for healthy receipts of web from every heard cluster of staging",
  });
  const { records } = decide({ ...base, ...proved });
  expect(records).toEqual([{ environment: staging, application: web, qualified: [r2], completed: [r2] }]);
  expect(decide({ ...base, ...proved, records }).records).toEqual([]);
});

test("another revision with the digest that was proved opens gates at once, and is told apart from what has to be recorded", () => {
  const signed = new Map<ClusterId, readonly SignedEntry[]>([
    ...base.signed,
    [s1, [{ ...runs(staging, r2), revision: r3, signedAs: r2 }]],
  ]);
  const change = { ...proved, signed, promotions: [promotionOf(r3)] };
  const { records, renamed } = decide({ ...base, ...change });
  expect(records).toEqual([]);
  expect(renamed).toEqual([{ environment: staging, application: web, qualified: [r3], completed: [r3] }]);
  expect(told(change)).toBe("run 3");
  for (const rendered of [base.rendered, () => undefined])
    expect(decide({ ...base, ...change, rendered }).desired.get(s1)![0]).not.toHaveProperty("signedAs");
});

test("freezes healing at once, whatever wave is open", () => {
  const { desired } = decide({ ...base, freezes: [{ ...freeze, healing: false }] });
  expect(desired.get(p1)).toMatchObject([
    { kind: "run", revision: r1, delivery: { healingFrozen: { untilMs: 2_000 } } },
  ]);
});

const anyInputs = fc
  .record({
    labels: fc.array(fc.constantFrom("prod", "staging", "typo", "gone"), { minLength: 3, maxLength: 3 }),
    signed: fc.array(fc.constantFrom("unknown", "none", "r1", "r2", "hold"), { minLength: 3, maxLength: 3 }),
    applications: fc.boolean(),
    environments: fc.boolean(),
    promoted: fc.constantFrom(undefined, r1, r2),
    head: fc.constantFrom(undefined, r1, r2),
    rendered: fc.constantFrom("ok", "bad", "pending"),
    proved: fc.boolean(),
  })
  .map((any): Inputs => {
    const clusters = [s1, p1, p2];
    const entryOf = (text: string): SignedEntry[] => {
      if (text === "none") return [];
      if (text === "hold") return [{ kind: "hold", application: web, environment: prod, because: "x" }];
      return [runs(prod, text === "r1" ? r1 : r2)];
    };
    return {
      ...base,
      clusters: new Map(
        clusters.flatMap((cluster, n) =>
          any.labels[n] === "gone" ? [] : [[cluster, { labels: { env: any.labels[n]! } }]],
        ),
      ),
      signed: new Map(
        clusters.flatMap((cluster, n) => (any.signed[n] === "unknown" ? [] : [[cluster, entryOf(any.signed[n]!)]])),
      ),
      applications: any.applications ? base.applications : new Map(),
      environments: any.environments ? base.environments : new Map(),
      promotions: any.promoted ? [promotionOf(any.promoted)] : [],
      head: () => any.head,
      receipts: any.proved ? proved.receipts : [],
      rendered: ({ revision }) => {
        if (any.rendered === "pending") return undefined;
        return any.rendered === "ok" ? { ok: true, digest: digests.get(revision)! } : { ok: false, because: "bad" };
      },
    };
  });

test("never removes without a Removal, and drops nothing that a cluster was given", () => {
  fc.assert(
    fc.property(anyInputs, (inputs) => {
      for (const [cluster, entries] of decide(inputs).desired) {
        expect(entries.some(({ kind }) => kind === "remove")).toBe(false);
        const given = inputs.signed.get(cluster)!.map(keyOf);
        expect(entries.map(keyOf)).toEqual(expect.arrayContaining(given));
      }
    }),
  );
});

test("decides alike for equal inputs in any order, and nothing new from its own decision", () => {
  fc.assert(
    fc.property(anyInputs, (inputs) => {
      const decision = decide(inputs);
      const reversed = {
        ...inputs,
        clusters: new Map([...inputs.clusters].reverse()),
        signed: new Map([...inputs.signed].reverse()),
      };
      expect(decide(reversed)).toEqual(decision);
      const again = decide({
        ...inputs,
        records: decision.records,
        signed: new Map([...inputs.signed, ...decision.desired]),
      });
      expect(again.desired.size).toBe(decision.desired.size);
    }),
  );
});

test("what follows a rewritten branch keeps what it has, a newcomer gets what was completed, and each says why", () => {
  const head = () => ({ because: "HistoryRewritten: branch main of web" });
  const record = { environment: staging, application: web, qualified: [], completed: [r1] };
  const stopped = { head, records: [record] };
  expect(told(stopped, s1)).toBe("run 2");
  expect(told({ ...stopped, signed: new Map([[s1, []]]) }, s1)).toBe("run 1");
  expect(told({ head, signed: new Map([[s1, []]]) }, s1)).toBe("hold");
  expect(decide({ ...base, ...stopped }).waiting).toContainEqual({
    application: web,
    environment: staging,
    because: "HistoryRewritten: branch main of web",
  });
});

test("an Application may follow something else than its environment", () => {
  const follow = { semver: "1.x" };
  const asked: unknown[] = [];
  const head: Inputs["head"] = (_application, what) => (asked.push(what), r1);
  const applications = new Map([[web, { environments: [staging, prod], source: { follow } }]]);
  expect(told({ head, applications }, s1)).toBe("run 1");
  expect(asked).toEqual([follow]);
});

test("what the same files and settings rendered to before runs on when they give something else now", () => {
  const inputs = "a".repeat(64);
  const signed = new Map<ClusterId, SignedEntry[]>([[s1, [{ ...runs(staging, r1), inputs }]]]);
  const report = (): Delivery => ({ ...policy, drift: "report" });
  const given = (now: string): Inputs => ({
    ...base,
    signed,
    delivery: report,
    rendered: ({ revision }) => ({ ok: true, digest: digests.get(revision)!, inputs: now }),
  });
  const entryOf = (now: string) => {
    const { desired, waiting } = decide(given(now));
    return {
      entry: desired.get(s1)![0],
      reasons: waiting.flatMap(({ cluster, because }) => (cluster === s1 ? because : [])),
    };
  };
  // What people say of it beside its content still reaches it.
  expect(entryOf(inputs)).toMatchObject({
    entry: { kind: "run", revision: r1, digest: digests.get(r1), delivery: { drift: "report" } },
    reasons: [expect.stringContaining("2222222 does not render to the same again") as string],
  });
  expect(entryOf("b".repeat(64))).toMatchObject({ entry: { revision: r2, digest: digests.get(r2) }, reasons: [] });
});
