import type { ObjectAddress } from "#agent/cluster/cluster.ts";
import { ApiError } from "#agent/cluster/errors.ts";
import { createSimulatedCluster, type SimulatedCluster } from "#agent/cluster/simulated/simulated.ts";
import { startEngine, type Engine } from "#agent/engine/engine.ts";
import { Journal } from "#agent/report/journal.ts";
import { silentLog } from "#lib/log.ts";
import { openTelemetry, type Telemetry } from "#lib/telemetry.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import type { ApplicationStatus } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { clusterId } from "#proto/ids.ts";
import { refKey, refOf, type KubeObject } from "#proto/object.ts";
import { Documents } from "#test/harness/documents.ts";
import { applications, type ApplicationName, type Command, type Failing } from "./commands.ts";
import { Hub } from "./hub.ts";
import { lifeOn, type Life } from "./mortal.ts";
import { hookOf, isOnce, meddle, place, pool } from "./pool.ts";

const agentNamespace = "plumbline-agent";
/** A failing server fails this often at the most while an agent starts; kubelet starts it again each time. */
const startTries = 100;
const stepMs = 100;
const patienceMs = 3_600_000;

/** A simulated cluster, an agent that lives and dies, its hub, and people who meddle. */
export class World {
  readonly clock = new VirtualClock();
  readonly simulated: SimulatedCluster;
  readonly hub = new Hub(new Documents(clusterId("eu-1")));
  readonly journal = new Journal(1_000, () => this.clock.now());
  /** What no rule allows, in words. */
  readonly violations: string[] = [];
  readonly #telemetry: Telemetry;
  #life!: Life;
  #engine: Engine | undefined;
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
        return this.#said(() => this.hub.run(command.application, command.objects, command.level));
      case "hold":
      case "forget":
        return this.#said(() => this.hub.keep(command.application, command.do === "hold" ? "hold" : "absent"));
      case "remove":
        return this.#said(() => this.hub.remove(command.application, command.mode));
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
        const { kind, mode, objects } = this.hub.wanted(name);
        // A hook that was refused stops a Removal until the next document.
        if (kind === "remove") this.#said(() => this.hub.remove(name, mode));
        if (kind === "run") this.#said(() => this.hub.run(name, [...objects.keys()], 3));
      }
    for (let ms = 100; ms < 4 * 3_600_000; ms *= 2) {
      await this.clock.advance(ms);
      if (this.#life.isDead()) await this.#restart();
    }
  }

  /** What differs from desired = running, in words; empty when nothing does. */
  async differences(): Promise<string[]> {
    const found: string[] = [];
    for (const name of applications) {
      const { kind, objects } = this.hub.wanted(name);
      const status = this.#statusOf(name);
      if (kind === "remove" && status !== undefined && status.objects > 0)
        found.push(`${name}: removed, and owns still`);
      if (kind === "remove" && !this.hub.everOrphaned.has(name) && this.#hook(name) !== undefined)
        found.push(`${name}: removed, and its hook is still there`);
      if (kind !== "run") continue;
      if (this.#hook(name) === undefined) found.push(`${name}: runs, and its hook never did`);
      for (const [object, desired] of objects) found.push(...(await this.#compare(object, desired)));
      if (status?.objects !== objects.size || status.drifted > 0 || status.digest.length === 0)
        found.push(`${name}: wants ${objects.size}, says ${JSON.stringify(status, textOfBigInt)}`);
    }
    for (const object of this.hub.unwanted())
      if (this.#live(object) !== undefined) found.push(`${object} is still there, and nobody wants it`);
    for (const name of this.#strangers)
      if (this.simulated.get(strangerAddress(name)) === undefined) found.push(`stranger ${name} is gone`);
    return [...found, ...this.violations];
  }

  async close(): Promise<void> {
    if (this.#engine !== undefined) await this.#meanwhile(this.#engine[Symbol.asyncDispose]());
  }

  /** The agent hears of it at once. */
  #said(say: () => void): void {
    const before = this.hub.envelope;
    say();
    if (this.hub.envelope !== undefined && this.hub.envelope !== before) this.#engine!.take(this.hub.envelope, "");
  }

  #statusOf(name: ApplicationName): ApplicationStatus | undefined {
    return this.#engine?.statuses().find(({ application }) => application === name);
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
    const owner = applications.find((name) => this.hub.wanted(name).objects.has(object));
    const status = owner === undefined ? undefined : this.#statusOf(owner);
    return status !== undefined && status.digest.length > 0 && status.objects > 0;
  }

  async #stranger(name: string): Promise<void> {
    if (this.#strangers.has(name)) return;
    this.#strangers.add(name);
    // Labelled as ours, as a copy of one of our objects is.
    const labels = { "plumbline.dev/agent": this.hub.documents.cluster };
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
          clusterId: this.hub.documents.cluster,
          namespace: agentNamespace,
          trust: { rootKey: this.hub.documents.rootKey, sealingKey: this.hub.documents.sealingKey },
          fetch: this.hub.documents.fetch,
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
    if (this.hub.envelope !== undefined) this.#engine.take(this.hub.envelope, "");
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
    if (applications.some((application) => refKey(refOf(hookOf(application, 0))) === refKey(address))) return;
    if (name === undefined) return void this.violations.push(`deletes ${address.kind} ${address.name}, nobody's`);
    // While it starts it may go by any document that it has stored.
    const generation = this.#engine === undefined ? undefined : Number(this.#engine.order().generation);
    if (!this.hub.mayDelete(name, generation))
      this.violations.push(`deletes ${name}, which generation ${generation ?? "of any document"} does not allow`);
  }

  #hook(application: ApplicationName): KubeObject | undefined {
    return this.simulated.get(addressOf(hookOf(application, 0)));
  }

  #live(name: string): KubeObject | undefined {
    return this.simulated.get(addressOf(pool[name]!(0)));
  }

  async #compare(name: string, desired: KubeObject): Promise<string[]> {
    const live = this.#live(name);
    if (live === undefined) return [`${name} is missing`];
    if (isOnce(name)) return [];
    const labels = { ...desired.metadata.labels, "plumbline.dev/agent": this.hub.documents.cluster };
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
