import { generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Delivery, DesiredState, RunEntry } from "#proto/desired-state.ts";
import {
  delegate,
  rawPublicKey,
  semanticHash,
  signDesiredState,
  verifyDesiredState,
  type Expected,
  type Signer,
} from "#proto/envelope.ts";
import { applicationName, blobAddress, bundleDigest, clusterId, environmentName, revision } from "#proto/ids.ts";

const now = Date.UTC(2026, 0, 15);
const root = generateKeyPairSync("ed25519").privateKey;
const signer = signerOf(root, 1);
const expected: Expected = { rootKey: rawPublicKey(root), cluster: clusterId("eu-1"), now };

const delivery: Delivery = {
  drift: "correct",
  strict: false,
  adopt: "ifEqual",
  serviceAccount: "",
  timeoutMs: 300_000,
  prune: { enabled: true, budgetPercent: 20, protected: ["PersistentVolumeClaim"] },
  allowPrune: "",
  exceptions: [{ object: "Deployment shop/web", fields: ["spec.replicas"], untilMs: now, reason: "incident" }],
  soakMarksMs: [60_000],
  dependsOn: [applicationName("db")],
  healingFrozen: { untilMs: null },
};
const run: RunEntry = {
  kind: "run",
  application: applicationName("web"),
  environment: environmentName("prod"),
  revision: revision("a".repeat(40)),
  digest: bundleDigest("1".repeat(64)),
  address: blobAddress("2".repeat(64)),
  slices: 1,
  objects: 3,
  sealedKey: Buffer.alloc(80, 1),
  delivery,
};
const state: DesiredState = {
  cluster: clusterId("eu-1"),
  epoch: 1,
  generation: 1_768_435_200_000n,
  fleetCommit: revision("b".repeat(40)),
  recordCommit: "",
  issuedAtMs: now,
  entries: [
    {
      kind: "remove",
      application: applicationName("api"),
      environment: run.environment,
      mode: "orphan",
      commit: run.revision,
    },
    { kind: "hold", application: applicationName("old"), environment: run.environment, because: "render failed" },
    run,
  ],
  healthRules: [
    {
      name: "queues",
      apiVersion: "example.com/v1",
      kind: "Queue",
      current: "object.status.depth < 10",
      inProgress: null,
      failed: "object.status.broken",
    },
  ],
};

function signerOf(by: typeof root, epoch: number, notAfterMs = now + 1_000): Signer {
  const { privateKey } = generateKeyPairSync("ed25519");
  const publicKey = rawPublicKey(privateKey);
  return {
    privateKey,
    publicKey,
    delegation: delegate(by, { hubKey: publicKey, epoch, notBeforeMs: now - 1_000, notAfterMs }),
  };
}

const reasonOf = (bytes: Uint8Array, against: Expected = expected): string => {
  const outcome = verifyDesiredState(bytes, against);
  return outcome.ok ? "taken" : outcome.reason;
};

test("takes what its hub signed for it, whole", () => {
  const outcome = verifyDesiredState(signDesiredState(state, signer), expected);
  expect(outcome).toMatchObject({ ok: true, state });
});

test("takes no document in which any bit was flipped", () => {
  const bytes = signDesiredState(state, signer);
  fc.assert(
    fc.property(fc.nat({ max: bytes.length * 8 - 1 }), (bit) => {
      const forged = Uint8Array.from(bytes);
      forged[bit >> 3] = forged[bit >> 3]! ^ (1 << (bit & 7));
      const outcome = verifyDesiredState(forged, expected);
      // Key ids are hints outside the signature: a flip there changes nothing that is believed.
      if (outcome.ok) expect(outcome.state).toEqual(state);
    }),
    { numRuns: 2_000 },
  );
});

test("refuses a hub that the pinned root did not delegate to, and a key of another epoch", () => {
  const stranger = generateKeyPairSync("ed25519").privateKey;
  expect(reasonOf(signDesiredState(state, signerOf(stranger, 1)))).toBe("BadSignature");
  expect(reasonOf(signDesiredState(state, { ...signer, privateKey: stranger }))).toBe("BadSignature");
  expect(reasonOf(signDesiredState(state, signerOf(root, 2)))).toBe("NotDelegated");
});

test("refuses another cluster's document, also one whose name begins alike", () => {
  expect(reasonOf(signDesiredState({ ...state, cluster: clusterId("eu-10") }, signer))).toBe("WrongCluster");
});

test("goes forward only, and never takes two truths of one generation", () => {
  const taken = verifyDesiredState(signDesiredState(state, signer), expected);
  if (!taken.ok) throw new Error(taken.detail);
  const against = { ...expected, highWater: taken.highWater };
  const older = { ...state, generation: state.generation - 1n };
  expect(reasonOf(signDesiredState(older, signer), against)).toBe("Passed");
  expect(reasonOf(signDesiredState(state, signer), against)).toBe("taken");
  expect(reasonOf(signDesiredState({ ...state, entries: [] }, signer), against)).toBe("Equivocation");
  const nextEpoch = signerOf(root, 2);
  expect(reasonOf(signDesiredState({ ...older, epoch: 2 }, nextEpoch), against)).toBe("taken");
});

test("judges the key's expiry for new documents only", () => {
  const bytes = signDesiredState(state, signer);
  const taken = verifyDesiredState(bytes, expected);
  if (!taken.ok) throw new Error(taken.detail);
  const yearLater = { ...expected, now: now + 365 * 86_400_000 };
  expect(reasonOf(bytes, yearLater)).toBe("NotDelegated");
  expect(reasonOf(bytes, { ...yearLater, highWater: taken.highWater })).toBe("taken");
  expect(reasonOf(bytes, { ...expected, now: now - 10_000 })).toBe("NotDelegated");
});

test("refuses an application with two entries, and bytes that are nothing", () => {
  expect(reasonOf(signDesiredState({ ...state, entries: [run, { ...run }] }, signer))).toBe("Malformed");
  expect(reasonOf(new Uint8Array())).toBe("Malformed");
  expect(reasonOf(Buffer.from("not an envelope"))).toBe("Malformed");
});

test("means the same with another compressor, and something else with another digest, policy or mode", () => {
  const hash = semanticHash(state.entries);
  const changed = (change: Partial<RunEntry>): string =>
    semanticHash([...state.entries.slice(0, 2), { ...run, ...change }]);
  expect(semanticHash([...state.entries].reverse())).toBe(hash);
  expect(changed({ sealedKey: Buffer.alloc(80, 9), address: blobAddress("3".repeat(64)), slices: 4 })).toBe(hash);
  expect(changed({ digest: bundleDigest("4".repeat(64)) })).not.toBe(hash);
  expect(changed({ delivery: { ...delivery, drift: "report" } })).not.toBe(hash);
  expect(semanticHash([{ ...state.entries[0]!, kind: "remove", mode: "delete", commit: run.revision }])).not.toBe(
    semanticHash([{ ...state.entries[0]!, kind: "remove", mode: "orphan", commit: run.revision }]),
  );
  const [rule] = state.healthRules;
  const ruled = semanticHash(state.entries, [rule!]);
  expect(new Set([hash, ruled, semanticHash(state.entries, [{ ...rule!, failed: null }])]).size).toBe(3);
  expect(semanticHash(state.entries, [])).toBe(hash);
});
