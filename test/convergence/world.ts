import type { ObjectAddress } from "#agent/cluster/cluster.ts";
import { ApiError } from "#agent/cluster/errors.ts";
import { createSimulatedCluster, type SimulatedCluster } from "#agent/cluster/simulated/simulated.ts";
import { startEngine, type Engine } from "#agent/engine/engine.ts";
import { Journal } from "#agent/report/journal.ts";
import { silentLog } from "#lib/log.ts";
import { openTelemetry, type Telemetry } from "#lib/telemetry.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import type { Entry } from "#proto/desired-state.ts";
import { clusterId } from "#proto/ids.ts";
import { refKey, refOf, type KubeObject } from "#proto/object.ts";
import { Documents } from "#test/harness/documents.ts";
import { applications, type ApplicationName, type Command, type Failing } from "./commands.ts";
import { lifeOn, type Life } from "./mortal.ts";
import { isProtected, meddle, place, pool } from "./pool.ts";

const agentNamespace = "plumbline-agent";
/** A failing server fails this often at the most while an agent starts; kubelet starts it again each time. */
const startTries = 100;
const stepMs = 100;
const patienceMs = 3_600_000;

/** What the hub last said of an Application. `objects` stay claimed while it is held or absent. */
type Wanted = {
  readonly kind: "run" | "hold" | "absent" | "remove";
  readonly mode: "delete" | "orphan";
  readonly objects: ReadonlyMap<string, KubeObject>;
  /** The last run entry, as it was made. */
  readonly entry: Entry | undefined;
};
const nothing: Wanted = { kind: "absent", mode: "delete", objects: new Map(), entry: undefined };

type Said = ReadonlyMap<ApplicationName, Wanted>;

/** A simulated cluster, an agent that lives and dies, a hub that changes its mind, and people who meddle. */
export class World {
  readonly clock = new VirtualClock();
  readonly simulated: SimulatedCluster;
  readonly documents = new Documents(clusterId("eu-1"));
  readonly journal = new Journal(1_000, () => this.clock.now());
  /** What no rule allows, in words. */
  readonly violations: string[] = [];
  readonly #telemetry: Telemetry;
  #life!: Life;
  #engine: Engine | undefined;
  #envelope: Uint8Array | undefined;
  #said: Said = new Map();
  /** By generation. */
  readonly #history: Said[] = [];
  readonly #everOwned = new Map<ApplicationName, Set<string>>(applications.map((name) => [name, new Set()]));
  readonly #everLetGo = new Set<string>();
  readonly #strangers = new Set<string>();
  readonly #keys = new Map<string, string>();
  #refusals = 0;

  private constructor(telemetry: Telemetry) {
    this.#telemetry = telemetry;
    this.simulated = createSimulatedCluster({ now: () => this.clock.now(), controllers: true });
    for (const [name, make] of Object.entries(pool)) this.#keys.set(refKey(refOf(make(0))), name);
  }

  static async open(): Promise<World> {
    const world = new World(await openTelemetry("test", undefined));
    const person = world.simulated.connect("kubectl");
    for (const name of [agentNamespace, place])
      await person.create({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
    await world.#start();
    return world;
  }

  async do(command: Command): Promise<void> {
    if (this.#life.isDead()) await this.#restart();
    switch (command.do) {
      case "run":
        return this.#run(command.application, command.objects, command.level);
      case "hold":
      case "forget":
        return this.#say(command.application, {
          ...this.#wanted(command.application),
          kind: command.do === "hold" ? "hold" : "absent",
        });
      case "remove":
        return this.#remove(command.application, command.mode);
      case "edit":
      case "unlabel":
      case "delete":
        return this.#meddle(command.do, command.object);
      case "stranger":
        return this.#stranger(command.name);
      case "fail":
        return this.#fail(command.verb, command.with, command.times);
      case "kill":
        this.#life.kill();
        return this.#restart();
      case "killAt":
        return this.#life.killAt(command.write, command.moment);
      case "wait":
        return this.clock.advance(command.ms);
      case "cutWatches":
      case "expireWatches":
      case "silence":
        return this.simulated[command.do]();
    }
  }

  /** Nothing fails any more, nobody meddles, and hours pass. */
  async calm(): Promise<void> {
    this.simulated.heal();
    this.simulated.noticeSilence();
    if (this.#life.isDead()) await this.#restart();
    // A refusal is final until the desired form changes.
    if (this.#refusals > 0)
      for (const name of applications) {
        const { kind, objects } = this.#wanted(name);
        if (kind === "run") this.#run(name, [...objects.keys()], 3);
      }
    for (let ms = 100; ms < 4 * 3_600_000; ms *= 2) {
      await this.clock.advance(ms);
      if (this.#life.isDead()) await this.#restart();
    }
  }

  /** What differs from desired = running, in words; empty when nothing does. */
  async differences(): Promise<string[]> {
    const found: string[] = [];
    const owner = new Map<string, ApplicationName>();
    for (const [name, { kind, objects }] of this.#said)
      if (kind !== "remove") for (const object of objects.keys()) owner.set(object, name);
    for (const name of applications) {
      const { kind, objects } = this.#wanted(name);
      const status = this.#engine!.statuses().find(({ application }) => application === name);
      if (kind === "run") {
        for (const [object, desired] of objects) found.push(...(await this.#compare(object, desired)));
        if (status?.objects !== objects.size || status.drifted > 0 || status.digest.length === 0)
          found.push(`${name}: wants ${objects.size}, says ${JSON.stringify(status, textOfBigInt)}`);
      }
      if (kind === "remove" && status !== undefined && status.objects > 0)
        found.push(`${name}: removed, and owns still`);
    }
    const kept = applications.filter((name) => ["hold", "absent"].includes(this.#wanted(name).kind));
    for (const [name, owned] of this.#everOwned) {
      const { kind, mode } = this.#wanted(name);
      if (kept.includes(name) || (kind === "remove" && mode === "orphan")) continue;
      for (const object of owned) {
        if (owner.has(object) || isProtected(object) || this.#everLetGo.has(object)) continue;
        // It may have moved to one that keeps all it has.
        if (kept.some((other) => this.#everOwned.get(other)!.has(object))) continue;
        if (this.#live(object) !== undefined) found.push(`${object} is still there, and nobody wants it`);
      }
    }
    for (const name of this.#strangers)
      if (this.simulated.get(strangerAddress(name)) === undefined) found.push(`stranger ${name} is gone`);
    return [...found, ...this.violations];
  }

  async close(): Promise<void> {
    if (this.#engine !== undefined) await this.#meanwhile(this.#engine[Symbol.asyncDispose]());
  }

  #wanted(application: ApplicationName): Wanted {
    return this.#said.get(application) ?? nothing;
  }

  #run(application: ApplicationName, names: readonly string[], level: number): void {
    const others = applications.filter((other) => other !== application).map((other) => this.#wanted(other));
    const taken = new Set(others.flatMap(({ kind, objects }) => (kind === "remove" ? [] : [...objects.keys()])));
    const own = names.filter((name) => !taken.has(name));
    if (own.length === 0) return;
    const objects = new Map(own.map((name) => [name, pool[name]!(level)]));
    for (const name of own) this.#everOwned.get(application)!.add(name);
    // What was let go, lost its label and is wanted again would be refused as a stranger's, rightly.
    const entry = this.documents.run(application, [...objects.values()], { adopt: "take" });
    this.#say(application, { kind: "run", mode: "delete", objects, entry });
  }

  #remove(application: ApplicationName, mode: "delete" | "orphan"): void {
    const { objects } = this.#wanted(application);
    // Also what an earlier revision left, while it is not pruned yet.
    if (mode === "orphan") for (const name of this.#everOwned.get(application)!) this.#everLetGo.add(name);
    this.#say(application, { kind: "remove", mode, objects, entry: undefined });
  }

  #say(application: ApplicationName, wanted: Wanted): void {
    this.#said = new Map([...this.#said, [application, wanted]]);
    this.#history.push(this.#said);
    const entries = [...this.#said].flatMap(([name, { kind, mode, entry }]): Entry[] => {
      if (kind === "run") return entry === undefined ? [] : [entry];
      if (kind === "hold") return [this.documents.hold(name, "the hub says so")];
      return kind === "remove" ? [this.documents.remove(name, mode)] : [];
    });
    this.#envelope = this.documents.sign(...entries);
    this.#engine!.take(this.#envelope, "");
  }

  #meddle(how: "edit" | "unlabel" | "delete", name: string): void {
    const there = this.#live(name);
    if (there === undefined || there.metadata.deletionTimestamp !== undefined) return;
    // Without its label an object that no inventory confirms is a stranger's, and is left there for good, by rule.
    if (how === "unlabel" && !this.#isConfirmed(name)) return;
    const address = addressOf(pool[name]!(0));
    if (how === "delete") return this.simulated.remove(address);
    this.simulated.edit(
      address,
      (object) => {
        if (how === "edit") return meddle(object);
        delete object.metadata.labels?.["plumbline.dev/agent"];
      },
      { manager: "kubectl-edit" },
    );
  }

  #isConfirmed(object: string): boolean {
    const owner = applications.find((name) => this.#wanted(name).objects.has(object));
    const status = this.#engine?.statuses().find(({ application }) => application === owner);
    return status !== undefined && status.digest.length > 0 && status.objects > 0;
  }

  async #stranger(name: string): Promise<void> {
    if (this.#strangers.has(name)) return;
    this.#strangers.add(name);
    // Labelled as ours, as a copy of one of our objects is.
    const labels = { "plumbline.dev/agent": this.documents.cluster };
    const { apiVersion, kind, namespace } = strangerAddress(name);
    await this.simulated
      .connect("kubectl")
      .create({ apiVersion, kind, metadata: { name: `stranger-${name}`, namespace, labels }, data: { a: "1" } });
  }

  #fail(verb: string, kind: Failing, times: number): void {
    const matches = (request: { manager: string; verb: string; namespace: string }): boolean => {
      if (request.manager !== "plumbline" || request.verb !== verb) return false;
      if ((kind === "403" || kind === "422") && request.namespace === agentNamespace) return false;
      if (kind === "403" || kind === "422") this.#refusals += 1;
      return true;
    };
    this.simulated.fail(matches, faultOf(kind), times);
  }

  async #start(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      this.#engine = undefined;
      this.#life = lifeOn(this.simulated.connect(), (address) => this.#deleting(address));
      try {
        const starting = startEngine({
          cluster: this.#life.cluster,
          clusterId: this.documents.cluster,
          namespace: agentNamespace,
          trust: { rootKey: this.documents.rootKey, sealingKey: this.documents.sealingKey },
          fetch: this.documents.fetch,
          journal: this.journal,
          clock: this.clock,
          log: silentLog,
          telemetry: this.#telemetry,
          onStatus: () => undefined,
        });
        this.#engine = await this.#meanwhile(starting);
        break;
      } catch (error) {
        if (attempt === startTries) throw error;
      }
    }
    if (this.#envelope !== undefined) this.#engine.take(this.#envelope, "");
  }

  async #restart(): Promise<void> {
    this.#life.kill();
    if (this.#engine !== undefined) await this.#meanwhile(this.#engine[Symbol.asyncDispose]());
    await this.#start();
  }

  /** Time goes on while something takes its time. */
  async #meanwhile<T>(work: PromiseLike<T>): Promise<T> {
    const progress = { isDone: false };
    const done = (): void => void (progress.isDone = true);
    void work.then(done, done);
    for (let waitedMs = 0; !progress.isDone; waitedMs += stepMs) {
      if (waitedMs > patienceMs) throw new Error("the agent stands still");
      await this.clock.advance(stepMs);
    }
    return work;
  }

  /** Each deletion is held against the document that the agent goes by. */
  #deleting(address: ObjectAddress): void {
    const name = this.#keys.get(refKey(address));
    if (address.namespace === agentNamespace) return;
    if (name === undefined) return void this.violations.push(`deletes ${address.kind} ${address.name}, nobody's`);
    const generation = Number(this.#engine?.order().generation ?? 0n);
    const said = this.#engine === undefined ? this.#history : this.#history.slice(generation - 1, generation);
    if (!said.some((then) => this.#mayDelete(name, then)))
      this.violations.push(`deletes ${name}, which generation ${generation} does not allow`);
  }

  #mayDelete(name: string, said: Said): boolean {
    if (isProtected(name)) return false;
    const entries = [...said];
    if (entries.some(([, { kind, objects }]) => kind === "run" && objects.has(name))) return false;
    return entries.some(([application, { kind, mode }]) => {
      const isGiven = kind === "run" || (kind === "remove" && mode === "delete");
      return isGiven && this.#everOwned.get(application)!.has(name);
    });
  }

  #live(name: string): KubeObject | undefined {
    return this.simulated.get(addressOf(pool[name]!(0)));
  }

  async #compare(name: string, desired: KubeObject): Promise<string[]> {
    const live = this.#live(name);
    if (live === undefined) return [`${name} is missing`];
    const labels = { ...desired.metadata.labels, "plumbline.dev/agent": this.documents.cluster };
    const wanted = { ...desired, metadata: { ...desired.metadata, labels } };
    // The server itself says whether the desired form would change anything.
    const answer = await this.simulated.connect("plumbline").apply(wanted, { force: true, dryRun: true });
    return contentOf(answer) === contentOf(live)
      ? []
      : [`${name} differs: ${contentOf(live)} is not ${contentOf(answer)}`];
  }
}

const strangerAddress = (name: string): ObjectAddress => ({
  apiVersion: "v1",
  group: "",
  kind: "ConfigMap",
  namespace: place,
  name: `stranger-${name}`,
});
const addressOf = (object: KubeObject): ObjectAddress => ({ ...refOf(object), apiVersion: object.apiVersion });

function contentOf(object: KubeObject): string {
  const { metadata, ...rest } = structuredClone(object) as unknown as Record<string, Record<string, unknown>>;
  delete rest["status"];
  return JSON.stringify({ ...rest, labels: metadata!["labels"], annotations: metadata!["annotations"] });
}

function faultOf(kind: Failing): Error | "timeoutAfterWrite" {
  if (kind === "timeoutAfterWrite") return kind;
  if (kind === "cut") return new TypeError("fetch failed: the connection was cut");
  const status = Number(kind);
  const reason =
    { 403: "Forbidden", 409: "Conflict", 422: "Invalid", 429: "TooManyRequests" }[status] ?? "InternalError";
  return new ApiError(status, { reason, message: `${kind} as scripted` }, status === 429 ? "1" : undefined);
}

const textOfBigInt = (_key: string, value: unknown): unknown => (typeof value === "bigint" ? String(value) : value);
