import { namedNamespaces } from "#agent/authority/limits.ts";
import type { KindInfo, Selection } from "#agent/cluster/cluster.ts";
import { ApiError, ServerAway, UnknownKind, WatchExpired, WatchSilent } from "#agent/cluster/errors.ts";
import { backoffMs } from "#lib/retry.ts";
import { reasonOf } from "#lib/log.ts";
import { parseRefKey } from "#proto/object.ts";
import { agentLabel } from "./bundles.ts";
import { addressOfKey, record, type Context } from "./context.ts";
import { judgeEvent, judgeHealthAgain, judgeList, type Suspicion } from "./judge.ts";
import { ownedOf, type Tracked } from "./model.ts";

const retries = { firstMs: 500, capMs: 30_000 };
/** A right to the whole cluster may come later: with an apply that is so much later, it is asked for again. */
const wholeAgainMs = 3_600_000;
/** What may not be listed or watched is looked at this often (rule R11). */
const lookEveryMs = 60_000;

/** Everything of one kind with this agent's label: by one watch, or where that is forbidden by one in each namespace of its objects. */
export type KindWatch = {
  /** Follows all that is tracked of this kind now; resolves when it was listed, and judged, once. */
  cover(): Promise<void>;
  /** Judges the health of all its objects by other rules: one LIST, no write. */
  judgeHealth(signal: AbortSignal): Promise<void>;
  ended(): Promise<void>;
};

type Suspect = (key: string, suspicion: Suspicion) => void;
type Task = { readonly first: Promise<void>; readonly ended: Promise<void>; readonly stop: () => void };

export function watchKind(context: Context, kind: KindInfo, suspect: Suspect): KindWatch {
  const { clock } = context;
  const name = kind.group === "" ? kind.kind : `${kind.kind}.${kind.group}`;
  const said = new Set<string>();
  const all: Promise<void>[] = [];
  const inNamespace = new Map<string, Task>();
  // Which namespaces there are is said by this cluster's limits: the rest need not even be asked for.
  const hasNamedLimits = kind.namespaced && namedNamespaces(context.authority.limits) !== undefined;
  let isSplit = hasNamedLimits;
  let whole: Task | undefined;
  let wholeAt = 0;

  /** Said once to each Application that it concerns. */
  const say = (text: string, namespace: string | undefined): void => {
    for (const { application } of trackedOf(context, kind, namespace)) {
      if (said.has(`${application} ${text}`)) continue;
      said.add(`${application} ${text}`);
      context.log.warn({ application, kind: name }, text);
      const state = context.model.applications.get(application);
      if (state !== undefined) record(context, state, { $case: "notice", value: { text } });
    }
  };
  const begin = (namespace: string | undefined): Task => {
    const stop = new AbortController();
    const signal = AbortSignal.any([context.signal, stop.signal]);
    let listed = (): void => undefined;
    const first = new Promise<void>((resolve) => (listed = resolve));
    const ended = follow({ context, kind, namespace, signal, suspect, say, listed, split, join }).finally(listed);
    all.push(ended);
    return { first, ended, stop: () => stop.abort(new Error("watched over the whole cluster")) };
  };
  const coverNamespaces = async (): Promise<void> => {
    const namespaces = new Set(trackedOf(context, kind, undefined).map(({ key }) => parseRefKey(key).namespace));
    for (const namespace of namespaces) if (!inNamespace.has(namespace)) inNamespace.set(namespace, begin(namespace));
    await Promise.all([...inNamespace.values()].map(({ first }) => first));
  };
  const sayForbidden = (): void =>
    say(
      `${name} may not be listed and watched in the whole cluster: there is one watch in each namespace of its objects`,
      undefined,
    );
  const split = async (): Promise<void> => {
    isSplit = true;
    sayForbidden();
    await coverNamespaces();
  };
  const join = (): void => {
    if (!isSplit) return;
    isSplit = false;
    for (const { stop } of inNamespace.values()) stop();
    inNamespace.clear();
  };

  return {
    async cover() {
      const isDue = whole === undefined || (isSplit && clock.monotonic() - wholeAt > wholeAgainMs);
      if (isDue && !hasNamedLimits) {
        wholeAt = clock.monotonic();
        whole = begin(undefined);
      }
      await whole?.first;
      if (!isSplit) return;
      if (!hasNamedLimits) sayForbidden();
      await coverNamespaces();
    },
    async judgeHealth(signal) {
      for (const namespace of isSplit ? inNamespace.keys() : [undefined]) {
        const { items } = await context.cluster.list(kind, selectionOf(context, namespace, signal));
        for (const object of items) judgeHealthAgain(context, object);
      }
    },
    ended: async () => void (await Promise.all(all)),
  };
}

type Following = {
  readonly context: Context;
  readonly kind: KindInfo;
  /** Undefined: the whole cluster. */
  readonly namespace: string | undefined;
  readonly signal: AbortSignal;
  readonly suspect: Suspect;
  readonly say: (text: string, namespace: string | undefined) => void;
  readonly listed: () => void;
  /** The whole cluster may not be watched: each namespace is. */
  readonly split: () => Promise<void>;
  /** It may be, after all. */
  readonly join: () => void;
};

/** Lists, judges, watches, and begins again when the watch ends; from where it was, whenever the server still knows. */
async function follow(following: Following): Promise<void> {
  const { context, namespace, signal, suspect, listed } = following;
  const { cluster, clock, log } = context;
  const selection = selectionOf(context, namespace, signal);
  let { kind } = following;
  let from: string | undefined;
  let failures = 0;
  while (!signal.aborted) {
    let waitMs = 0;
    try {
      if (from === undefined) {
        from = await listAndJudge(following, kind, selection);
        listed();
      }
      for await (const event of cluster.watch(kind, from, selection)) {
        failures = 0;
        from = event.type === "BOOKMARK" ? event.resourceVersion : (event.object.metadata.resourceVersion ?? from);
        if (event.type !== "BOOKMARK") judgeEvent(context, event, suspect);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (isToListAgain(error)) from = undefined;
      if (error instanceof UnknownKind) {
        // Its CRD may have dropped this version: the objects are the same under another.
        from = undefined;
        kind = (await servedNow(context, kind)) ?? kind;
      }
      if (isForbidden(error)) {
        from = undefined;
        if (namespace === undefined && kind.namespaced) return following.split();
        waitMs = await lookAtEach(following, kind, error);
      } else if (isNotServed(error)) waitMs = await lookAtEach(following, kind, error);
      else log.info({ kind: kind.kind, because: reasonOf(error) }, "watch ended; it is begun again");
      // Whoever waits to apply goes on: what cannot be listed is said, not waited for.
      listed();
    }
    failures += 1;
    // The first end of a healthy watch is everyday: a server restarts, a connection has lived long enough.
    if (waitMs === 0 && failures > 1) waitMs = backoffMs(retries, failures - 1);
    if (waitMs > 0) await clock.sleep(waitMs, { signal }).catch(() => undefined);
  }
}

/**
 * After these nothing tells whether `from` still means what it did: a server that was away may be back with older data,
 * and may have come to the same versions by another way.
 */
const isToListAgain = (error: unknown): boolean =>
  error instanceof WatchExpired || error instanceof WatchSilent || error instanceof ServerAway;

/** Gives the version to watch from. By itself, because whoever watches for weeks would hold all that was listed as long. */
async function listAndJudge(following: Following, kind: KindInfo, selection: Selection): Promise<string> {
  const { context, namespace, suspect } = following;
  const before = new Map(confirmedOf(context, kind, namespace).map(({ key, version }) => [key, version]));
  const list = await context.cluster.list(kind, selection);
  if (namespace === undefined) following.join();
  judgeList(context, list, { before, now: confirmedOf(context, kind, namespace) }, suspect);
  return list.resourceVersion;
}

const isForbidden = (error: unknown): error is ApiError => error instanceof ApiError && error.status === 403;

/** Its server has no such request for this kind: an aggregated API may do without watches. */
const isNotServed = (error: unknown): error is ApiError => error instanceof ApiError && error.status === 405;

/** Does without the watch as well as it may. Gives the wait until it is tried again. */
async function lookAtEach(following: Following, kind: KindInfo, error: ApiError): Promise<number> {
  const { context, namespace, say } = following;
  const where = namespace === undefined ? "" : ` in ${namespace}`;
  const may = isForbidden(error) ? "may not" : "cannot";
  say(
    `${kind.kind}${where} ${may} be listed and watched: each object is looked at every ${lookEveryMs / 1_000} s (${error.message})`,
    namespace,
  );
  for (const { key } of trackedOf(context, kind, namespace)) await lookAt(following, key);
  return lookEveryMs;
}

async function lookAt({ context, signal, suspect }: Following, key: string): Promise<void> {
  const tracked = context.model.tracked.get(key);
  const owned = tracked && ownedOf(context.model, tracked);
  if (tracked === undefined || owned === undefined) return;
  try {
    const object = await context.cluster.get(addressOfKey(key, owned), signal);
    if (object === undefined) suspect(key, { kind: "missing" });
    else judgeEvent(context, { type: "MODIFIED", object }, suspect);
  } catch (error) {
    if (signal.aborted || !isForbidden(error)) return;
    // Not seen at all is not well: an Application of such objects is Unknown, with the reason.
    tracked.health = { state: "Unknown", reason: `may not be looked at: ${error.message}` };
    const application = context.model.applications.get(tracked.application);
    if (application !== undefined) context.touched(application);
  }
}

const servedNow = ({ cluster, signal }: Context, { group, version, kind }: KindInfo): Promise<KindInfo | undefined> =>
  cluster.servedKind(group === "" ? version : `${group}/${version}`, kind, signal).catch(() => undefined);

const selectionOf = ({ clusterId }: Context, namespace: string | undefined, signal: AbortSignal) => ({
  labelSelector: `${agentLabel}=${clusterId}`,
  signal,
  ...(namespace === undefined ? {} : { namespace }),
});

const confirmedOf = (context: Context, kind: KindInfo, namespace: string | undefined): Tracked[] =>
  trackedOf(context, kind, namespace).filter((tracked) => (ownedOf(context.model, tracked)?.baseline ?? null) !== null);

function trackedOf(context: Context, kind: KindInfo, namespace: string | undefined): Tracked[] {
  // How their keys begin: to take thousands apart at the begin of each watch would cost more than the watch.
  const start = `${kind.group}/${kind.kind}/${namespace === undefined ? "" : `${namespace}/`}`;
  return [...context.model.tracked.values()].filter(({ key }) => key.startsWith(start));
}
