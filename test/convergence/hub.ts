import type { Entry } from "#proto/desired-state.ts";
import type { KubeObject } from "#proto/object.ts";
import type { Documents } from "#test/harness/documents.ts";
import { applications, type ApplicationName } from "./commands.ts";
import { hookOf, isOnce, isProtected, pool } from "./pool.ts";

/** What the hub last said of an Application. `objects` stay claimed while it is held or absent. */
export type Wanted = {
  readonly kind: "run" | "hold" | "absent" | "remove";
  readonly mode: "delete" | "orphan";
  readonly objects: ReadonlyMap<string, KubeObject>;
  /** The last run entry, as it was made. */
  readonly entry: Entry | undefined;
};

type Said = ReadonlyMap<ApplicationName, Wanted>;

const nothing: Wanted = { kind: "absent", mode: "delete", objects: new Map(), entry: undefined };

/** A hub that changes its mind, within what a hub may say: no object in two running Applications. Remembers all it said. */
export class Hub {
  readonly documents: Documents;
  /** What an Application was ever told to run, by the names of the pool. */
  readonly everOwned = new Map<ApplicationName, Set<string>>(applications.map((name) => [name, new Set()]));
  /** What a Removal left in place. */
  readonly everLetGo = new Set<string>();
  /** Whose hooks a Removal left in place. */
  readonly everOrphaned = new Set<ApplicationName>();
  /** The newest document. */
  envelope: Uint8Array | undefined;
  #said: Said = new Map();
  /** By generation, from 1. */
  readonly #history: Said[] = [];

  constructor(documents: Documents) {
    this.documents = documents;
  }

  wanted(application: ApplicationName): Wanted {
    return this.#said.get(application) ?? nothing;
  }

  /** What of `names` no other Application has shall run, at that level. */
  run(application: ApplicationName, names: readonly string[], level: number): void {
    const others = applications.filter((other) => other !== application).map((other) => this.wanted(other));
    const taken = new Set(others.flatMap(({ kind, objects }) => (kind === "remove" ? [] : [...objects.keys()])));
    const own = names.filter((name) => !taken.has(name));
    if (own.length === 0) return;
    const objects = new Map(own.map((name) => [name, pool[name]!(level)]));
    for (const name of own) this.everOwned.get(application)!.add(name);
    // What was let go, lost its label and is wanted again would be refused as a stranger's, rightly.
    const all = [...objects.values(), hookOf(application, level)];
    const entry = this.documents.run(application, all, { adopt: "take" });
    this.#say(application, { kind: "run", mode: "delete", objects, entry });
  }

  keep(application: ApplicationName, kind: "hold" | "absent"): void {
    this.#say(application, { ...this.wanted(application), kind });
  }

  remove(application: ApplicationName, mode: "delete" | "orphan"): void {
    const { objects } = this.wanted(application);
    // Also what an earlier revision left, while it is not pruned yet.
    if (mode === "orphan") this.everOrphaned.add(application);
    if (mode === "orphan") for (const name of this.everOwned.get(application)!) this.everLetGo.add(name);
    this.#say(application, { kind: "remove", mode, objects, entry: undefined });
  }

  /** Whether a document of that generation lets an agent delete this; undefined: whether any document so far does. */
  mayDelete(name: string, generation: number | undefined): boolean {
    if (isProtected(name)) return false;
    const said = generation === undefined ? this.#history : this.#history.slice(generation - 1, generation);
    return said.some((then) => {
      const entries = [...then];
      if (entries.some(([, { kind, objects }]) => kind === "run" && objects.has(name))) return false;
      return entries.some(([application, { kind, mode }]) => {
        const isGiven = (kind === "run" && !isOnce(name)) || (kind === "remove" && mode === "delete");
        return isGiven && this.everOwned.get(application)!.has(name);
      });
    });
  }

  /** What must be gone in the end, though it was wanted once. */
  unwanted(): string[] {
    const kindOf = (name: ApplicationName) => this.wanted(name).kind;
    const claimed = new Set(
      applications.flatMap((name) => (kindOf(name) === "remove" ? [] : [...this.wanted(name).objects.keys()])),
    );
    const isKept = (name: ApplicationName): boolean => kindOf(name) === "hold" || kindOf(name) === "absent";
    // What moved to one that keeps all it has stays with it.
    const kept = applications.filter(isKept).flatMap((name) => [...this.everOwned.get(name)!]);
    return applications
      .filter((name) => !isKept(name) && !(kindOf(name) === "remove" && this.wanted(name).mode === "orphan"))
      .flatMap((name) => [...this.everOwned.get(name)!])
      .filter(
        (object) => !claimed.has(object) && !isProtected(object) && !isOnce(object) && !this.everLetGo.has(object),
      )
      .filter((object) => !kept.includes(object));
  }

  #say(application: ApplicationName, wanted: Wanted): void {
    this.#said = new Map([...this.#said, [application, wanted]]);
    this.#history.push(this.#said);
    const entries = [...this.#said].flatMap(([name, { kind, mode, entry }]): Entry[] => {
      if (kind === "run") return entry === undefined ? [] : [entry];
      if (kind === "hold") return [this.documents.hold(name, "the hub says so")];
      return kind === "remove" ? [this.documents.remove(name, mode)] : [];
    });
    this.envelope = this.documents.sign(...entries);
  }
}
