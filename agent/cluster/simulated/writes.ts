import { isDeepStrictEqual } from "node:util";
import type { Json, JsonObject, KubeObject } from "#proto/object.ts";
import { canonicalObject } from "./canonical.ts";
import { created } from "./creation.ts";
import { defaulted, zeroOf } from "./defaults.ts";
import { checkImmutable } from "./immutable.ts";
import type { Kind } from "./kinds.ts";
import { applyFields, updateFields, type Writer } from "./ownership.ts";
import * as refusals from "./refusals.ts";
import type { Store } from "./store.ts";

export type WriteOptions = {
  readonly manager: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly subresource?: string;
};

/** The writes of the API server, each one whole or not at all. Refusals are ApiErrors. */
export type Writes = {
  apply(kind: Kind, config: KubeObject, options: WriteOptions): KubeObject;
  create(kind: Kind, object: KubeObject, options: WriteOptions): KubeObject;
  replace(kind: Kind, object: KubeObject, options: WriteOptions): KubeObject;
};

export const groupKindOf = ({ group, kind }: Pick<Kind, "group" | "kind">): string => `${group}/${kind}`;
export const secondOf = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");

const dns = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

export function createWrites(store: Store, now: () => number): Writes {
  const liveOf = (kind: Kind, { metadata }: KubeObject): KubeObject | undefined =>
    store.get(groupKindOf(kind), metadata.namespace ?? "", metadata.name);

  const writerOf = (
    kind: Kind,
    operation: Writer["operation"],
    { manager, subresource = "" }: WriteOptions,
  ): Writer => ({
    manager,
    operation,
    subresource,
    apiVersion: kind.group === "" ? kind.version : `${kind.group}/${kind.version}`,
    now: secondOf(now()),
    resets: subresource === "" && kind.hasStatus ? ["f:status"] : [],
  });

  /** Stores what a write made of `live`; a write that changes nothing is none. */
  const finish = (kind: Kind, live: KubeObject | undefined, written: KubeObject, dryRun = false): KubeObject => {
    const whole = kind.isCustom ? withoutNulls(written) : defaulted(canonicalObject(written));
    if (live === undefined) {
      checkNamespace(store, kind, whole);
      const fresh = created(kind, whole, secondOf(now()), store.version);
      return dryRun ? fresh : store.put(groupKindOf(kind), fresh);
    }
    const next = carriedOver(kind, live, whole);
    checkImmutable(kind, live, next);
    if (isDeepStrictEqual(withoutTimes(next), withoutTimes(live))) return live;
    if (dryRun) return next;
    const stored = store.put(groupKindOf(kind), next);
    const isEnded = next.metadata.deletionTimestamp !== undefined && (next.metadata.finalizers ?? []).length === 0;
    return isEnded && kind.kind !== "Namespace" ? store.drop(groupKindOf(kind), stored) : stored;
  };

  return {
    apply(kind, config, options) {
      const live = liveOf(kind, config);
      checkConfig(kind, config, live);
      // Without a status subresource the status is a field as any other.
      const { status, ...wanted } = config;
      const sent = (kind.hasStatus || status === undefined ? wanted : config) as KubeObject;
      const writer = writerOf(kind, "Apply", options);
      const force = options.force ?? false;
      const given = structuredClone(sent);
      let written: KubeObject;
      try {
        written = applyFields(live, given, kind.schema, { writer, force, zero: zeroOf(kind.kind) });
      } catch (error) {
        if (error instanceof Error && error.name !== "ApiError")
          throw refusals.untyped(kind, placeOf(config), error.message);
        throw error;
      }
      return finish(kind, live, written, options.dryRun);
    },
    create(kind, object, options) {
      checkNamespace(store, kind, object);
      checkName(kind, object.metadata.name);
      if (liveOf(kind, object) !== undefined) throw refusals.alreadyExists(kind, object.metadata.name);
      const { status: _, ...wanted } = object;
      const given = kind.isCustom ? withoutNulls(object) : defaulted(kind.hasStatus ? wanted : object);
      const writer = writerOf(kind, "Update", options);
      return finish(kind, undefined, updateFields(undefined, given, kind.schema, { writer, zero: zeroOf(kind.kind) }));
    },
    replace(kind, object, options) {
      const live = liveOf(kind, object);
      if (live === undefined) throw refusals.notFound(kind, object.metadata.name);
      checkPreconditions(kind, object, live);
      const subresource = options.subresource ?? "";
      const given = onlyOf(subresource, kind, live, object);
      const whole = kind.isCustom ? withoutNulls(given) : defaulted(canonicalObject(given));
      const next = carriedOver(kind, live, whole);
      const writer = writerOf(kind, "Update", options);
      return finish(kind, live, updateFields(live, next, kind.schema, { writer, zero: zeroOf(kind.kind) }));
    },
  };
}

/** A write of status changes nothing else, and the other way round. */
function onlyOf(subresource: string, kind: Kind, live: KubeObject, object: KubeObject): KubeObject {
  if (!kind.hasStatus) return object;
  const [wanted, status] = subresource === "status" ? [live, object["status"]] : [object, live["status"]];
  const { status: _, ...rest } = wanted;
  const given = (status === undefined ? rest : { ...rest, status }) as KubeObject;
  return { ...given, metadata: { ...given.metadata } };
}

/** What a write cannot change stays, and the generation counts what it did. */
function carriedOver(kind: Kind, live: KubeObject, written: KubeObject): KubeObject {
  const metadata: Record<string, unknown> = { ...written.metadata };
  for (const name of ["uid", "creationTimestamp", "resourceVersion", "generation", "deletionTimestamp"] as const)
    if (live.metadata[name] === undefined) delete metadata[name];
    else metadata[name] = live.metadata[name];
  const kept = live.metadata["deletionGracePeriodSeconds"];
  if (kept !== undefined) metadata["deletionGracePeriodSeconds"] = kept;
  const next = {
    ...written,
    apiVersion: live.apiVersion,
    ...(kind.hasStatus && written["status"] === undefined && live["status"] !== undefined
      ? { status: live["status"] }
      : {}),
    metadata,
  } as KubeObject;
  if (kind.hasGeneration && !isDeepStrictEqual(wantedOf(kind, next), wantedOf(kind, live)))
    next.metadata.generation = (live.metadata.generation ?? 0) + 1;
  return next;
}

function wantedOf(kind: Kind, object: KubeObject): JsonObject {
  const { metadata: _, status, ...wanted } = object;
  return (kind.hasStatus || status === undefined ? wanted : { ...wanted, status }) as JsonObject;
}

function withoutTimes(object: KubeObject): KubeObject {
  const entries = (object.metadata.managedFields ?? []).map(({ time: _time, ...entry }) => entry);
  const sorted = entries.map((entry) => [JSON.stringify([entry.operation, entry.manager, entry.subresource]), entry]);
  return {
    ...object,
    metadata: { ...object.metadata, managedFields: Object.fromEntries(sorted) as never },
  };
}

function withoutNulls(object: KubeObject): KubeObject {
  const clean = (value: Json): Json => {
    if (Array.isArray(value)) return value.map(clean);
    if (typeof value !== "object" || value === null) return value;
    const members = Object.entries(value).filter(([, inner]) => inner !== null && inner !== undefined);
    return Object.fromEntries(members.map(([name, inner]) => [name, clean(inner)]));
  };
  return clean(object as JsonObject) as KubeObject;
}

function checkConfig(kind: Kind, config: KubeObject, live: KubeObject | undefined): void {
  checkName(kind, config.metadata.name);
  for (const name of Object.keys(config))
    if (kind.members !== undefined && !["apiVersion", "kind", "metadata", ...kind.members].includes(name))
      throw refusals.undeclaredField(kind, placeOf(config), name);
  if (live !== undefined) checkPreconditions(kind, config, live);
}

function checkPreconditions(kind: Kind, object: KubeObject, live: KubeObject): void {
  const { uid, resourceVersion, name } = object.metadata;
  if (uid !== undefined && uid !== live.metadata.uid)
    throw refusals.conflict(
      kind,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${live.metadata.uid}`,
    );
  if (resourceVersion !== undefined && resourceVersion !== live.metadata.resourceVersion)
    throw refusals.conflict(kind, name, refusals.modified);
}

function checkName(kind: Kind, name: string): void {
  if (name.length > 253 || !(kind.group === "rbac.authorization.k8s.io" || dns.test(name)))
    throw refusals.invalid(kind, name, "metadata.name", `Invalid value: ${JSON.stringify(name)}`);
}

function checkNamespace(store: Store, kind: Kind, { metadata }: KubeObject): void {
  if (!kind.namespaced) return;
  const namespace = metadata.namespace ?? "";
  const found = store.get("/Namespace", "", namespace);
  if (found === undefined) throw refusals.namespaceMissing(namespace);
  if (found.metadata.deletionTimestamp !== undefined)
    throw refusals.namespaceTerminating(kind, metadata.name, namespace);
}

const placeOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ""}/${metadata.name}`;
