import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import type { DecidedRun } from "#hub/decide/inputs.ts";
import { DesiredStates } from "#hub/loop/desired.ts";
import type { Sealed } from "#hub/loop/renders.ts";
import { sealBundle } from "#proto/bundle.ts";
import { onceAnnotation } from "#proto/hooks.ts";
import { applicationName, clusterId, environmentName, revision, type BundleDigest } from "#proto/ids.ts";
import type { KubeObject } from "#proto/object.ts";
import { openKey, rawX25519 } from "#proto/sealed-key.ts";
import { createHubKeys } from "#test/harness/hub-keys.ts";

const cluster = clusterId("eu-1");
const position = { fleetCommit: revision("f".repeat(40)), recordCommit: "" as const };
const agent = generateKeyPairSync("x25519").privateKey;
const identity = createHubKeys();
const record = {
  cluster,
  spki: "",
  nkey: "",
  sealingKey: rawX25519(agent).toString("base64"),
  jti: "",
  acceptedBy: "",
  acceptedAtMs: 0,
  revoked: null,
};

/** The same digest at each rendering, at another address: its content is made up anew. */
const token = (text: string): KubeObject[] => [
  {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "token", namespace: "shop", annotations: { [onceAnnotation]: "once" } },
    stringData: { text },
  },
];
function rendered(text: string): Sealed {
  const { slices, ...sealed } = sealBundle(token(text), Buffer.alloc(32, 7));
  return { ...sealed, slices: slices.length, keys: ["/Secret/shop/token"], parameters: [], warnings: [] };
}
const first = rendered("one");
const second = rendered("two");
const wanted: DecidedRun = {
  kind: "run",
  application: applicationName("shop"),
  environment: environmentName("prod"),
  revision: revision("1".repeat(40)),
  digest: first.digest,
  delivery: {
    drift: "correct",
    strict: false,
    adopt: "ifEqual",
    serviceAccount: "",
    timeoutMs: 1_000,
    prune: { enabled: true, budgetPercent: 20, protected: [] },
    allowPrune: "",
    exceptions: [],
    soakMarksMs: [],
    dependsOn: [],
    healingFrozen: null,
  },
};

function draft(states: DesiredStates, sealed: Sealed | undefined, nowMs: number) {
  const of = (digest: BundleDigest): Sealed | undefined => (sealed?.digest === digest ? sealed : undefined);
  return states.draft(cluster, [wanted], record, of, position, nowMs, () => []);
}

/** The document that names the first rendering is published. */
function running(): DesiredStates {
  const states = new DesiredStates(identity);
  states.learnEmpty(cluster);
  states.published(draft(states, first, 1)!);
  return states;
}
const addressesOf = (states: DesiredStates): string[] => [...states.addresses()];

test("a rendering of the same digest at another address is no news while the first blob is there", () => {
  const states = running();
  expect(second.digest).toBe(first.digest);
  expect(second.address).not.toBe(first.address);
  expect(draft(states, second, 2)).toBeUndefined();
  expect(addressesOf(states)).toEqual([first.address]);
});

test("a blob that is lost is replaced by the one that was rendered since, with its own key, and once", () => {
  const states = running();
  states.lose(first.address);
  const moved = draft(states, second, 2)!;
  expect(moved.state.entries).toMatchObject([{ kind: "run", digest: first.digest, address: second.address }]);
  expect(moved.state.generation).toBeGreaterThan(states.known(cluster)!.state.generation);
  const [entry] = moved.state.entries;
  const sealedKey = entry?.kind === "run" ? entry.sealedKey : Buffer.alloc(0);
  expect(openKey(sealedKey, agent, { cluster, digest: second.digest })).toEqual(second.contentKey);
  states.published(moved);
  expect(addressesOf(states)).toEqual([second.address]);
  expect(draft(states, second, 3)).toBeUndefined();
});

test("a lost blob is named on while nothing was rendered in its place, and nothing is published for it", () => {
  const states = running();
  states.lose(first.address);
  expect(draft(states, undefined, 2)).toBeUndefined();
  expect(addressesOf(states)).toEqual([first.address]);
});

test("that some other blob is lost changes no document", () => {
  const states = running();
  states.lose(second.address);
  expect(draft(states, second, 2)).toBeUndefined();
});
