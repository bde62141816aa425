import { wholeCluster, type Authority } from "#agent/authority/authority.ts";
import { namedNamespaces } from "#agent/authority/limits.ts";
import { openWriter } from "#agent/authority/writer.ts";
import { DeletionBreaker } from "#agent/apply/breaker.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { healthOf } from "#agent/health/health.ts";
import type { Journal } from "#agent/report/journal.ts";
import { openState } from "#agent/state/store.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { Slots } from "#lib/slots.ts";
import type { Telemetry } from "#lib/telemetry.ts";
import type { ApplicationStatus } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { ClusterId } from "#proto/ids.ts";
import { sha256Hex } from "#proto/json.ts";
import { createAutoscalers } from "./autoscalers.ts";
import { createCauses } from "./causes.ts";
import type { Context } from "./context.ts";
import { takeDocument, type FetchBlob, type Trust } from "./documents.ts";
import { createFetching } from "./fetching.ts";
import { createHealers } from "./healers.ts";
import { createRulesInForce } from "./health-rules.ts";
import { judgeHealthAgain, judgeHeld } from "./judge.ts";
import { createMemory } from "./memory.ts";
import { applicationOf, createModel, ownedOf, type ApplicationState } from "./model.ts";
import { createOwnershipPace } from "./ownership-pace.ts";
import { repeatReceipt } from "./receipts.ts";
import { createReconcilers } from "./reconcilers.ts";
import { statusOf } from "./status.ts";
import { createStatusTeller, createTelling } from "./telling.ts";
import { createVerdictsInTime } from "./verdicts-in-time.ts";
import { createWatches } from "./watches.ts";

/** Applications applied at once; each has its own eight requests in flight, so a few keep a server busy. */
const applicationsAtOnce = 4;
/** More deletions than this in an hour are a mistake until a person on the spot says otherwise. */
const deletionsAnHour = 500;

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
  /** Nothing has happened for a while: what was opened for it is given back. */
  rest(): void;
  /** Resolves when nothing is being fetched, applied, healed or remembered. */
  settled(): Promise<void>;
};

/** Loads what was known, compares the cluster with it, heals what differs, and then follows documents. */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const { cluster, trust, clock, log } = options;
  const life = new AbortController();
  const healthRules = createRulesInForce();
  const telling = createTelling(clock, (touched) => tell(touched));
  // Its parts speak to each other through the context: each is called only once all of them are there.
  const context: Context = {
    ...contextOf(options, life.signal),
    touched: (application) => telling.touched(application),
    until: (...asked) => telling.until(...asked),
    healthOf: (object) => healthOf(object, clock.now(), healthRules.now),
    released: (tracked) => judgeHeld(context, tracked, (...suspected) => healers.suspect(...suspected)),
    newerSuspicion: (key) => healers.takeNewer(key),
    look: (key) => healers.look(key),
    remember(application) {
      application.isUnsaved = true;
      reconcilers.add(application.name);
    },
    again: ({ name }) => reconcilers.add(name),
    againIn: ({ name }, ms) => reconcilers.addIn(name, ms),
    memoryDoubted: () => memory.rewrite(),
    autoscalers: autoscalersOf(options, life.signal, (key) => healers.look(key)),
    causes: createCauses({
      cluster,
      clock,
      log,
      signal: life.signal,
      isTracked: (tracked) => context.model.tracked.get(tracked.key) === tracked,
      found: (tracked) => telling.touched(applicationOf(context.model, tracked.application)),
    }),
    verdictsInTime: createVerdictsInTime({
      cluster,
      clock,
      log,
      signal: life.signal,
      owned: (tracked) =>
        context.model.tracked.get(tracked.key) === tracked ? ownedOf(context.model, tracked) : undefined,
      judge: (object) => judgeHealthAgain(context, object),
    }),
    watch: (...asked) => watches.start(...asked),
  };
  const { model } = context;
  const healers = createHealers(context);
  const reconcilers = createReconcilers(context);
  const watches = createWatches(context, (...suspected) => healers.suspect(...suspected));
  const memory = createMemory(context, trust);
  const fetching = createFetching(context, trust, options.fetch, { reconcilers, memory });
  const tellStatus = createStatusTeller(context, options.onStatus);

  function tell(touched: ReadonlySet<ApplicationState>): void {
    for (const application of touched) tellStatus(application);
    for (const application of model.applications.values())
      if ([...touched].some(({ name }) => application.waitsFor.has(name))) reconcilers.add(application.name);
  }

  /** Says which rules of the newest document are of no use here, and gives the kinds that others judge now. */
  function takeHealthRules(): ReadonlySet<string> {
    const { changed, problems } = healthRules.take(model.document?.state.healthRules ?? []);
    for (const text of problems) {
      log.warn({ problem: text }, "a health rule cannot be used");
      const about = { atMs: BigInt(clock.now()), application: "", environment: "", traceparent: "" };
      context.journal.record({ ...about, body: { $case: "notice", value: { text } } });
    }
    return changed;
  }

  await memory.restore(takeHealthRules);
  if (model.document !== undefined) fetching.begin();
  const collecting = memory.collect().catch(() => undefined);

  return {
    take(bytes, traceparent) {
      if (!takeDocument(context, trust, bytes, traceparent)) return;
      watches.judgeAgain(takeHealthRules());
      fetching.begin();
    },
    statuses: () => [...model.applications.values()].map((application) => statusOf(context, application)),
    envelope: () => model.document?.bytes ?? new Uint8Array(),
    order: () => ({ epoch: model.document?.state.epoch ?? 0, generation: model.document?.state.generation ?? 0n }),
    repeatReceipts() {
      for (const application of model.applications.values()) repeatReceipt(context, application);
    },
    rest() {
      for (const { bundle, next } of model.applications.values()) for (const one of [bundle, next]) one?.forget();
    },
    async settled() {
      do {
        await fetching.ended();
        const { causes, verdictsInTime } = context;
        await Promise.all([reconcilers, healers, causes, verdictsInTime, memory].map((one) => one.idle()));
        await new Promise((resolve) => setImmediate(resolve));
      } while (!reconcilers.isIdle || !healers.isIdle || !memory.isIdle || !telling.isDone);
    },
    async [Symbol.asyncDispose]() {
      life.abort(new Error("the agent ends"));
      await Promise.all([
        reconcilers.close(),
        healers.close(),
        watches.ended(),
        context.autoscalers.ended(),
        context.causes.ended(),
        context.verdictsInTime.ended(),
        fetching.ended(),
        memory.idle(),
        collecting,
      ]);
    },
  };
}

/** What needs no other part of the engine. */
function contextOf(
  { cluster, clusterId, namespace, trust, journal, clock, log, telemetry, ...given }: EngineOptions,
  signal: AbortSignal,
) {
  const { authority = wholeCluster } = given;
  return {
    cluster,
    clusterId,
    namespace,
    authority,
    writer: (delivery: { readonly serviceAccount: string } | undefined) =>
      openWriter(cluster, authority, namespace, delivery?.serviceAccount ?? ""),
    model: createModel(),
    store: openState(cluster, namespace),
    journal,
    breaker: new DeletionBreaker(deletionsAnHour, () => clock.monotonic()),
    ownershipPace: createOwnershipPace(() => clock.monotonic()),
    slots: new Slots(applicationsAtOnce),
    clock,
    log,
    telemetry,
    salt: sha256Hex(`drift salt ${clusterId} ${trust.sealingKey.export({ format: "jwk" }).d ?? ""}`),
    signal,
  };
}

const autoscalersOf = (
  { cluster, clock, log, authority = wholeCluster }: EngineOptions,
  signal: AbortSignal,
  look: (key: string) => void,
): Context["autoscalers"] =>
  createAutoscalers({ cluster, clock, log, signal, namespaces: namedNamespaces(authority.limits) }, look);
