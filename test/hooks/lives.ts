import type { ObjectAddress } from "#agent/cluster/cluster.ts";
import { createSimulatedCluster } from "#agent/cluster/simulated/simulated.ts";
import type { Engine } from "#agent/engine/engine.ts";
import { Journal } from "#agent/report/journal.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { clusterId } from "#proto/ids.ts";
import { refOf, type KubeObject } from "#proto/object.ts";
import { lifeOn } from "#test/convergence/mortal.ts";
import { Documents } from "#test/harness/documents.ts";
import { startEngineFor } from "#test/harness/engine.ts";
import type { KillPoint } from "#test/kill-points/kills.ts";

const agentNamespace = "plumbline-agent";
export const place = "shop";

/** A simulated cluster whose Jobs end at once, and the lives of an agent on it, one after the other. */
export class Lives {
  readonly simulated = createSimulatedCluster({ controllers: true });
  readonly documents = new Documents(clusterId("eu-1"));
  readonly journal = new Journal(1_000, () => 0);
  /** uids of what agents made, by "<Kind> <name>". */
  readonly #made = new Map<string, Set<string>>();

  static async open(): Promise<Lives> {
    const lives = new Lives();
    const person = lives.simulated.connect("kubectl");
    for (const name of [agentNamespace, place])
      await person.create({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
    return lives;
  }

  /** One life, which ends after `act`, or at a write. Gives whether it was killed. */
  async live(act: (engine: Engine) => Promise<void>, kill?: KillPoint): Promise<boolean> {
    const life = lifeOn(this.simulated.connect(), {
      deleting: () => undefined,
      applying: () => undefined,
      applied: (object) => this.#note(object),
    });
    await using engine = await startEngineFor(this.documents, {
      cluster: life.cluster,
      namespace: agentNamespace,
      journal: this.journal,
      clock: new VirtualClock(),
    });
    if (kill !== undefined) life.killAt(kill.write, kill.moment);
    // One that is dead comes to no rest: it would try again.
    const progress = { isDone: false };
    const done = (): void => void (progress.isDone = true);
    await Promise.race([act(engine).finally(done), until(() => progress.isDone || life.isDead())]);
    return life.isDead();
  }

  /** A life that is given a document. */
  take(document: Uint8Array, kill?: KillPoint): Promise<boolean> {
    return this.live(async (engine) => {
      engine.take(document, "");
      await engine.settled();
    }, kill);
  }

  get(object: KubeObject): KubeObject | undefined {
    return this.simulated.get(addressOf(object));
  }

  /** How many objects of that name agents have made. */
  made({ kind, metadata }: KubeObject): number {
    return this.#made.get(`${kind} ${metadata.name}`)?.size ?? 0;
  }

  /** Secrets of the agent's memory go. */
  lose(...names: readonly string[]): void {
    for (const name of names)
      this.simulated.remove({ apiVersion: "v1", group: "", kind: "Secret", namespace: agentNamespace, name });
  }

  async memory(prefix: string): Promise<string[]> {
    const person = this.simulated.connect("kubectl");
    const kind = (await person.kindOf("v1", "Secret"))!;
    const { items } = await person.list(kind, { namespace: agentNamespace });
    return items.map(({ metadata }) => metadata.name).filter((name) => name.startsWith(prefix));
  }

  notices(): string[] {
    return this.journal.after(0n).flatMap(({ body }) => (body?.$case === "notice" ? [body.value.text] : []));
  }

  #note(object: KubeObject): void {
    const uid = this.get(object)?.metadata.uid;
    const name = `${object.kind} ${object.metadata.name}`;
    if (uid !== undefined) this.#made.set(name, (this.#made.get(name) ?? new Set()).add(uid));
  }
}

const addressOf = (object: KubeObject): ObjectAddress => ({ ...refOf(object), apiVersion: object.apiVersion });

export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

export const settings = (
  name: string,
  level = "1",
  annotations: Readonly<Record<string, string>> = {},
): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: place, annotations: { ...annotations } },
  data: { level },
});

export const job = (name: string, annotations: Readonly<Record<string, string>>, image = "migrate"): KubeObject => ({
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: { name, namespace: place, annotations: { ...annotations } },
  spec: {
    template: { spec: { restartPolicy: "Never", containers: [{ name: "main", image: `example.com/${image}` }] } },
  },
});
