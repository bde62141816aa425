import { keysOf, stagesOf, type Stage } from "#agent/apply/order.ts";
import type { Failure } from "#agent/apply/failure.ts";
import { leavingAlone } from "#agent/drift/yields.ts";
import type { Owned } from "#agent/state/head.ts";
import type { RunEntry } from "#proto/desired-state.ts";
import { canonicalJson } from "#proto/json.ts";
import { describeRef, parseRefKey, refKey, refOf, type KubeObject } from "#proto/object.ts";
import { backoffMs } from "#lib/retry.ts";
import type { Bundle, Desired } from "./bundles.ts";
import { addressOfKey, record, saveHead, type Context } from "./context.ts";
import { end } from "./episodes.ts";
import { exceptionFor } from "./exceptions.ts";
import { disown, entryOf, ownersOf, setOwned, track, type ApplicationState, type Model } from "./model.ts";
import { pruneSurplus, removeWhole } from "./pruning.ts";
import { mayOwnAgain, yieldablePaths, yielding } from "./yielding.ts";
import { firstContact, send, type Sent } from "./send.ts";

/** Requests of one Application in flight; 4 to 16 measured best against one API server. */
const concurrency = 8;
/** A CRD is Established within a second; a server that needs longer is in trouble, and the apply of its objects retries. */
const establishedLimitMs = 30_000;
const passingTries = 3;
const retries = { firstMs: 200, capMs: 60_000 };

/** Brings one Application to what its newest entry says: run, hold or remove. Absence means hold. */
export async function reconcile(context: Context, application: ApplicationState): Promise<void> {
  const entry = entryOf(context.model, application.name);
  if (entry === undefined) return settle(context, application, "Held", "the hub's document does not name it");
  if (entry.kind === "hold") return settle(context, application, "Held", entry.because);
  if (entry.kind === "remove") return removeWhole(context, application, entry);
  if (application.bundle?.digest !== entry.digest)
    return settle(context, application, "Held", application.reason || "its bundle was not fetched yet");
  const blocked = blockedBecause(context, application, application.bundle);
  if (blocked !== undefined) return settle(context, application, "Blocked", blocked);
  const run = new AbortController();
  application.run = run;
  const signal = AbortSignal.any([run.signal, context.signal]);
  const options = { attributes: { application: application.name }, parent: application.traceparent };
  try {
    await context.telemetry.traced("agent.apply", options, async ({ set }) => {
      set({ revision: entry.revision, cluster: context.clusterId });
      await applyRun(context, application, entry, application.bundle!, signal);
      application.appliedAtMs = context.clock.now();
    });
  } catch (error) {
    // Called off by a newer document: its own reconcile follows. Anything else is ours to tell.
    if (!run.signal.aborted) throw error;
  } finally {
    application.run = undefined;
    application.applying = new Set();
    context.touched(application);
  }
}

async function applyRun(
  context: Context,
  application: ApplicationState,
  entry: RunEntry,
  bundle: Bundle,
  signal: AbortSignal,
): Promise<void> {
  const desired = bundle.desired();
  const head = application.head;
  const todo = new Set(
    [...desired].filter(([key, { hash }]) => needsApply(head?.inventory.get(key), hash)).map(([key]) => key),
  );
  const surplus = [...(head?.inventory.keys() ?? [])].some((key) => !desired.has(key));
  if (
    todo.size === 0 &&
    !surplus &&
    head?.run !== null &&
    head !== undefined &&
    head.complete &&
    sameRun(head.run, entry)
  ) {
    application.head = { ...head, run: entry };
    takeFromOthers(context, application);
    lookAtUnjudged(context, application);
    return settle(context, application, "Applied", "");
  }
  const isOtherPolicy = canonicalJson(head?.run?.delivery ?? null) !== canonicalJson(entry.delivery);
  if (bundle.scales) await context.autoscalers.start();
  application.phase = "Applying";
  application.reason = "";
  application.problems = new Map();
  application.counts = { created: 0, configured: 0, unchanged: desired.size - todo.size, pruned: 0 };
  application.applying = new Set(todo);
  context.touched(application);
  if (todo.size > 0 || surplus || head?.run?.digest !== entry.digest)
    await intend(context, application, entry, bundle, todo);
  const work: Work = { desired, todo, fresh: new Set() };
  for (const stage of stagesOf([...desired.values()].map(({ object }) => object)))
    await applyStage(context, application, stage, work, signal);
  await retryPassing(context, application, work, signal);
  application.applying = new Set();
  if (application.problems.size > 0) {
    await saveHead(context, application, application.head!);
    return settle(context, application, "Failed", describeProblems(application));
  }
  signal.throwIfAborted();
  const blocked = await pruneSurplus(context, application, desired, entry, signal);
  signal.throwIfAborted();
  const { environment } = entry;
  await saveHead(context, application, { ...application.head!, environment, run: entry, complete: true });
  takeFromOthers(context, application);
  lookAtUnjudged(context, application);
  if (isOtherPolicy) lookAgain(context, application);
  else lookAtYielded(context, application);
  bundle.forget();
  application.lastAppliedAtMs = context.clock.now();
  settle(context, application, "Applied", blocked ?? "");
}

/** Another policy may heal what the last one only told, or own what it let go. */
function lookAgain(context: Context, application: ApplicationState): void {
  for (const [key, { yielded }] of application.head!.inventory) {
    const tracked = context.model.tracked.get(key);
    if (tracked?.episode === undefined && yielded === undefined) continue;
    tracked!.looked = "";
    context.look(key);
  }
}

/** What this Application wants and has applied is its own alone, also when it was that of one that is held now. */
function takeFromOthers(context: Context, application: ApplicationState): void {
  const { model } = context;
  for (const key of application.bundle!.keys) {
    const owned = application.head!.inventory.get(key);
    if (owned === undefined || owned.baseline === null) continue;
    for (const other of ownersOf(model, key)) {
      if (other === application) continue;
      disown(model, other.name, key);
      context.remember(other);
      context.look(key);
    }
  }
}

/** What was seen to differ before there was a bundle to say from what. */
function lookAtUnjudged(context: Context, application: ApplicationState): void {
  for (const key of application.head!.inventory.keys()) {
    const tracked = context.model.tracked.get(key);
    if (tracked?.isUnjudged !== true) continue;
    tracked.isUnjudged = false;
    context.look(key);
  }
}

/** What was let go for a reason that may be over, also while the agent was down. */
export function lookAtYielded(context: Context, application: ApplicationState): void {
  for (const [key, owned] of application.head?.inventory ?? []) {
    const desired = owned.yielded === undefined ? undefined : application.bundle?.desired().get(key);
    if (desired !== undefined && mayOwnAgain(context, key, owned, desired.object)) context.look(key);
  }
}

const needsApply = (owned: Owned | undefined, hash: string): boolean =>
  owned === undefined || owned.baseline === null || owned.applied !== hash;

/** The same objects under the same policy. Another revision may give them, and sealed keys differ each time they are sealed. */
export const sameRun = (a: RunEntry | null | undefined, b: RunEntry): boolean =>
  a !== null &&
  a !== undefined &&
  a.digest === b.digest &&
  a.environment === b.environment &&
  canonicalJson(a.delivery) === canonicalJson(b.delivery);

/** What is about to happen is written down first, so that a crash in the middle orphans nothing and tells no false drift. */
async function intend(
  context: Context,
  application: ApplicationState,
  entry: RunEntry,
  bundle: Bundle,
  todo: ReadonlySet<string>,
): Promise<void> {
  if (application.head?.run?.address !== entry.address)
    await context.store.saveSlices(entry.address, bundle.slices, context.signal);
  const inventory = new Map(application.head?.inventory);
  for (const key of todo) {
    const { apiVersion } = bundle.desired().get(key)!.object;
    const before = inventory.get(key) ?? ownedByAnother(context.model, application, key);
    const { uid = "", applied = "", yielded } = before ?? {};
    inventory.set(key, { apiVersion, uid, applied, baseline: null, ...(yielded === undefined ? {} : { yielded }) });
    track(context.model, key, application.name);
  }
  const { name, environment } = { name: application.name, environment: entry.environment };
  // In force before it is stored: what a heal learns meanwhile goes into this inventory, and is not lost with the last one.
  application.head = { application: name, environment, run: entry, complete: false, inventory };
  await saveHead(context, application, application.head);
}

/** An object that moves here from another Application keeps what is known of it: it is no first contact. */
function ownedByAnother(model: Model, application: ApplicationState, key: string): Owned | undefined {
  for (const other of model.applications.values())
    if (other !== application && other.head?.inventory.has(key)) return other.head.inventory.get(key);
  return undefined;
}

/** One reconcile's work. `fresh`: namespaces that it made itself, where nothing of others can be yet. */
type Work = {
  readonly desired: ReadonlyMap<string, Desired>;
  readonly todo: ReadonlySet<string>;
  readonly fresh: Set<string>;
};

async function applyStage(
  context: Context,
  application: ApplicationState,
  stage: Stage,
  work: Work,
  signal: AbortSignal,
): Promise<void> {
  const { todo } = work;
  const keys = [...keysOf(stage.objects)].filter((key) => todo.has(key));
  await watchKinds(
    context,
    stage.objects.filter((object) => todo.has(refKey(refOf(object)))),
  );
  await eachOf(keys, async (key) => {
    for (let attempt = 1; ; attempt += 1) {
      const failure = await applyOne(context, application, work, key, signal);
      if (failure === undefined || failure.final || attempt === passingTries) return;
      await context.clock.sleep(failure.retryAfterMs ?? backoffMs(retries, attempt), { signal });
    }
  });
  if (keys.length > 0) await waitFor(context, application, stage, signal);
}

/** Passing failures are tried again until they pass or something newer is wanted, the waits growing to a minute. */
async function retryPassing(
  context: Context,
  application: ApplicationState,
  work: Work,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = passingTries; ; attempt += 1) {
    const passing = [...application.problems].filter(([key, { final }]) => !final && work.todo.has(key));
    if (passing.length === 0) return;
    application.reason = describeProblems(application);
    const waitMs = backoffMs(retries, attempt);
    application.nextTryAtMs = Math.round(context.clock.now() + waitMs);
    context.touched(application);
    await context.clock.sleep(waitMs, { signal });
    await watchKinds(
      context,
      passing.map(([key]) => work.desired.get(key)!.object),
    );
    await eachOf(
      passing.map(([key]) => key),
      async (key) => void (await applyOne(context, application, work, key, signal)),
    );
  }
}

async function applyOne(
  context: Context,
  application: ApplicationState,
  work: Work,
  key: string,
  signal: AbortSignal,
): Promise<Failure | undefined> {
  signal.throwIfAborted();
  const desired = work.desired.get(key)!;
  const tracked = track(context.model, key, application.name);
  const owned = application.head!.inventory.get(key);
  const isFirst = owned === undefined || owned.uid === "";
  const namespace = desired.object.metadata.namespace ?? "";
  const run = application.head!.run!;
  const present = await applicable(context, key, desired, owned, run);
  const sent: Sent = await context.telemetry.traced("agent.apply.object", { attributes: { object: key } }, () =>
    send(context, tracked, present, () =>
      isFirst
        ? firstContact(context, desired, run, work.fresh.has(namespace))
        : context.cluster.apply(present.object, { force: true, signal: context.signal }),
    ),
  );
  if (!sent.ok) {
    if (application.problems.get(key)?.message !== sent.failure.message)
      tellProblem(context, application, key, sent.failure);
    application.problems.set(key, sent.failure);
    context.released(tracked);
    context.touched(application);
    return sent.failure;
  }
  application.problems.delete(key);
  // From here on it is watched over, though the rest of its wave may take minutes.
  application.applying.delete(key);
  setOwned(context.model, application.name, key, sent.owned);
  // What differed before was written over, but for what is left to others.
  if ((present.yielded ?? []).length === 0) end(context, application, tracked);
  context.released(tracked);
  application.counts[sent.effect] += 1;
  if (desired.object.kind === "Namespace" && sent.effect === "created") work.fresh.add(desired.object.metadata.name);
  return undefined;
}

/** The desired form without what controllers and exceptions have; only where they may is the object read first. */
async function applicable(
  context: Context,
  key: string,
  desired: Desired,
  owned: Owned | undefined,
  { delivery }: RunEntry,
): Promise<Desired> {
  const excepted = (owned?.yielded ?? []).filter(
    (path) => exceptionFor(delivery, parseRefKey(key), path, context.clock.now()) !== undefined,
  );
  if (excepted.length === 0 && yieldablePaths(context, key, desired.object).length === 0) return desired;
  const live = await context.cluster.get(addressOfKey(key, owned ?? desired.object), context.signal);
  const { object, yielded = [] } = yielding(context, key, desired, live);
  if (live === undefined || excepted.length + yielded.length === 0) return desired;
  return { ...desired, object: leavingAlone(object, live, excepted), yielded: [...yielded, ...excepted] };
}

function tellProblem(context: Context, application: ApplicationState, key: string, failure: Failure): void {
  const { reason, message, final } = failure;
  record(context, application, {
    $case: "problem",
    value: { object: parseRefKey(key), reason, message, final, nextTryAtMs: 0n },
  });
  context.log.warn({ application: application.name, object: describeRef(parseRefKey(key)), reason }, "apply refused");
}

async function waitFor(
  context: Context,
  application: ApplicationState,
  stage: Stage,
  signal: AbortSignal,
): Promise<void> {
  if (stage.after === "goOn") return;
  const keys = keysOf(stage.objects);
  const limitMs = stage.after === "waitEstablished" ? establishedLimitMs : application.head!.run!.delivery.timeoutMs;
  const areCurrent = (): boolean =>
    [...keys].every((key) => context.model.tracked.get(key)?.health.state === "Current");
  await context.until(areCurrent, limitMs, signal);
}

async function watchKinds(context: Context, objects: readonly KubeObject[]): Promise<void> {
  const kinds = new Map(objects.map(({ apiVersion, kind }) => [`${apiVersion} ${kind}`, { apiVersion, kind }]));
  for (const { apiVersion, kind } of kinds.values()) await context.watch(apiVersion, kind);
}

async function eachOf(keys: readonly string[], work: (key: string) => Promise<void>): Promise<void> {
  const queue = keys.values();
  const workers = Array.from({ length: Math.min(concurrency, keys.length) }, async () => {
    for (const key of queue) await work(key);
  });
  await Promise.all(workers);
}

/** Why a bundle may not be applied here at all. */
function blockedBecause(context: Context, application: ApplicationState, bundle: Bundle): string | undefined {
  for (const key of bundle.keys) {
    const { kind, namespace, name } = parseRefKey(key);
    if (namespace === context.namespace || (kind === "Namespace" && name === context.namespace))
      return `${describeRef(parseRefKey(key))} is in the agent's own namespace, where nothing is applied`;
  }
  for (const other of context.model.applications.values()) {
    if (other === application || entryOf(context.model, other.name)?.kind !== "run" || other.bundle === undefined)
      continue;
    const shared = [...bundle.keys].find((key) => other.bundle!.keys.has(key));
    if (shared === undefined) continue;
    // The one that owns it goes on; of two newcomers the first by name does.
    const isMine = application.head?.inventory.has(shared) === true && !other.head?.inventory.has(shared);
    const isTheirs = other.head?.inventory.has(shared) === true && !application.head?.inventory.has(shared);
    if (isTheirs || (!isMine && other.name < application.name))
      return `${describeRef(parseRefKey(shared))} is also in ${other.name}: an object belongs to one Application`;
  }
  return undefined;
}

const describeProblems = ({ problems }: ApplicationState): string => {
  const [first] = problems;
  if (first === undefined) return "";
  const [key, { message }] = first;
  const more = problems.size > 1 ? ` (and ${problems.size - 1} more)` : "";
  return `${describeRef(parseRefKey(key))}: ${message}${more}`;
};

export function settle(
  context: Context,
  application: ApplicationState,
  phase: ApplicationState["phase"],
  reason: string,
): void {
  application.phase = phase;
  application.reason = reason;
  context.touched(application);
}
