import type { ClusterReader, KindInfo, Selection } from "#agent/cluster/cluster.ts";
import { ApiError } from "#agent/cluster/errors.ts";
import { valueAt } from "#agent/drift/paths.ts";
import type { Clock } from "#lib/clock.ts";
import { reasonOf, type Log } from "#lib/log.ts";
import { backoffMs } from "#lib/retry.ts";
import { groupOf, refKey, refOf, type KubeObject } from "#proto/object.ts";

/** Which objects an autoscaler of this cluster scales, whoever made the autoscaler. */
export type Autoscalers = {
  /** Begins to follow them; resolves when all that are there are known. Again: follows kinds that came since, now and then. */
  start(): Promise<void>;
  scales(key: string): boolean;
  /** Asks the server for those of one namespace: a scale may be seen before the autoscaler that made it. */
  look(namespace: string): Promise<void>;
  ended(): Promise<void>;
};

const kinds = [
  { apiVersion: "autoscaling/v2", kind: "HorizontalPodAutoscaler" },
  { apiVersion: "keda.sh/v1alpha1", kind: "ScaledObject" },
] as const;
/** KEDA that came since makes itself known by what it makes; without that, an apply so much later asks for it. */
const newKindsMs = 600_000;
// Refused once, refused for long: a missing permission is not asked for every half minute.
const retries = { firstMs: 1_000, capMs: 300_000 };

type Parts = {
  cluster: ClusterReader;
  clock: Clock;
  log: Log;
  signal: AbortSignal;
  /** Only there; undefined: in the whole cluster. */
  namespaces: readonly string[] | undefined;
};

/** `released`: told of each object that no autoscaler names any more. */
export function createAutoscalers(parts: Parts, released: (key: string) => void): Autoscalers {
  const { cluster, clock, log, signal } = parts;
  const targets = new Map<string, string>();
  const following = new Map<string, { kind: KindInfo; first: Promise<void>; ended: Promise<void> }>();
  let discoveredAt = clock.monotonic();
  const scales = (key: string): boolean => [...targets.values()].includes(key);

  const note = (autoscaler: KubeObject, isThere: boolean): void => {
    const key = refKey(refOf(autoscaler));
    const before = targets.get(key);
    const target = isThere ? targetOf(autoscaler) : undefined;
    if (target === undefined) targets.delete(key);
    else targets.set(key, target);
    if (before !== undefined && before !== target && !scales(before)) released(before);
    // KEDA makes one of these for each of its own: its kind is served from now on at the latest.
    if (isOfKeda(autoscaler)) void followAll(true).catch(() => undefined);
  };

  /** Gives the version to watch from; what was listed is not held by the watch that follows. */
  const listAll = async (kind: KindInfo, namespace: string | undefined, selection: Selection): Promise<string> => {
    const { items, resourceVersion } = await cluster.list(kind, selection);
    const there = new Set(items.map((item) => refKey(refOf(item))));
    const prefix = `${kind.group}/${kind.kind}/${namespace === undefined ? "" : `${namespace}/`}`;
    for (const item of items) note(item, true);
    for (const [key, target] of targets)
      if (key.startsWith(prefix) && !there.has(key)) {
        targets.delete(key);
        if (!scales(target)) released(target);
      }
    return resourceVersion;
  };

  const follow = async (kind: KindInfo, namespace: string | undefined, known: () => void): Promise<void> => {
    const selection = namespace === undefined ? { signal } : { namespace, signal };
    let from: string | undefined;
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (from === undefined) {
          from = await listAll(kind, namespace, selection);
          known();
        }
        for await (const event of cluster.watch(kind, from, selection)) {
          failures = 0;
          if (event.type === "BOOKMARK") from = event.resourceVersion;
          else {
            from = event.object.metadata.resourceVersion ?? from;
            note(event.object, event.type !== "DELETED");
          }
        }
      } catch (error) {
        if (signal.aborted) return;
        from = undefined;
        known();
        log.info({ kind: kind.kind, because: reasonOf(error) }, "watch of autoscalers ended; it is begun again");
      }
      failures += 1;
      if (failures > 1) await clock.sleep(backoffMs(retries, failures - 1), { signal }).catch(() => undefined);
    }
  };

  const followAll = async (isToDiscover: boolean): Promise<void> => {
    if (isToDiscover) discoveredAt = clock.monotonic();
    for (const { apiVersion, kind } of kinds) {
      if (following.has(kind)) continue;
      const info = await (isToDiscover
        ? cluster.kindOf(apiVersion, kind, signal)
        : cluster.knownKind(apiVersion, kind, signal));
      if (info === undefined || following.has(kind)) continue;
      const all = (parts.namespaces ?? [undefined]).map((namespace) => {
        let known = (): void => undefined;
        const first = new Promise<void>((resolve) => (known = resolve));
        return { first, ended: follow(info, namespace, known).finally(known) };
      });
      following.set(kind, {
        kind: info,
        first: Promise.all(all.map(({ first }) => first)).then(() => undefined),
        ended: Promise.all(all.map(({ ended }) => ended)).then(() => undefined),
      });
    }
    await Promise.all([...following.values()].map(({ first }) => first));
  };

  return {
    start: () => followAll(clock.monotonic() - discoveredAt > newKindsMs),
    scales,
    async look(namespace) {
      await followAll(true);
      for (const { kind } of following.values())
        try {
          for (const item of (await cluster.list(kind, { namespace, signal })).items) note(item, true);
        } catch (error) {
          // Without that right there is no telling: a scale is then drift.
          if (!(error instanceof ApiError) || error.status !== 403) throw error;
        }
    },
    ended: async () => void (await Promise.all([...following.values()].map(({ ended }) => ended))),
  };
}

function targetOf(autoscaler: KubeObject): string | undefined {
  // KEDA's defaults; a HorizontalPodAutoscaler must name both.
  const at = (field: string): string | undefined => valueAt(autoscaler, `spec.scaleTargetRef.${field}`) as string;
  const name = at("name");
  if (name === undefined || autoscaler.metadata.deletionTimestamp !== undefined) return undefined;
  const { namespace = "" } = autoscaler.metadata;
  return refKey({ group: groupOf(at("apiVersion") ?? "apps/v1"), kind: at("kind") ?? "Deployment", namespace, name });
}

const isOfKeda = ({ metadata }: KubeObject): boolean =>
  ((metadata["ownerReferences"] ?? []) as { kind?: string }[]).some(({ kind }) => kind === "ScaledObject");
