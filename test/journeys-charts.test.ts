import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sha256Hex } from "#proto/json.ts";
import { packChart } from "#test/harness/chart-archive.ts";
import {
  indexOf,
  startHelmRepository,
  startRegistry,
  type HelmRepository,
  type Registry,
} from "#test/harness/chart-servers.ts";
import { environment, yaml } from "#test/harness/manifests.ts";
import { startWorld, type World } from "#test/harness/world.ts";
import { joinSimulated, type Member } from "#test/hostile/member.ts";

// A hub process that fetches a published chart, from both kinds of servers; a cluster that runs what comes out.
let world: World;
let member: Member;
let helm: HelmRepository;
let registry: Registry;
beforeAll(async () => {
  helm = await startHelmRepository();
  registry = await startRegistry();
  world = await startWorld({ renderers: true, pollMs: 500 });
  await world.startHub();
  await world.git.commit("fleet", "main", { "fleet/dev.yaml": environment("dev", { follow: "main" }) }, "dev");
  member = await joinSimulated(world, "dev-1", { env: "dev" });
});
afterAll(async () => {
  await member?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
  await helm?.[Symbol.asyncDispose]();
});

const template = `apiVersion: v1
kind: ConfigMap
metadata: {name: said}
data: {chart: {{ .Values.said | quote }}, cluster: {{ .Values.cluster | quote }}}
`;
const web = (said: string): Buffer =>
  packChart("web", "1.2.3", { "values.yaml": `said: ${said}\n`, "templates/said.yaml": template });
const digestOf = (archive: Buffer): string => `sha256:${sha256Hex(archive)}`;

const publishers = {
  helm: {
    url: () => helm.url,
    publish: (archive: Buffer) => {
      helm.files.set("/charts/index.yaml", indexOf("web", "1.2.3", archive));
      helm.files.set("/charts/web-1.2.3.tgz", archive);
    },
    asked: () => helm.requests.length,
  },
  oci: {
    url: () => registry.url,
    publish: (archive: Buffer) => registry.push("web", "1.2.3", archive),
    asked: () => registry.requests.length,
  },
};

describe.each(["helm", "oci"] as const)("a chart published in a repository of type %s", (type) => {
  const name = `by-${type}`;
  const { url, publish, asked } = publishers[type];
  const [first, changed] = [web(`first ${type}`), web(`changed ${type}`)];

  const documents = (digest?: string): Record<string, string> => {
    const chart = { repository: name, name: "web", version: "1.2.3", ...(digest && { digest }) };
    const spec = {
      source: { helm: { chart, values: { cluster: "${cluster.name}" } } },
      namespace: name,
      environments: ["dev"],
    };
    const kinds = { Repository: { type, url: url() }, Application: spec };
    return {
      [`fleet/${name}.yaml`]: Object.entries(kinds)
        .map(([kind, spec]) => yaml({ apiVersion: "plumbline.dev/v1", kind, metadata: { name }, spec }))
        .join("---\n"),
    };
  };
  const said = () =>
    member.cluster.get({ apiVersion: "v1", group: "", kind: "ConfigMap", namespace: name, name: "said" })?.["data"];
  const row = async () => (await world.status()).rows.find(({ application }) => application === name)!;
  /** As the record has it, in Git. */
  const onRecord = (): Promise<string> => world.recorded(`charts/${name}/web/1.2.3.yaml`);
  const until = (what: string, chart: string): Promise<void> =>
    world.until(what, () => Promise.resolve((said() as { chart?: string } | undefined)?.chart === chart));

  test("is fetched by the hub, put on record by its digest, and run", async () => {
    publish(first);
    const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name } };
    await member.cluster.connect().create(namespace);
    await world.git.commit("fleet", "main", documents(), `declares ${name}`);
    await until("the chart", `first ${type}`);
    expect(said()).toEqual({ chart: `first ${type}`, cluster: "dev-1" });
    expect(await onRecord()).toContain(digestOf(first));
    expect((await row()).rendered).toContain(`web 1.2.3 of ${name}, ${digestOf(first).slice(0, 19)}`);
    const shown = await world.plumb("render", name, "--cluster", "dev-1", "--from-hub");
    expect([shown.code, shown.stdout]).toEqual([0, expect.stringContaining(`chart: first ${type}\n`)]);
  });

  test("is asked for no more, whatever stands there meanwhile", async () => {
    publish(changed);
    const before = asked();
    await world.git.commit("fleet", "main", { "README.md": `another commit ${type}` }, "another commit");
    const head = await world.git.git("fleet", ["rev-parse", "main"]);
    await world.until(
      "the commit",
      async () => (await row()).revisions[0]?.revision === head || (await world.status()).fleetCommit === head,
    );
    await world.stopHub();
    await world.startHub();
    await world.until("the hub to know it again", async () => (await row()).settled === 1);
    expect(asked()).toBe(before);
    expect((said() as { chart: string }).chart).toBe(`first ${type}`);
  });

  test("whose bytes changed under its version is refused by a hub that lost its data; what runs goes on", async () => {
    await world.stopHub();
    await world.deleteData();
    await world.startHub();
    // Another revision, which has to be rendered anew.
    await world.git.commit(
      "fleet",
      "main",
      { [`fleet/${name}.yaml`]: documents()[`fleet/${name}.yaml`]!.replace("cluster:", "other: 1\n        cluster:") },
      "another value",
    );
    const refused = `web 1.2.3 of ${name} is ${digestOf(changed)}, and the record says ${digestOf(first)}: what is published under a version must not change`;
    await world.until("the refusal", async () => (await row()).reasons.join().includes(refused));
    expect((said() as { chart: string }).chart).toBe(`first ${type}`);
    expect(await onRecord()).toContain(digestOf(first));
    const shown = await world.plumb("render", name, "--cluster", "dev-1", "--from-hub");
    expect([shown.code, shown.stdout]).toEqual([1, ""]);
    expect(shown.stderr).toContain("what is published under a version must not change");
  });

  test("is taken when people write the new digest into Git", async () => {
    await world.git.commit("fleet", "main", documents(digestOf(changed)), "the new content is what we want");
    await until("the new content", `changed ${type}`);
    await world.until("no complaint", async () => (await row()).reasons.length === 0);
  });
});
