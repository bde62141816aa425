import { stringify } from "yaml";
import { configMap, environment, namespace } from "#test/harness/manifests.ts";
import { startWorld, type World, type WorldOptions } from "#test/harness/world.ts";
import { forge, type Entry } from "#test/hostile/forge.ts";
import { joinSimulated, type Member } from "#test/hostile/member.ts";
import { peakOf, type Peak } from "#test/hostile/peak.ts";

/** Whatever anybody commits. */
export const hubMegabytes = 400;

/** A hub process that people who mean harm commit to, and a cluster that takes what the others publish meanwhile. */
export type HostileHub = AsyncDisposable & {
  readonly world: World;
  readonly member: Member;
  readonly peak: Peak;
  /** To the fleet repository, past git's own checks. */
  commit(entries: readonly Entry[]): Promise<void>;
  /** A commit to an Application, seen in its cluster. Gives the time it took. */
  publish(name?: string, repository?: string): Promise<number>;
  /** What an Application's ConfigMap holds in the cluster. */
  settingsOf(name: string): Record<string, string> | undefined;
  /** Declares a Repository, and an Application that comes from it. */
  declare(name: string, url: string, more?: object): Promise<string>;
  undeclare(name: string): Promise<string>;
  /** Waits for the alarm about a repository. */
  alarm(name: string): Promise<string>;
  /** Waits for what is said of an Application, once its repository is here. */
  told(application: string): Promise<readonly string[]>;
};

export const applicationOf = (name: string, source: object = {}): string =>
  stringify({
    apiVersion: "plumbline.dev/v1",
    kind: "Application",
    metadata: { name },
    spec: { source: { path: `apps/${name}`, ...source }, namespace: name, environments: ["dev"] },
  });

/** Starts it all, with one Application called good that is published. */
export async function openHostileHub(options: WorldOptions): Promise<HostileHub> {
  await using started = new AsyncDisposableStack();
  const world = started.use(await startWorld(options));
  await world.startHub();
  await world.git.commit(
    "fleet",
    "main",
    {
      "fleet/dev.yaml": environment("dev", { follow: "main" }),
      "fleet/good.yaml": applicationOf("good"),
      "apps/good/namespace.yaml": namespace("good"),
    },
    "good",
  );
  const member = started.use(await joinSimulated(world, "dev-1", { env: "dev" }));
  let version = 0;
  const settingsOf: HostileHub["settingsOf"] = (name) =>
    member.cluster.get({ apiVersion: "v1", group: "", kind: "ConfigMap", namespace: name, name: "settings" })?.[
      "data"
    ] as Record<string, string> | undefined;
  const publish: HostileHub["publish"] = async (name = "good", repository = "fleet") => {
    version += 1;
    const settings = configMap("settings", { version: String(version) });
    const begun = performance.now();
    await world.git.commit(repository, "main", { [`apps/${name}/settings.yaml`]: settings }, `${name} ${version}`);
    await world.until(`${name}'s change`, () => Promise.resolve(settingsOf(name)?.["version"] === String(version)));
    return performance.now() - begun;
  };
  await publish();
  const all = started.move();
  return {
    world,
    member,
    peak: peakOf(world.hub().pid),
    settingsOf,
    publish,
    async commit(entries) {
      await forge(world.git, "fleet", entries);
      await world.git.onPush("fleet");
    },
    declare(name, url, more = {}) {
      const repository = {
        apiVersion: "plumbline.dev/v1",
        kind: "Repository",
        metadata: { name },
        spec: { url, ...more },
      };
      const documents = [stringify(repository), applicationOf(name, { render: "plain", repository: name })];
      return world.git.commit("fleet", "main", { [`fleet/${name}.yaml`]: documents.join("---\n") }, `declares ${name}`);
    },
    undeclare: (name) => world.git.commit("fleet", "main", { [`fleet/${name}.yaml`]: null }, `${name} is gone`),
    async alarm(name) {
      let found: string | undefined;
      await world.until(`an alarm about ${name}`, async () => {
        found = (await world.status()).alarms.find(
          (text) => text.startsWith(`${name}:`) || text.includes(` of ${name} `),
        );
        return found !== undefined;
      });
      return found!;
    },
    async told(application) {
      let reasons: readonly string[] = [];
      await world.until(`a reason for ${application}`, async () => {
        const row = (await world.status()).rows.find((row) => row.application === application);
        reasons = (row?.reasons ?? []).filter((reason) => !/^branch \S+ of \S+ is not known$/.test(reason));
        return reasons.length > 0;
      });
      return reasons;
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}
