import { createSimulatedCluster, type SimulatedCluster } from "#agent/cluster/simulated/simulated.ts";
import { startEngine, type Engine } from "#agent/engine/engine.ts";
import { Journal } from "#agent/report/journal.ts";
import { silentLog } from "#lib/log.ts";
import { openTelemetry, type Telemetry } from "#lib/telemetry.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import type { ApplicationStatus } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { clusterId } from "#proto/ids.ts";
import { Documents } from "#test/harness/documents.ts";
import type { Command } from "./commands.ts";
import { faultOf, isRefusal, type Failing } from "./failing.ts";
import { Hub } from "./hub.ts";
import { lifeOn, type Life } from "./mortal.ts";
import { differences } from "./outcome.ts";
import { addressOf, makeStranger, meddleWith, standing, strangerAddress } from "./people.ts";
import { place } from "./place.ts";
import { applications, type ApplicationName } from "./policy.ts";
import { createRules, type Rules } from "./rules.ts";

const agentNamespace = "plumbline-agent";
/** A failing server fails this often at the most while an agent starts; kubelet starts it again each time. */
const startTries = 100;
const stepMs = 100;
/** A hook ends, is seen and the next thing is done within no time, as on a cluster at rest. */
const turns = 8;
const patienceMs = 3_600_000;

/** A simulated cluster, an agent that lives and dies, its hub, and people who meddle. */
export class World {
  readonly clock = new VirtualClock(undefined, turns);
  readonly simulated: SimulatedCluster;
  readonly hub = new Hub(new Documents(clusterId("eu-1")));
  readonly journal = new Journal(1_000, () => this.clock.now());
  readonly #telemetry: Telemetry;
  #life!: Life;
  #engine: Engine | undefined;
  readonly #rules: Rules;
  readonly #strangers = new Set<string>();
  #refusals = 0;

  private constructor(telemetry: Telemetry) {
    this.#telemetry = telemetry;
    this.simulated = createSimulatedCluster({ now: () => this.clock.now(), controllers: true });
    this.#rules = createRules({
      hub: this.hub,
      agentNamespace,
      get: (address) => this.simulated.get(address),
      statusOf: (name) => this.#statusOf(name),
      generation: () => (this.#engine === undefined ? undefined : Number(this.#engine.order().generation)),
    });
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
        return this.#said(() => this.#run(command));
      case "hold":
      case "forget":
        return this.#said(() => this.hub.keep(command.application, command.do === "hold" ? "hold" : "absent"));
      case "remove":
        return this.#said(() => this.hub.remove(command.application, command.mode));
      case "loseHead":
        return this.#loseHead(command.application);
      case "edit":
      case "unlabel":
      case "delete":
      case "mark":
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
        const { kind, mode, run } = this.hub.wanted(name);
        // A hook that was refused stops a Removal until the next document.
        if (kind === "remove") this.#said(() => this.hub.remove(name, mode));
        if (kind === "run") {
          const { objects, policy } = run!;
          this.#said(() => this.#run({ application: name, objects: [...objects.keys()], level: 3, policy }));
        }
      }
    for (let ms = 100; ms < 4 * 3_600_000; ms *= 2) {
      await this.clock.advance(ms);
      if (this.#life.isDead()) await this.#restart();
    }
  }

  /** What differs from desired = running, in words, and what no rule allowed on the way; empty when nothing does. */
  async differences(): Promise<string[]> {
    const found = await differences({
      hub: this.hub,
      rules: this.#rules,
      live: (object) => this.simulated.get(addressOf(object)),
      wouldBe: (object) => this.simulated.connect("plumbline").apply(object, { force: true, dryRun: true }),
      statusOf: (name) => this.#statusOf(name),
    });
    for (const name of this.#strangers)
      if (this.simulated.get(strangerAddress(name)) === undefined) found.push(`stranger ${name} is gone`);
    return [...found, ...this.#rules.violations];
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

  #run({ application, objects, level, policy }: Omit<Command & { do: "run" }, "do">): void {
    this.hub.run(application, objects, level, policy, this.clock.now());
  }

  /** Its memory of an Application goes: what it owned and does not run is then nobody's. */
  #loseHead(application: ApplicationName): void {
    this.hub.letGo(application);
    const name = `plumbline-application-${application}`;
    this.simulated.remove({ apiVersion: "v1", group: "", kind: "Secret", namespace: agentNamespace, name });
  }

  #meddle(how: "edit" | "unlabel" | "delete" | "mark", name: string): void {
    if (standing(this.simulated, name) === undefined) return;
    // Without its label an object that no inventory confirms is a stranger's, and is left there for good, by rule.
    if (how === "unlabel" && !this.#isConfirmed(name)) return;
    meddleWith(this.simulated, how, name);
  }

  #isConfirmed(object: string): boolean {
    const owner = applications.find((name) => this.hub.wanted(name).run?.objects.has(object));
    const status = owner === undefined ? undefined : this.#statusOf(owner);
    return status !== undefined && status.digest.length > 0 && status.objects > 0;
  }

  async #stranger(name: string): Promise<void> {
    if (this.#strangers.has(name)) return;
    this.#strangers.add(name);
    await makeStranger(this.simulated, name, this.hub.documents.cluster);
  }

  #fail(verb: string, kind: Failing, times: number): void {
    const matches = (request: { manager: string; verb: string; namespace: string }): boolean => {
      if (request.manager !== "plumbline" || request.verb !== verb) return false;
      if (isRefusal(kind) && request.namespace === agentNamespace) return false;
      if (isRefusal(kind)) this.#refusals += 1;
      return true;
    };
    this.simulated.fail(matches, faultOf(kind), times);
  }

  async #start(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      this.#engine = undefined;
      this.#life = lifeOn(this.simulated.connect(), this.#rules);
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
          onStatus: (status) => this.#rules.told(status),
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
}
