import { setTimeout } from "node:timers/promises";
import { describeRef, parseRefKey, refKey, refOf, type KubeObject } from "#proto/object.ts";
import type { Backend } from "#test/drift-cases/backend.ts";
import { World } from "#test/drift-cases/world.ts";
import { edit, type Edit } from "./edits.ts";
import { createGate, type Gate } from "./gate.ts";
import { openHand, type Hand } from "./hand.ts";
import { disagreementsOf, leftovers } from "./judge.ts";
import { fuzzedObjects } from "./objects.ts";
import { ask, type Asked } from "./oracle.ts";
import { seeded, type Random } from "./random.ts";
import type { Disagreement, Step } from "./round.ts";
import { ruleFor, type RuleName } from "./rules.ts";

export type FuzzOptions = {
  readonly edits: number;
  readonly seed: number;
  /** Told of each disagreement that no rule explains, with all that is needed to make it a case. */
  readonly unexplained: (step: Step, disagreements: readonly Disagreement[]) => void;
  readonly progress?: (edits: number) => void;
  /** Told of every step. */
  readonly looked?: (step: Step) => void;
};

export type FuzzResult = {
  readonly edits: number;
  readonly verbs: Readonly<Record<string, number>>;
  readonly kinds: number;
  /** Steps after which something was told or healed. */
  readonly drifts: number;
  readonly explained: Readonly<Partial<Record<RuleName, number>>>;
  readonly unexplained: number;
};

/** Objects edited at once: enough to keep the API server busy, while each is looked at for itself. */
const batch = 12;
/** A second edit before the agent may act on the first. */
const burstShare = 0.12;
/** One round in so many happens while the agent is down. */
const offlineEvery = 25;
/** What others left in an object is cleaned up now and then, so that edits meet both clean and cluttered objects. */
const cleanShare = 0.3;
/** Longer than any fight is remembered. */
const quietMs = 700_000;
const restWithinMs = 30_000;
/** Real time in which nothing came: then the agent's own time goes on. */
const stillMs = 200;

/** Never edited: other objects' rules hang on it. */
const isStill = ({ kind, metadata }: KubeObject): boolean =>
  kind === "HorizontalPodAutoscaler" && metadata.name === "backend";

type Fuzzed = {
  readonly key: string;
  readonly desired: KubeObject;
  readonly random: Random;
  pristine: KubeObject;
  live: KubeObject;
  known: Map<string, string>;
};

/** Edits, asks the server, lets the agent act, and compares: until so many edits were made. */
export async function fuzz(backend: Backend, options: FuzzOptions): Promise<FuzzResult> {
  const gate = createGate();
  const world = new World(backend, "fuzz");
  world.wrapAgent((cluster) => gate.wrap(cluster));
  await world.begin();
  await using _world = world;
  await using hand = await openHand(await backend.plane!.kubeconfig("oracle", ["system:masters"]));
  const objects = await fuzzedObjects(world.namespace);
  await world.deploy(objects);
  const all = await Promise.all(
    objects.filter((object) => !isStill(object)).map((object) => fuzzedOf(world, hand, object, options.seed)),
  );
  const order = seeded(options.seed, "order");
  const verbs: Record<string, number> = {};
  const explained: Partial<Record<RuleName, number>> = {};
  let [edits, unexplained, drifts, round] = [0, 0, 0, 0];
  let waiting: Fuzzed[] = [];
  while (edits < options.edits) {
    round += 1;
    if (waiting.length < batch) waiting = shuffled(order, all);
    const steps = await playRound({ world, hand, gate }, apart(waiting.splice(0, batch)), round % offlineEvery === 0);
    for (const step of steps) {
      edits += step.edits.length;
      options.looked?.(step);
      if (step.drifts.length > 0 || step.writes > 0) drifts += 1;
      for (const { verb } of step.edits) verbs[verb] = (verbs[verb] ?? 0) + 1;
      const open = disagreementsOf(step).filter((disagreement) => {
        const rule = ruleFor(disagreement, step);
        if (rule !== undefined) explained[rule] = (explained[rule] ?? 0) + 1;
        return rule === undefined;
      });
      if (open.length === 0) continue;
      unexplained += 1;
      options.unexplained(step, open);
    }
    options.progress?.(edits);
  }
  const kinds = new Set(all.map(({ desired }) => `${desired.apiVersion} ${desired.kind}`)).size;
  return { edits, verbs, kinds, drifts, explained, unexplained };
}

/** Without what a CRD of the same round describes: the server answers for it as that CRD is just then. */
function apart(round: readonly Fuzzed[]): Fuzzed[] {
  const described = new Set(
    round.flatMap(({ desired }) => {
      const names = (desired["spec"] as { names?: { kind?: string } } | undefined)?.names;
      return desired.kind === "CustomResourceDefinition" && names?.kind !== undefined ? [names.kind] : [];
    }),
  );
  return round.filter(({ desired }) => !described.has(desired.kind));
}

async function fuzzedOf(world: World, hand: Hand, object: KubeObject, seed: number): Promise<Fuzzed> {
  const labels = { ...object.metadata.labels, ...world.label };
  const desired = { ...object, metadata: { ...object.metadata, labels } };
  const key = refKey(refOf(object));
  const live = await hand.get(object);
  if (live === undefined)
    throw new Error(`${describeRef(refOf(object))} was not applied: ${world.engine.statuses()[0]?.reason}`);
  // Names differ from run to run with nothing but the world: the seed alone decides.
  return { key, desired, random: seeded(seed, key), pristine: live, live, known: new Map() };
}

type Parts = { readonly world: World; readonly hand: Hand; readonly gate: Gate };

async function playRound({ world, hand, gate }: Parts, batch: readonly Fuzzed[], isOffline: boolean): Promise<Step[]> {
  const mark = world.journal.after(0n).at(-1)?.sequence ?? 0n;
  if (isOffline) await world.stop();
  gate.close(batch.map(({ key }) => key));
  const edited = await Promise.all(
    batch.map(async (one) => ({ one, before: one.live, ...(await editAndAsk(hand, one)) })),
  );
  gate.open();
  if (isOffline) await world.start();
  await rest(world, batch);
  const said = world.journal.after(mark);
  world.journal.acknowledge(said.at(-1)?.sequence ?? 0n);
  const drifts = said.flatMap(({ body }) => (body?.$case === "drift" ? [body.value] : []));
  const notices = said.flatMap(({ body }) => (body?.$case === "notice" ? [body.value.text] : []));
  const steps = await Promise.all(
    edited.map(async ({ one, before, edits, asked }): Promise<Step> => {
      const after = await hand.get(one.desired);
      const own = drifts.filter(({ object }) => object !== undefined && refKey(object) === one.key);
      const told = toldOf(one.key, notices);
      if (told !== undefined) one.known = new Map(told);
      if (after !== undefined && after.metadata.uid !== before.metadata.uid) one.pristine = after;
      const { key, desired, pristine, known } = one;
      const askedAfter = await ask(hand, desired, after);
      if (after !== undefined) one.live = after;
      return {
        key,
        desired,
        pristine,
        before,
        edits,
        asked,
        passing: edits.flatMap(({ passing, after }, n) =>
          n < edits.length - 1 && after !== undefined ? [...passing, after] : passing,
        ),
        isOffline,
        drifts: own,
        told,
        known,
        writes: gate.writes(key),
        after,
        askedAfter,
      };
    }),
  );
  await cleanUp({ world, hand, gate }, batch, steps);
  return steps.filter(({ edits }) => edits.length > 0);
}

async function editAndAsk(hand: Hand, one: Fuzzed): Promise<{ edits: Edit[]; asked: Asked[] }> {
  const edits: Edit[] = [];
  const asked: Asked[] = [];
  let live: KubeObject | undefined = one.live;
  const wanted = one.random.chance(burstShare) ? 2 : 1;
  while (edits.length < wanted && live !== undefined) {
    const made = await edit(one.random, hand, live);
    if (made === undefined) break;
    live = made.after;
    edits.push(made);
    asked.push(await ask(hand, one.desired, live));
  }
  return { edits, asked };
}

/** Until the agent has seen what is there now, has done what it will do, and would do no more in a long quiet time. */
async function rest(world: World, batch: readonly Fuzzed[]): Promise<void> {
  world.follow(batch.map(({ desired }) => desired));
  for (const ms of [0, 1_000, 1_000, quietMs]) {
    await world.clock.advance(ms);
    let isCaughtUp = false;
    const caughtUp = world.caughtUp().then(() => (isCaughtUp = true));
    const from = performance.now();
    // A watch that its CRD's change has ended waits in the agent's time before it begins again.
    while (await Promise.race([caughtUp.then(() => false), setTimeout(stillMs, true)])) {
      if (isCaughtUp) break;
      if (performance.now() - from > restWithinMs)
        throw new Error(`the agent does not come to rest: ${(await world.behind()).join("; ")}`);
      await world.clock.advance(1_000);
    }
  }
}

/** What the server refuses to heal, and some of what others left, is made as it was. */
async function cleanUp({ world, hand }: Parts, batch: readonly Fuzzed[], steps: readonly Step[]): Promise<void> {
  const again = batch.filter((one, index) => {
    const { asked, askedAfter, after } = steps[index]!;
    if (askedAfter.kind !== "answered" || askedAfter.changes.length > 0) return true;
    if (asked.some(({ kind }) => kind === "refused")) return true;
    return after !== undefined && leftovers(one.pristine, after).length > 0 && one.random.chance(cleanShare);
  });
  if (again.length === 0) return;
  const mark = world.journal.after(0n).at(-1)?.sequence ?? 0n;
  await Promise.all(again.map((one) => restore(hand, one)));
  await rest(world, again);
  const notices = world.journal.after(mark).flatMap(({ body }) => (body?.$case === "notice" ? [body.value.text] : []));
  world.journal.acknowledge(world.journal.after(mark).at(-1)?.sequence ?? 0n);
  for (const one of again) {
    const there = await hand.get(one.desired);
    if (there === undefined) throw new Error(`${describeRef(parseRefKey(one.key))} was not made again`);
    if (there.metadata.uid !== one.live.metadata.uid) one.pristine = there;
    one.live = there;
    one.known = new Map(toldOf(one.key, notices));
  }
}

/** Deleted, so that the agent makes it anew; what must stay is written back as it was, owners and all. */
async function restore(hand: Hand, one: Fuzzed): Promise<void> {
  const { kind, metadata } = one.desired;
  if (kind !== "Namespace" && (kind !== "CustomResourceDefinition" || metadata.name.startsWith("idle")))
    return hand.delete(one.live);
  const { resourceVersion = "" } = (await hand.get(one.desired))!.metadata;
  await hand.replace("kubectl-edit", { ...one.pristine, metadata: { ...one.pristine.metadata, resourceVersion } });
}

function toldOf(key: string, notices: readonly string[]): Map<string, string> | undefined {
  const start = `${describeRef(parseRefKey(key))}: foreign fields: `;
  const own = notices.filter((text) => text.startsWith(start)).at(-1);
  if (own === undefined) return undefined;
  return new Map(
    own
      .slice(start.length)
      .split(", ")
      .map((said) => said.split(" by ") as [string, string]),
  );
}

function shuffled<T>(random: Random, all: readonly T[]): T[] {
  const left = [...all];
  const order: T[] = [];
  while (left.length > 0) order.push(...left.splice(random.below(left.length), 1));
  return order;
}
