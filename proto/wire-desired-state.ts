import { Adopt, DesiredState as Wire, DriftMode, RemoveMode } from "#proto/gen/plumbline/state/v1/state.ts";
import type {
  Delivery as WireDelivery,
  Entry as WireEntry,
  HealthRule as WireRule,
} from "#proto/gen/plumbline/state/v1/state.ts";
import type { Delivery, DesiredState, Entry, HealthRule } from "#proto/desired-state.ts";
import { applicationName, blobAddress, bundleDigest, clusterId, environmentName, revision } from "#proto/ids.ts";

/** Bytes of a desired state: entries sorted, so that the same state gives the same bytes. */
export function encodeDesiredState(state: DesiredState): Uint8Array {
  return Wire.encode({
    cluster: state.cluster,
    epoch: state.epoch,
    generation: state.generation,
    fleetCommit: state.fleetCommit,
    recordCommit: state.recordCommit,
    issuedAtMs: BigInt(state.issuedAtMs),
    entries: [...state.entries].sort(byApplication).map(entryToWire),
    healthRules: [...state.healthRules].sort(byName).map(ruleToWire),
  }).finish();
}

/** Parses and checks every field. Throws when the bytes are not a desired state that this agent understands whole. */
export function decodeDesiredState(bytes: Uint8Array): DesiredState {
  const wire = Wire.decode(bytes);
  const entries = wire.entries.map(entryFromWire);
  const twice = entries.find((entry, index) => entries.findIndex((e) => e.application === entry.application) < index);
  if (twice !== undefined) throw new Error(`application ${twice.application} has two entries`);
  return {
    cluster: clusterId(wire.cluster),
    epoch: wire.epoch,
    generation: wire.generation,
    fleetCommit: revision(wire.fleetCommit),
    recordCommit: wire.recordCommit === "" ? "" : revision(wire.recordCommit),
    issuedAtMs: Number(wire.issuedAtMs),
    entries,
    healthRules: wire.healthRules.map(ruleFromWire),
  };
}

export const byApplication = (a: Entry, b: Entry): number =>
  a.application < b.application ? -1 : a.application > b.application ? 1 : a.environment < b.environment ? -1 : 1;

export const byName = (a: HealthRule, b: HealthRule): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

const ruleToWire = ({ inProgress, failed, ...rule }: HealthRule): WireRule => ({
  ...rule,
  inProgress: inProgress ?? "",
  failed: failed ?? "",
});

const ruleFromWire = ({ inProgress, failed, ...rule }: WireRule): HealthRule => ({
  ...rule,
  inProgress: inProgress === "" ? null : inProgress,
  failed: failed === "" ? null : failed,
});

function entryToWire(entry: Entry): WireEntry {
  return { application: entry.application, environment: entry.environment, kind: kindToWire(entry) };
}

function kindToWire(entry: Entry): WireEntry["kind"] {
  switch (entry.kind) {
    case "run":
      return {
        $case: "run",
        value: {
          revision: entry.revision,
          digest: Buffer.from(entry.digest, "hex"),
          address: Buffer.from(entry.address, "hex"),
          slices: entry.slices,
          sealedKey: Buffer.from(entry.sealedKey),
          delivery: deliveryToWire(entry.delivery),
          objects: entry.objects,
          inputs: Buffer.from(entry.inputs ?? "", "hex"),
        },
      };
    case "hold":
      return { $case: "hold", value: { because: entry.because } };
    case "remove":
      return {
        $case: "remove",
        value: { mode: entry.mode === "delete" ? RemoveMode.DELETE : RemoveMode.ORPHAN, commit: entry.commit },
      };
  }
}

function entryFromWire(wire: WireEntry): Entry {
  const key = { application: applicationName(wire.application), environment: environmentName(wire.environment) };
  switch (wire.kind?.$case) {
    case "run": {
      const run = wire.kind.value;
      if (run.delivery === undefined) throw new Error(`entry of ${key.application} has no delivery policy`);
      return {
        ...key,
        kind: "run",
        revision: revision(run.revision),
        digest: bundleDigest(hex(run.digest)),
        address: blobAddress(hex(run.address)),
        slices: run.slices,
        objects: run.objects,
        sealedKey: run.sealedKey,
        delivery: deliveryFromWire(run.delivery),
        ...(run.inputs.length > 0 && { inputs: hex(run.inputs) }),
      };
    }
    case "hold":
      return { ...key, kind: "hold", because: wire.kind.value.because };
    case "remove":
      return {
        ...key,
        kind: "remove",
        mode: removeMode(wire.kind.value.mode),
        commit: revision(wire.kind.value.commit),
      };
    case undefined:
      // A later hub may know more kinds. What is not understood must not move anything.
      return { ...key, kind: "hold", because: "the entry is of a kind that this agent does not know" };
  }
}

function removeMode(mode: RemoveMode): "delete" | "orphan" {
  if (mode === RemoveMode.DELETE) return "delete";
  if (mode === RemoveMode.ORPHAN) return "orphan";
  throw new Error("a removal does not say whether to delete or to orphan");
}

function deliveryToWire(delivery: Delivery): WireDelivery {
  return {
    drift: delivery.drift === "correct" ? DriftMode.CORRECT : DriftMode.REPORT,
    strict: delivery.strict,
    adopt: { ifEqual: Adopt.IF_EQUAL, never: Adopt.NEVER, take: Adopt.TAKE }[delivery.adopt],
    serviceAccount: delivery.serviceAccount,
    timeoutMs: delivery.timeoutMs,
    prune: {
      enabled: delivery.prune.enabled,
      budgetPercent: delivery.prune.budgetPercent,
      protected: [...delivery.prune.protected],
    },
    allowPrune: delivery.allowPrune,
    exceptions: delivery.exceptions.map((exception) => ({
      object: exception.object,
      fields: [...exception.fields],
      untilMs: BigInt(exception.untilMs ?? 0),
      reason: exception.reason,
    })),
    soakMarksMs: [...delivery.soakMarksMs],
    dependsOn: [...delivery.dependsOn],
    healingFrozen: delivery.healingFrozen !== null,
    healingFrozenUntilMs: BigInt(delivery.healingFrozen?.untilMs ?? 0),
  };
}

function deliveryFromWire(wire: WireDelivery): Delivery {
  return {
    // A mode of a later hub is read as the one that writes least.
    drift: wire.drift === DriftMode.CORRECT ? "correct" : "report",
    strict: wire.strict,
    adopt: wire.adopt === Adopt.TAKE ? "take" : wire.adopt === Adopt.IF_EQUAL ? "ifEqual" : "never",
    serviceAccount: wire.serviceAccount,
    timeoutMs: wire.timeoutMs,
    prune: {
      enabled: wire.prune?.enabled ?? false,
      budgetPercent: wire.prune?.budgetPercent ?? 0,
      protected: wire.prune?.protected ?? [],
    },
    allowPrune: wire.allowPrune,
    exceptions: wire.exceptions.map((exception) => ({ ...exception, untilMs: orNever(exception.untilMs) })),
    soakMarksMs: wire.soakMarksMs,
    dependsOn: wire.dependsOn.map(applicationName),
    healingFrozen: wire.healingFrozen ? { untilMs: orNever(wire.healingFrozenUntilMs) } : null,
  };
}

const orNever = (ms: bigint): number | null => (ms === 0n ? null : Number(ms));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
