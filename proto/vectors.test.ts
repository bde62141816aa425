import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { addressOf, canonicalBundle, digestOf, openBundle } from "#proto/bundle.ts";
import { compareOrder, type DesiredState } from "#proto/desired-state.ts";
import { delegate, rawPublicKey, semanticHash, signDesiredState, verifyDesiredState } from "#proto/envelope.ts";
import { applicationName, blobAddress, bundleDigest, clusterId, environmentName, revision } from "#proto/ids.ts";
import { parseJson } from "#proto/json.ts";
import type { KubeObject } from "#proto/object.ts";
import { openKey } from "#proto/sealed-key.ts";
import { subjects } from "#proto/subjects.ts";
import { checkJoinToken } from "#proto/token.ts";

// Agents in the field have these bytes stored, and hubs sign such documents: what reads or writes them otherwise breaks
// running fleets. A new form gets new vectors beside these.
type Vectors = {
  keys: { root: string; hub: string; agentSealing: string; contentSecret: string; tokenSecret: string };
  nowMs: number;
  bundle: { canonical: string; digest: string; address: string; contentKey: string; slices: string[] };
  sealedKey: string;
  delegation: string;
  envelope: string;
  semanticHash: string;
  joinToken: { text: string; cluster: string; notAfterMs: number };
};
const vectors = JSON.parse(
  readFileSync(new URL("../test/corpus/protocol/vectors.json", import.meta.url), "utf8"),
) as Vectors;
const bytes = (text: string): Buffer => Buffer.from(text, "base64");
const key = (pem: string) => createPrivateKey(pem);

const cluster = clusterId("eu-1");
const environment = environmentName("prod");
const now = vectors.nowMs;
const state: DesiredState = {
  cluster,
  epoch: 3,
  generation: 1_768_435_200_000n,
  fleetCommit: revision("b".repeat(40)),
  recordCommit: revision("c".repeat(40)),
  issuedAtMs: now,
  entries: [
    {
      kind: "remove",
      application: applicationName("api"),
      environment,
      mode: "orphan",
      commit: revision("a".repeat(40)),
    },
    { kind: "hold", application: applicationName("old"), environment, because: "render failed" },
    {
      kind: "run",
      application: applicationName("web"),
      environment,
      revision: revision("a".repeat(40)),
      digest: bundleDigest(vectors.bundle.digest),
      address: blobAddress(vectors.bundle.address),
      slices: 1,
      objects: 2,
      sealedKey: bytes(vectors.sealedKey),
      delivery: {
        drift: "report",
        strict: true,
        adopt: "take",
        serviceAccount: "deployer",
        timeoutMs: 300_000,
        prune: { enabled: true, budgetPercent: 20, protected: ["PersistentVolumeClaim"] },
        allowPrune: "3f2a",
        exceptions: [{ object: "Deployment shop/web", fields: ["spec.replicas"], untilMs: now, reason: "incident" }],
        soakMarksMs: [60_000, 600_000],
        dependsOn: [applicationName("db")],
        healingFrozen: { untilMs: null },
      },
    },
  ],
  // What these documents had no field for yet.
  healthRules: [],
};

test("a stored envelope is taken, and means what it meant", () => {
  const rootKey = rawPublicKey(key(vectors.keys.root));
  const verdict = verifyDesiredState(bytes(vectors.envelope), { rootKey, cluster, now });
  expect(verdict).toMatchObject({ ok: true, state });
  expect(compareOrder(state, { epoch: 3, generation: 1_768_435_199_999n })).toBeGreaterThan(0);
});

test("the same state, keys and grant give the same bytes", () => {
  const hub = key(vectors.keys.hub);
  const publicKey = rawPublicKey(hub);
  const delegation = delegate(key(vectors.keys.root), {
    hubKey: publicKey,
    epoch: 3,
    notBeforeMs: now - 1_000,
    notAfterMs: now + 1_000,
  });
  expect(Buffer.from(delegation).toString("base64")).toBe(vectors.delegation);
  const envelope = signDesiredState(state, { privateKey: hub, publicKey, delegation });
  expect(Buffer.from(envelope).toString("base64")).toBe(vectors.envelope);
});

test("the semantic hash is what it was: another would publish a whole fleet again", () => {
  expect(semanticHash(state.entries)).toBe(vectors.semanticHash);
});

test("a stored bundle opens with the sealed key, and its objects give its digest", () => {
  const { canonical, digest, address, contentKey, slices } = vectors.bundle;
  const named = { cluster, digest: bundleDigest(digest) };
  const opened = openKey(bytes(vectors.sealedKey), key(vectors.keys.agentSealing), named);
  expect(opened.toString("base64")).toBe(contentKey);
  expect(addressOf(slices.map(bytes))).toBe(address);
  const expected = { address: blobAddress(address), digest: named.digest, contentKey: opened };
  const objects = openBundle(slices.map(bytes), expected);
  expect(canonicalBundle(objects).toString("utf8")).toBe(canonical);
  const parsed = parseJson(canonical.slice(canonical.indexOf("\n") + 1)) as unknown as KubeObject[];
  expect(digestOf(canonicalBundle(parsed.toReversed()))).toBe(digest);
});

test("a join token of this secret is known", () => {
  const { text, cluster: named, notAfterMs } = vectors.joinToken;
  const check = checkJoinToken(text, bytes(vectors.keys.tokenSecret), now);
  expect(check).toMatchObject({ ok: true, token: { cluster: named, notAfterMs } });
});

test("the subjects are those that deployed permissions name", () => {
  const address = blobAddress("2".repeat(64));
  const name = applicationName("web");
  expect([
    subjects.lease,
    subjects.desired(cluster),
    subjects.blob(address, 0),
    subjects.status(cluster, name),
    subjects.event("drift", cluster),
    subjects.getDesired(cluster),
    subjects.getBlob(address, 1),
    subjects.notify(cluster),
    subjects.inbox(cluster),
  ]).toEqual([
    "plb.lease.hub",
    "plb.desired.eu-1",
    `plb.blob.${address}.0`,
    "plb.status.eu-1.web",
    "plb.events.drift.eu-1",
    "plb.get.desired.eu-1",
    `plb.get.blob.${address}.1`,
    "plb.notify.eu-1",
    "_INBOX.eu-1",
  ]);
});
