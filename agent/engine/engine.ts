import { wholeCluster, type Authority } from "#agent/authority/authority.ts";
import { namedNamespaces } from "#agent/authority/limits.ts";
import { openWriter } from "#agent/authority/writer.ts";
import { DeletionBreaker } from "#agent/apply/breaker.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { healthOf } from "#agent/health/health.ts";
import type { Journal } from "#agent/report/journal.ts";
import { openState } from "#agent/state/store.ts";
import type { Clock } from "#lib/clock.ts";
import { KeyedWorker } from "#lib/keyed-worker.ts";
import { reasonOf, type Log } from "#lib/log.ts";
import { backoffMs } from "#lib/retry.ts";
import { Slots } from "#lib/slots.ts";
import type { Telemetry } from "#lib/telemetry.ts";
import type { ApplicationStatus } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { ApplicationName, ClusterId } from "#proto/ids.ts";
import { verifyDesiredState } from "#proto/envelope.ts";
import { compareOrder } from "#proto/desired-state.ts";
import { parseRefKey } from "#proto/object.ts";
import { sha256Hex } from "#proto/json.ts";
import { lookAtYielded } from "./after-apply.ts";
import { createAgainLater } from "./again-later.ts";
import { createAutoscalers } from "./autoscalers.ts";
import { createCauses } from "./causes.ts";
import { saveHead, tellLoss, type Context } from "./context.ts";
import { fetchBundles, fetchRetryMs, openStored, takeDocument, type FetchBlob, type Trust } from "./documents.ts";
import { heal } from "./heal.ts";
import { createOwnershipPace } from "./ownership-pace.ts";
import { createRulesInForce } from "./health-rules.ts";
import { judgeHeld, type Suspicion } from "./judge.ts";
import { applicationOf, createModel, settle, track, type ApplicationState } from "./model.ts";
import { tellReceipts, repeatReceipt } from "./receipts.ts";
import { reconcile } from "./reconcile.ts";
import { statusOf } from "./status.ts";
import { createWatches } from "./watches.ts";

/** Applications applied at once; each has its own eight requests in flight, so a few keep a server busy. */
const applicationsAtOnce = 4;
/** Reconciled at once, with those that wait for a hook, a wave or a retry: they cost next to nothing. */
const waitingAtOnce = 10_000;
/** Heals in flight. */
const healsAtOnce = 8;
/** More deletions than this in an hour are a mistake until a person on the spot says otherwise. */
const deletionsAnHour = 500;
const collectEveryMs = 3_600_000;
const retries = { firstMs: 1_000, capMs: 60_000 };

export type EngineOptions = {
  readonly cluster: Cluster;
  readonly clusterId: ClusterId;
  readonly namespace: string;
  /** Without it: everything, in the agent's own name. */
  readonly authority?: Authority;
  readonly trust: Trust;
  readonly fetch: FetchBlob;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Log;
  readonly telemetry: Telemetry;
  /** Told of each Application whose status is another now. */
  readonly onStatus: (status: ApplicationStatus) => void;
};

/** Keeps one cluster at its newest verified document, alone if it must. */
export type Engine = AsyncDisposable & {
  take(bytes: Uint8Array, traceparent: string): void;
  statuses(): ApplicationStatus[];
  /** The newest verified document, byte for byte; empty before the first. */
  envelope(): Uint8Array;
  order(): { epoch: number; generation: bigint };
  /** Receipts again, for a hub that lost them. */
  repeatReceipts(): void;
  /** Resolves when nothing is being fetched, applied or healed. */
  settled(): Promise<void>;
};

/** Loads what was known, compares the cluster with it, heals what differs, and then follows documents. */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const { cluster, clusterId, namespace, trust, clock, log, authority = wholeCluster } = options;
  const life = new AbortController();
  const model = createModel();
  const store = openState(cluster, namespace);
  const healthRules = createRulesInForce();
  const suspicions = new Map<string, Suspicion>();
  const sentStatus = new Map<ApplicationName, string>();
  const failures = new Map<ApplicationName, number>();
  const healFailures = new Map<string, number>();
  const waiters = new Set<() => void>();
  let dirty = new Set<ApplicationState>();
  let fetching: Promise<void> = Promise.resolve();
  let fetchRound = 0;
  let rewriting: Promise<void> | undefined;

  const againLater = createAgainLater(clock, life.signal, (name) => reconcilers.add(name));
  const context: Context = {
    cluster,
    clusterId,
    namespace,
    authority,
    writer: (delivery) => openWriter(cluster, authority, namespace, delivery?.serviceAccount ?? ""),
    model,
    store,
    journal: options.journal,
    breaker: new DeletionBreaker(deletionsAnHour, () => clock.monotonic()),
    ownershipPace: createOwnershipPace(() => clock.monotonic()),
    clock,
    log,
    telemetry: options.telemetry,
    salt: sha256Hex(`drift salt ${clusterId} ${trust.sealingKey.export({ format: "jwk" }).d ?? ""}`),
    signal: life.signal,
    touched(application) {
      if (dirty.size === 0) setImmediate(tellStatus);
      dirty.add(application);
    },
    healthOf: (object) => healthOf(object, clock.now(), healthRules.now),
    released: (tracked) => judgeHeld(context, tracked, suspect),
    look: (key) => {
      if (!suspicions.has(key)) suspect(key, { kind: "missing" });
    },
    remember(application) {
      application.isUnsaved = true;
      reconcilers.add(application.name);
    },
    again: ({ name }) => reconcilers.add(name),
    againIn: ({ name }, ms) => againLater(name, ms),
    slots: new Slots(applicationsAtOnce),
    memoryDoubted: () => void (rewriting ??= rewriteMemory().finally(() => (rewriting = undefined))),
    autoscalers: createAutoscalers(
      { cluster, clock, log, signal: life.signal, namespaces: namedNamespaces(authority.limits) },
      (key) => context.look(key),
    ),
    causes: createCauses({
      cluster,
      clock,
      log,
      signal: life.signal,
      isTracked: (tracked) => model.tracked.get(tracked.key) === tracked,
      found: (tracked) => context.touched(applicationOf(model, tracked.application)),
    }),
    watch: (apiVersion, kind) => watches.start(apiVersion, kind),
    async until(holds, limitMs, signal) {
      if (holds()) return true;
      const limit = new AbortController();
      const both = AbortSignal.any([signal, limit.signal]);
      return new Promise<boolean>((resolve, reject) => {
        const done = (value: boolean): void => {
          waiters.delete(look);
          limit.abort();
          resolve(value);
        };
        const look = (): void => (holds() ? done(true) : undefined);
        waiters.add(look);
        clock.sleep(limitMs, { signal: both }).then(
          () => done(false),
          (error: unknown) => {
            waiters.delete(look);
            if (signal.aborted) reject(error);
          },
        );
      });
    },
  };

  function tellStatus(): void {
    const touched = dirty;
    dirty = new Set();
    for (const application of touched) {
      tellReceipts(context, application);
      const status = statusOf(context, application);
      const text = JSON.stringify({ ...status, atMs: "", generation: "" }, (_key, value: unknown) =>
        typeof value === "bigint" ? String(value) : value,
      );
      if (sentStatus.get(application.name) === text) continue;
      sentStatus.set(application.name, text);
      options.onStatus(status);
    }
    for (const application of model.applications.values())
      if ([...touched].some(({ name }) => application.waitsFor.has(name))) reconcilers.add(application.name);
    for (const look of waiters) look();
  }

  function suspect(key: string, suspicion: Suspicion): void {
    suspicions.set(key, suspicion);
    healers.add(key);
  }

  const healers = new KeyedWorker<string>(async (key) => {
    const suspicion = suspicions.get(key);
    suspicions.delete(key);
    if (suspicion === undefined || life.signal.aborted) return;
    let again: number | undefined;
    try {
      again = await heal(context, key, suspicion);
      healFailures.delete(key);
    } catch (error) {
      if (life.signal.aborted) return;
      log.warn({ object: key, because: reasonOf(error) }, "heal failed; it is tried again");
      const attempt = (healFailures.get(key) ?? 0) + 1;
      healFailures.set(key, attempt);
      again = backoffMs(retries, attempt);
    }
    if (again === undefined) return;
    later(again, () => context.look(key));
  }, healsAtOnce);

  const reconcilers = new KeyedWorker<ApplicationName>(async (name) => {
    const application = applicationOf(model, name);
    try {
      await context.slots.within(() => reconcile(context, application));
      if (application.isUnsaved && application.head !== undefined) {
        application.isUnsaved = false;
        await saveHead(context, application, application.head);
      }
      failures.delete(name);
      // An object that moved away is forgotten by its former owner once the new one has it.
      for (const other of waitingForMoves(name)) reconcilers.add(other);
    } catch (error) {
      if (life.signal.aborted) return;
      const attempt = (failures.get(name) ?? 0) + 1;
      failures.set(name, attempt);
      log.warn({ application: name, because: reasonOf(error) }, "apply stopped; it is tried again");
      settle(context, application, "Failed", reasonOf(error));
      later(backoffMs(retries, attempt), () => reconcilers.add(name));
    }
  }, waitingAtOnce);

  function waitingForMoves(name: ApplicationName): ApplicationName[] {
    const mine = model.applications.get(name)?.head?.inventory;
    if (mine === undefined) return [];
    return [...model.applications.values()]
      .filter((other) => other.name !== name && other.bundle !== undefined && other.head?.complete === true)
      .filter(({ head, bundle }) => [...head!.inventory.keys()].some((key) => mine.has(key) && !bundle!.keys.has(key)))
      .map((other) => other.name);
  }

  function later(ms: number, work: () => void): void {
    clock.sleep(ms, { signal: life.signal }).then(work, () => undefined);
  }

  const watches = createWatches(context, suspect);

  /** Fetches what is missing, again and again while it is; each round begun anew by a newer document. */
  async function fetchAndReconcile(): Promise<void> {
    const round = ++fetchRound;
    const isNewest = (): boolean => round === fetchRound && !life.signal.aborted;
    for (let attempt = 1; isNewest(); attempt += 1) {
      const missing = await fetchBundles(context, trust, options.fetch);
      const names = attempt === 1 ? model.document!.state.entries.map(({ application }) => application) : [];
      for (const name of new Set([...names, ...model.applications.keys()])) reconcilers.add(name);
      void reconcilers.idle().then(saveDocument);
      if (missing.length === 0) return;
      await clock.sleep(fetchRetryMs(attempt), { signal: life.signal });
    }
  }

  /** Says which rules of the newest document are of no use here, and gives the kinds that others judge now. */
  function takeHealthRules(): ReadonlySet<string> {
    const { changed, problems } = healthRules.take(model.document?.state.healthRules ?? []);
    for (const text of problems) {
      log.warn({ problem: text }, "a health rule cannot be used");
      const about = { atMs: BigInt(clock.now()), application: "", environment: "", traceparent: "" };
      options.journal.record({ ...about, body: { $case: "notice", value: { text } } });
    }
    return changed;
  }

  async function saveDocument(): Promise<void> {
    const { unsaved } = model;
    if (unsaved === undefined || life.signal.aborted) return;
    try {
      await store.saveEnvelope(unsaved, life.signal);
      if (model.unsaved === unsaved) model.unsaved = undefined;
    } catch (error) {
      if (!life.signal.aborted) log.warn({ because: reasonOf(error) }, "document not saved; the next change saves it");
    }
  }

  /** Everything that is remembered, into whatever Secrets there are now. */
  async function rewriteMemory(): Promise<void> {
    try {
      await store.recheck(life.signal);
      model.unsaved ??= model.document?.bytes;
      for (const application of model.applications.values()) {
        const { head, bundle } = application;
        if (head === undefined) continue;
        if (bundle !== undefined && head.run?.address === bundle.run.address)
          await store.saveSlices(bundle.run.address, bundle.slices, life.signal);
        context.remember(application);
      }
      tellLoss(context, "", "the API server went back in time; what the agent knows is written anew");
    } catch (error) {
      if (!life.signal.aborted)
        log.warn({ because: reasonOf(error) }, "memory not written anew; the next change does it");
    }
  }

  async function restore(): Promise<void> {
    const loaded = await store.load(life.signal);
    let isToRewrite = false;
    for (const problem of loaded.problems) tellLoss(context, "", problem);
    for (const name of loaded.lost) {
      applicationOf(model, name).memory = "lost";
      tellLoss(
        context,
        name,
        `the inventory of ${name} cannot be read: it is made anew, and nothing is pruned meanwhile`,
      );
    }
    for (const bytes of loaded.envelopes) {
      const taken = verifyDesiredState(bytes, { rootKey: trust.rootKey, cluster: clusterId, now: 0, isStored: true });
      if (!taken.ok) {
        tellLoss(context, "", `a stored document cannot be used: ${taken.reason}`);
        store.dropEnvelope(bytes);
        isToRewrite = true;
      } else if (model.document === undefined || compareOrder(taken.highWater, model.document.highWater) > 0)
        model.document = { bytes, state: taken.state, highWater: taken.highWater };
    }
    takeHealthRules();
    for (const head of loaded.heads) {
      const application = applicationOf(model, head.application);
      application.head = head;
      application.memory = "kept";
      application.phase = head.complete ? "Applied" : "Held";
      for (const key of head.inventory.keys()) track(model, key, head.application);
      const problem = await openStored(context, trust, application, loaded.slices);
      if (problem !== undefined) tellLoss(context, head.application, `${problem}; it is fetched again`);
    }
    // Before anything is judged: a scale by an autoscaler is no drift.
    if ([...model.applications.values()].some(({ bundle }) => bundle?.scales === true))
      await context.autoscalers.start();
    const kinds = new Map<string, { apiVersion: string; kind: string }>();
    for (const head of loaded.heads)
      for (const [key, { apiVersion }] of head.inventory) {
        const { kind } = parseRefKey(key);
        kinds.set(`${apiVersion} ${kind}`, { apiVersion, kind });
      }
    await Promise.all([...kinds.values()].map(({ apiVersion, kind }) => watches.start(apiVersion, kind)));
    for (const application of model.applications.values()) {
      lookAtYielded(context, application);
      context.touched(application);
      if (isToRewrite && application.head !== undefined) context.remember(application);
    }
    if (model.document !== undefined) fetching = quietly(fetchAndReconcile());
  }

  const quietly = (work: Promise<void>): Promise<void> =>
    work.catch((error: unknown) => {
      if (!life.signal.aborted) log.error({ because: reasonOf(error) }, "fetching bundles stopped");
    });

  async function collectGarbage(): Promise<void> {
    while (!life.signal.aborted) {
      await clock.sleep(collectEveryMs, { signal: life.signal });
      const inUse = new Set(
        [...model.applications.values()].flatMap(({ head }) => (head?.run ? [head.run.address] : [])),
      );
      await store.collect(inUse, life.signal).catch(() => undefined);
    }
  }

  await restore();
  const collecting = collectGarbage().catch(() => undefined);

  return {
    take(bytes, traceparent) {
      if (!takeDocument(context, trust, bytes, traceparent)) return;
      watches.judgeAgain(takeHealthRules());
      fetching = quietly(fetchAndReconcile());
    },
    statuses: () => [...model.applications.values()].map((application) => statusOf(context, application)),
    envelope: () => model.document?.bytes ?? new Uint8Array(),
    order: () => ({ epoch: model.document?.state.epoch ?? 0, generation: model.document?.state.generation ?? 0n }),
    repeatReceipts() {
      for (const application of model.applications.values()) repeatReceipt(context, application);
    },
    async settled() {
      do {
        await fetching;
        await Promise.all([reconcilers.idle(), healers.idle(), context.causes.idle()]);
        await new Promise((resolve) => setImmediate(resolve));
      } while (!reconcilers.isIdle || !healers.isIdle || dirty.size > 0);
    },
    async [Symbol.asyncDispose]() {
      life.abort(new Error("the agent ends"));
      await Promise.all([
        reconcilers.close(),
        healers.close(),
        watches.ended(),
        context.autoscalers.ended(),
        context.causes.ended(),
        fetching,
        collecting,
        rewriting,
      ]);
    },
  };
}
