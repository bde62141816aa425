import { generateKeyPairSync, randomBytes } from "node:crypto";
import { signDesiredState, type Signer } from "#proto/envelope.ts";
import type { Delivery, Entry, HealthRule, RunEntry } from "#proto/desired-state.ts";
import { sealBundle } from "#proto/bundle.ts";
import { applicationName, environmentName, revision, type BlobAddress, type ClusterId } from "#proto/ids.ts";
import type { KubeObject } from "#proto/object.ts";
import { rawX25519, sealKey } from "#proto/sealed-key.ts";
import { sha256Hex } from "#proto/json.ts";
import { createHubKeys } from "./hub-keys.ts";

export const plainDelivery: Delivery = {
  drift: "correct",
  strict: false,
  adopt: "ifEqual",
  serviceAccount: "",
  timeoutMs: 2_000,
  prune: { enabled: true, budgetPercent: 20, protected: [] },
  allowPrune: "",
  exceptions: [],
  soakMarksMs: [],
  dependsOn: [],
  healingFrozen: null,
};

/** What a hub would publish to one cluster, without the hub: real keys, real bundles, real envelopes. */
export class Documents {
  readonly cluster: ClusterId;
  readonly sealingKey = generateKeyPairSync("x25519").privateKey;
  readonly rootKey: Buffer;
  readonly blobs = new Map<BlobAddress, readonly Buffer[]>();
  readonly #signer: Signer;
  readonly #contentSecret = randomBytes(32);
  /** In every document from now on. */
  healthRules: readonly HealthRule[] = [];
  #generation = 0n;

  constructor(cluster: ClusterId) {
    this.cluster = cluster;
    const { rootKey, documentSigner } = createHubKeys();
    this.rootKey = rootKey;
    this.#signer = documentSigner;
  }

  run(application: string, objects: readonly KubeObject[], delivery: Partial<Delivery> = {}): RunEntry {
    const sealed = sealBundle(objects, this.#contentSecret);
    this.blobs.set(sealed.address, sealed.slices);
    const context = { cluster: this.cluster, digest: sealed.digest };
    return {
      kind: "run",
      application: applicationName(application),
      environment: environmentName("prod"),
      revision: revision(sha256Hex(sealed.digest).slice(0, 40)),
      digest: sealed.digest,
      address: sealed.address,
      slices: sealed.slices.length,
      objects: objects.length,
      sealedKey: sealKey(sealed.contentKey, rawX25519(this.sealingKey), context),
      delivery: { ...plainDelivery, ...delivery },
    };
  }

  remove(application: string, mode: "delete" | "orphan", asked = 0): Entry {
    const commit = revision(asked.toString(16).padStart(40, "c"));
    return {
      kind: "remove",
      application: applicationName(application),
      environment: environmentName("prod"),
      mode,
      commit,
    };
  }

  hold(application: string, because: string): Entry {
    return { kind: "hold", application: applicationName(application), environment: environmentName("prod"), because };
  }

  sign(...entries: Entry[]): Uint8Array {
    this.#generation += 1n;
    const fleetCommit = revision("f".repeat(40));
    const state = {
      cluster: this.cluster,
      epoch: 1,
      generation: this.#generation,
      fleetCommit,
      recordCommit: "" as const,
    };
    return signDesiredState({ ...state, issuedAtMs: 0, entries, healthRules: this.healthRules }, this.#signer);
  }

  fetch = async (address: BlobAddress): Promise<Uint8Array[]> => {
    const slices = this.blobs.get(address);
    if (slices === undefined) throw new Error(`no blob ${address}`);
    return [...slices];
  };
}
