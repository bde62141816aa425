import type { Entry, RunEntry } from "#proto/desired-state.ts";
import type { KubeObject } from "#proto/object.ts";
import type { Documents } from "#test/harness/documents.ts";
import { hookOf } from "./hooks.ts";
import { applications, deliveryOf, type ApplicationName, type Policy } from "./policy.ts";
import { isOnce, isProtected, objectOf } from "./pool.ts";

/** What an Application was told to run. */
export type Run = {
  readonly objects: ReadonlyMap<string, KubeObject>;
  readonly policy: Policy;
  readonly entry: RunEntry;
};

/** What the hub last said of an Application. What it was told to run stays claimed while it is held or absent. */
export type Wanted = {
  readonly kind: "run" | "hold" | "absent" | "remove";
  readonly mode: "delete" | "orphan";
  readonly run: Run | undefined;
  /** Counts up with each other digest, and each Removal. */
  readonly turn: number;
};

type Said = ReadonlyMap<ApplicationName, Wanted>;

const nothing: Wanted = { kind: "absent", mode: "delete", run: undefined, turn: 0 };

/** A hub that changes its mind, within what a hub may say: no object in two running Applications. Remembers all it said. */
export class Hub {
  readonly documents: Documents;
  /** What an Application was ever told to run, by the names of the pool. */
  readonly everOwned = new Map<ApplicationName, Set<string>>(applications.map((name) => [name, new Set()]));
  /** What may stay: a Removal left it in place, or the agent lost what it knew of it. */
  readonly everLetGo = new Set<string>();
  /** Whose hooks may stay for the same reasons. */
  readonly everOrphaned = new Set<ApplicationName>();
  /** The newest document. */
  envelope: Uint8Array | undefined;
  readonly #runs: Run[] = [];
  #said: Said = new Map();
  /** By generation, from 1. */
  readonly #history: Said[] = [];

  constructor(documents: Documents) {
    this.documents = documents;
  }

  wanted(application: ApplicationName): Wanted {
    return this.#said.get(application) ?? nothing;
  }

  /** What a document of that generation said. */
  at(generation: number): Said {
    return this.#history[generation - 1] ?? new Map();
  }

  /** All that an Application was ever told to run under a revision, which is the same objects under one policy or another. */
  runsOf(application: ApplicationName, revision: string): Run[] {
    return this.#runs.filter(({ entry }) => entry.application === application && entry.revision === revision);
  }

  /** Documents since the present turn of an Application began. */
  sinceTurn(application: ApplicationName): Said[] {
    const { turn } = this.wanted(application);
    return this.#history.filter((said) => said.get(application)?.turn === turn);
  }

  /** What of `names` no other Application has shall run, at that level. */
  run(application: ApplicationName, names: readonly string[], level: number, policy: Policy, now: number): void {
    const others = applications.filter((other) => other !== application).map((other) => this.wanted(other));
    const taken = new Set(
      others.flatMap(({ kind, run }) => (kind === "remove" ? [] : [...(run?.objects.keys() ?? [])])),
    );
    const own = names.filter((name) => !taken.has(name));
    if (own.length === 0) return;
    const objects = new Map(own.map((name) => [name, objectOf(name, level, policy.waves)]));
    for (const name of own) this.everOwned.get(application)!.add(name);
    const all = [...objects.values(), ...policy.hooks.map((hook) => hookOf(application, hook, level))];
    const entry = this.documents.run(application, all, deliveryOf(application, policy, now));
    const run = { objects, policy, entry };
    this.#runs.push(run);
    const { turn, kind, run: before } = this.wanted(application);
    const isSame = kind !== "remove" && before?.entry.digest === entry.digest;
    this.#say(application, { kind: "run", mode: "delete", run, turn: isSame ? turn : turn + 1 });
  }

  keep(application: ApplicationName, kind: "hold" | "absent"): void {
    // A Removal that is taken back unfinished leaves what it has not deleted yet.
    this.#say(application, { ...this.wanted(application), kind });
  }

  remove(application: ApplicationName, mode: "delete" | "orphan"): void {
    const { run, kind, turn } = this.wanted(application);
    // Also what an earlier revision left, while it is not pruned yet.
    if (mode === "orphan") this.letGo(application);
    this.#say(application, { kind: "remove", mode, run, turn: kind === "remove" ? turn : turn + 1 });
  }

  letGo(application: ApplicationName): void {
    this.everOrphaned.add(application);
    for (const name of this.everOwned.get(application)!) this.everLetGo.add(name);
  }

  /** Whether a document of that generation lets an agent delete this; undefined: whether any document so far does. */
  mayDelete(name: string, generation: number | undefined): boolean {
    if (isProtected(name)) return false;
    const said = generation === undefined ? this.#history : [this.at(generation)];
    return said.some((then) => {
      const entries = [...then];
      if (entries.some(([, { kind, run }]) => kind === "run" && run?.objects.has(name) === true)) return false;
      return entries.some(([application, { kind, mode }]) => {
        const isGiven = (kind === "run" && !isOnce(name)) || (kind === "remove" && mode === "delete");
        return isGiven && this.everOwned.get(application)!.has(name);
      });
    });
  }

  /** What must be gone in the end, though it was wanted once. `isSettled`: has done all that is wanted of it. */
  unwanted(isSettled: (application: ApplicationName) => boolean): string[] {
    const isKept = (name: ApplicationName): boolean => {
      const { kind } = this.wanted(name);
      return kind === "hold" || kind === "absent" || !isSettled(name);
    };
    const isOrphaned = ({ kind, mode }: Wanted): boolean => kind === "remove" && mode === "orphan";
    const claimed = applications.flatMap((name) => {
      const { kind, run } = this.wanted(name);
      return kind === "remove" ? [] : [...(run?.objects.keys() ?? [])];
    });
    // What moved to one that keeps all it has stays with it.
    const kept = applications.filter(isKept).flatMap((name) => [...this.everOwned.get(name)!]);
    const left = new Set([...claimed, ...kept, ...this.everLetGo]);
    return applications
      .filter((name) => !isKept(name) && !isOrphaned(this.wanted(name)))
      .flatMap((name) => [...this.everOwned.get(name)!])
      .filter((object) => !left.has(object) && !isProtected(object) && !isOnce(object));
  }

  #say(application: ApplicationName, wanted: Wanted): void {
    this.#said = new Map([...this.#said, [application, wanted]]);
    this.#history.push(this.#said);
    const entries = [...this.#said].flatMap(([name, { kind, mode, run, turn }]): Entry[] => {
      if (kind === "run") return run === undefined ? [] : [run.entry];
      if (kind === "hold") return [this.documents.hold(name, "the hub says so")];
      return kind === "remove" ? [this.documents.remove(name, mode, turn)] : [];
    });
    this.envelope = this.documents.sign(...entries);
  }
}
