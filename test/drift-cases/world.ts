import type { Authority } from "#agent/authority/authority.ts";
import type { Cluster, ObjectAddress } from "#agent/cluster/cluster.ts";
import { valueAt, withValue } from "#agent/drift/paths.ts";
import type { Engine } from "#agent/engine/engine.ts";
import { Journal } from "#agent/report/journal.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import type { Delivery } from "#proto/desired-state.ts";
import { DriftKind, DriftState, type Drift } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { clusterId } from "#proto/ids.ts";
import { refKey, refOf, type Json, type JsonObject, type KubeObject } from "#proto/object.ts";
import { Documents } from "#test/harness/documents.ts";
import type { AgentOptions, Backend, Counts } from "./backend.ts";
import { tapped, type Judged } from "./tap.ts";
import { startEngineFor } from "#test/harness/engine.ts";

/** What a case brought about, as the journal and the API server tell it. */
export type Observed = {
  /** "changed, healed: data.level by kubectl-edit"; foreign fields as their notice says. */
  readonly reported: readonly string[];
  /** Every object is again what it was before, as far as anyone can see. */
  readonly restored: boolean;
  /** The agent still asks for something, reads too, though nobody has meddled for ten minutes. */
  readonly loops: boolean;
  /** Changing requests and dry runs of the agent. */
  readonly writes: Counts;
};

/** Ten minutes, in steps that double: what was waiting has its answer before the next step. */
const waits = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512].map((seconds) => seconds * 1_000);

/** One agent's engine in this process, with a clock of its own, and one namespace for its case. */
export class World implements AsyncDisposable {
  readonly backend: Backend;
  readonly namespace: string;
  readonly documents: Documents;
  readonly clock = new VirtualClock(Date.now());
  readonly user: string;
  readonly agentNamespace: string;
  person!: Cluster;
  engine!: Engine;
  /** Of all its lives. */
  readonly journal = new Journal(1_000, () => Date.now());
  #cluster!: Cluster;
  readonly #judged: Judged = new Map();
  #deployed: readonly KubeObject[] = [];
  #wrapAgent: (cluster: Cluster) => Partial<Cluster> = () => ({});
  #access: AgentOptions = {};
  #authority: Authority | undefined;

  constructor(backend: Backend, name: string) {
    this.backend = backend;
    this.namespace = `shop-${name}`;
    this.agentNamespace = `plumbline-agent-${name}`;
    this.user = `agent-${name}`;
    this.documents = new Documents(clusterId(`eu-${name}`));
  }

  static async open(backend: Backend, name: string): Promise<World> {
    const world = new World(backend, name);
    await world.begin();
    return world;
  }

  /** The agent's first start. */
  async begin(): Promise<void> {
    this.person = await this.backend.as("kubectl-edit");
    await this.person.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: this.agentNamespace } });
    await this.start();
  }

  get label(): Record<string, string> {
    return { "plumbline.dev/agent": this.documents.cluster };
  }

  get ownNamespace(): KubeObject {
    return { apiVersion: "v1", kind: "Namespace", metadata: { name: this.namespace } };
  }

  async start(): Promise<void> {
    this.#judged.clear();
    const cluster = tapped(await this.backend.agent(this.user, this.#access), this.#judged);
    this.#cluster = Object.assign(Object.create(cluster) as Cluster, this.#wrapAgent(cluster));
    this.engine = await startEngineFor(this.documents, {
      cluster: this.#cluster,
      namespace: this.agentNamespace,
      ...(this.#authority === undefined ? {} : { authority: this.#authority }),
      journal: this.journal,
      clock: this.clock,
    });
  }

  async stop(): Promise<void> {
    await this.engine[Symbol.asyncDispose]();
    await this.#cluster[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** What the agent's connection does otherwise from its next start on; all else goes through to the cluster. */
  wrapAgent(wrap: (cluster: Cluster) => Partial<Cluster>): void {
    this.#wrapAgent = wrap;
  }

  /** How the agent reaches the server from its next start on. */
  accessAgent(access: AgentOptions): void {
    this.#access = access;
  }

  /** What the agent may do from its next start on. */
  allowAgent(authority: Authority): void {
    this.#authority = authority;
  }

  /** Objects that a case deployed by `take`. */
  follow(objects: readonly KubeObject[]): void {
    this.#deployed = objects;
  }

  /** One Application "shop" with these objects and the namespace. */
  async deploy(objects: readonly KubeObject[], delivery: Partial<Delivery> = {}): Promise<void> {
    await this.take(this.documents.run("shop", [this.ownNamespace, ...objects], delivery));
    this.#deployed = objects;
    await this.caughtUp();
  }

  async take(...entries: Parameters<Documents["sign"]>): Promise<void> {
    this.engine.take(this.documents.sign(...entries), "");
    await this.engine.settled();
  }

  address(object: Pick<KubeObject, "apiVersion" | "kind" | "metadata">): ObjectAddress {
    return { ...refOf(object), apiVersion: object.apiVersion };
  }

  async get(object: KubeObject): Promise<KubeObject> {
    const found = await this.person.get(this.address(object));
    if (found === undefined) throw new Error(`${object.kind} ${object.metadata.name} is not there`);
    return found;
  }

  /** Somebody sets fields of the object as it is, by their paths, under that manager's name; undefined removes one. */
  async edit(
    object: KubeObject,
    fields: Readonly<Record<string, Json | undefined>>,
    manager = "kubectl-edit",
  ): Promise<KubeObject> {
    const hand = await this.backend.as(manager);
    for (;;) {
      const there = await this.get(object);
      const changed = Object.entries(fields).reduce((left, [path, value]) => withValue(left, path, value), there);
      try {
        return await hand.replace(changed);
      } catch (error) {
        if ((error as { status?: number }).status !== 409) throw error;
      }
    }
  }

  async value(object: KubeObject, path: string): Promise<Json | undefined> {
    return valueAt(await this.get(object), path);
  }

  async delete(object: KubeObject, propagation: "Background" | "Orphan" = "Background"): Promise<void> {
    const { uid = "" } = (await this.get(object)).metadata;
    await this.person.delete(this.address(object), { uid, propagation });
  }

  /** The same, and waits until somebody has made it again. */
  async deleteAndWait(object: KubeObject, propagation: "Background" | "Orphan" = "Background"): Promise<void> {
    const { uid } = (await this.get(object)).metadata;
    await this.delete(object, propagation);
    await this.until(async () => ((await this.person.get(this.address(object)))?.metadata.uid ?? uid) !== uid);
  }

  /** Resolves when the agent has judged the newest version of everything deployed, and does nothing more by itself. */
  caughtUp(): Promise<void> {
    return this.until(() => this.isCaughtUp());
  }

  /** For whoever lets the clock run meanwhile: a watch that has ended may wait by it before it is begun again. */
  async isCaughtUp(): Promise<boolean> {
    for (const object of this.#deployed) {
      const there = await this.person.get(this.address(object));
      const judged = this.#judged.get(refKey(refOf(object)));
      if (there === undefined ? typeof judged === "bigint" : !isAtLeast(judged, there)) return false;
    }
    const before = this.#judgedText();
    await this.engine.settled();
    return before === this.#judgedText();
  }

  /** Whether the agent has judged that version of it, or a newer one. */
  hasJudged(object: KubeObject): boolean {
    return isAtLeast(this.#judged.get(refKey(refOf(object))), object);
  }

  /** Whether the agent has been told that it is gone. */
  hasHeardOfDeletion(object: KubeObject): boolean {
    return this.#judged.get(refKey(refOf(object))) === "deleted";
  }

  /** What the agent has not judged as it is now, in words, for whoever waited in vain. */
  async behind(): Promise<string[]> {
    const all = await Promise.all(
      this.#deployed.map(async (object) => {
        const there = await this.person.get(this.address(object));
        const judged = this.#judged.get(refKey(refOf(object)));
        if (there === undefined ? typeof judged === "bigint" : !isAtLeast(judged, there))
          return [`${refKey(refOf(object))}: judged ${judged}, is ${JSON.stringify(there?.metadata ?? "gone")}`];
        return [];
      }),
    );
    return [...all.flat(), ...this.engine.statuses().map(({ reason }) => reason)];
  }

  /** Waits for what a watch brings; the test's own limit is the only clock. */
  async until(holds: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  /** Does something to what is deployed, and tells what came of it. */
  async observe(meddle: () => Promise<unknown>): Promise<Observed> {
    const before = await this.#snapshot();
    const { sequence } = this.#mark();
    const asked = await this.requests();
    await meddle();
    await this.caughtUp();
    for (const ms of waits) {
      await this.clock.advance(ms);
      await this.caughtUp();
    }
    const after = await this.requests();
    await this.clock.advance(600_000);
    await this.caughtUp();
    const last = await this.requests();
    return {
      reported: this.reports(sequence),
      restored: JSON.stringify(await this.#snapshot()) === JSON.stringify(before),
      loops: JSON.stringify(after) !== JSON.stringify(last),
      writes: difference(asked, last),
    };
  }

  /** The same while the agent is down: it is back before anyone looks. */
  observeOffline(meddle: () => Promise<unknown>): Promise<Observed> {
    return this.observe(async () => {
      await this.stop();
      await meddle();
      await this.start();
    });
  }

  /** Events of drift in words, after that sequence number. */
  reports(sequence = 0n): string[] {
    return this.journal
      .after(sequence)
      .flatMap(({ body }) =>
        body?.$case === "drift"
          ? [describe(body.value)]
          : body?.$case === "notice"
            ? [body.value.text.slice(Math.max(0, body.value.text.indexOf("foreign fields")))]
            : [],
      );
  }

  drifts(): Drift[] {
    return this.journal.after(0n).flatMap(({ body }) => (body?.$case === "drift" ? [body.value] : []));
  }

  events($case: string): unknown[] {
    return this.journal.after(0n).flatMap(({ body }) => (body?.$case === $case ? [body.value] : []));
  }

  requests(): Promise<Counts> {
    return this.backend.requests(this.user, this.agentNamespace);
  }

  #mark(): { sequence: bigint } {
    return { sequence: this.journal.after(0n).at(-1)?.sequence ?? 0n };
  }

  #judgedText(): string {
    return [...this.#judged].map(([key, version]) => `${key}@${version}`).join(" ");
  }

  async #snapshot(): Promise<unknown[]> {
    return Promise.all(this.#deployed.map(async (object) => contentOf(await this.person.get(this.address(object)))));
  }
}

const isAtLeast = (judged: bigint | "deleted" | undefined, there: KubeObject): boolean =>
  judged !== undefined && judged !== "deleted" && judged >= BigInt(there.metadata.resourceVersion ?? "0");

/** What people mean by the object: without what the server counts, and what it hands out anew. */
function contentOf(object: KubeObject | undefined): Json {
  if (object === undefined) return null;
  const { metadata, ...rest } = structuredClone(object) as unknown as Record<string, Json>;
  delete rest["status"];
  const { labels = null, annotations = {}, finalizers = null } = metadata as Record<string, JsonObject>;
  // The Deployment controller's count, which comes when it comes.
  delete annotations?.["deployment.kubernetes.io/revision"];
  return sorted({ ...rest, labels, annotations, finalizers });
}

const sorted = (value: Json): Json =>
  Array.isArray(value)
    ? value.map(sorted)
    : typeof value === "object" && value !== null
      ? Object.fromEntries(
          Object.entries(value)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([name, inner]) => [name, sorted(inner)]),
        )
      : value;

const kinds: Readonly<Record<DriftKind, string>> = {
  [DriftKind.UNSPECIFIED]: "?",
  [DriftKind.CHANGED]: "changed",
  [DriftKind.DELETED]: "deleted",
  [DriftKind.LABEL_REMOVED]: "label removed",
  [DriftKind.REPLACED]: "replaced",
};
const states: Readonly<Record<DriftState, string>> = {
  [DriftState.UNSPECIFIED]: "?",
  [DriftState.SEEN]: "seen",
  [DriftState.HEALED]: "healed",
  [DriftState.CONTESTED]: "contested",
  [DriftState.ENDED]: "ended",
};

function describe({ kind, state, fields, tool }: Drift): string {
  const paths = fields.map(({ path }) => path).join(", ");
  const by = tool === "" ? "" : ` by ${tool}`;
  return `${kinds[kind]}, ${states[state]}${paths === "" ? "" : `: ${paths}`}${by}`;
}

function difference(before: Counts, after: Counts): Counts {
  const spent: Counts = {};
  for (const [name, count] of Object.entries(after)) {
    const more = count - (before[name] ?? 0);
    if (more > 0 && !/^(get|list|watch) /.test(name)) spent[name] = more;
  }
  return spent;
}
