import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { ask } from "#cli/client.ts";
import type { RealMember } from "#cli/demo/real-members.ts";
import { promote, runningRevision, settled, until, type Stage, type Telling } from "#cli/demo/stage.ts";
import type { ClusterAnswer } from "#proto/api.ts";
import { stackValues } from "#test/corpus-run/cases.ts";

const chart = fileURLToPath(new URL("../../test/corpus/kube-prometheus-stack", import.meta.url));
const name = "monitoring";
const stages = ["dev", "staging", "prod"] as const;

/** What people run in truth: kube-prometheus-stack, its chart beside the shop, by the same road through three environments. */
export async function tellMonitoring(stage: Stage, members: readonly RealMember[], telling: Telling): Promise<void> {
  const [dev] = members as [RealMember];
  await telling.step("kube-prometheus-stack", async () => {
    await stage.repository.commit({ ...(await chartFiles()), ...documents() }, "monitoring, in three environments");
    await settled(stage, "dev", { application: name });
    const { objects } = await runs(stage, dev);
    return `kube-prometheus-stack, its Helm chart in Git: ${objects} objects, CRDs first, healthy in dev`;
  });
  await telling.step("the same chart goes to staging and prod", async () => {
    for (const [n, environment] of stages.slice(1).entries()) {
      const revision = await runningRevision(stage, stages[n]!, name);
      await promote(stage, environment, revision, `fine in ${stages[n]}`, name);
      await settled(stage, environment, { application: name, revision });
    }
  });
  await telling.step(
    "every agent starts again, compares all of this with its cluster, and writes nothing",
    async () => {
      const before = await writesOf(members);
      for (const member of members) {
        const since = Date.now();
        await stage.agents.restart(member);
        await until(stage, `${member.name} to have compared all`, async () => {
          const { reportedAgoMs, phase, health } = await runs(stage, member);
          return Date.now() - reportedAgoMs > since && phase === "Applied" && health === "Current";
        });
      }
      const written = (await writesOf(members)) - before;
      if (written > 0) throw new Error(`${written} writes after a restart, of agents that had nothing to change`);
    },
  );
}

async function runs({ config }: Stage, { name: cluster }: RealMember) {
  const { running } = await ask<ClusterAnswer>(config, "GET", `/api/v1/clusters/${cluster}`);
  return running.find(({ application }) => application === name)!;
}

const writesOf = async (members: readonly RealMember[]): Promise<number> =>
  (await Promise.all(members.map((member) => member.writes()))).reduce((sum, writes) => sum + writes, 0);

async function chartFiles(): Promise<Record<string, Uint8Array>> {
  const found = await readdir(chart, { recursive: true, withFileTypes: true });
  const paths = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const files = paths.map(async (path) => [`${name}/${relative(chart, path)}`, await readFile(path)] as const);
  return Object.fromEntries(await Promise.all(files));
}

/** No image runs here, so nobody plays the operator: what it would say of its own kinds is left out of their health. */
const operated = ["Prometheus", "Alertmanager"];

function documents(): Record<string, string> {
  const application = {
    apiVersion: "plumbline.dev/v1",
    kind: "Application",
    metadata: { name },
    spec: {
      // The chart leaves its namespace to whoever installs it.
      source: { path: name, helm: { values: { ...stackValues, extraManifests: [namespace] } } },
      namespace: name,
      environments: stages,
    },
  };
  const rules = operated.map((kind) => ({
    apiVersion: "plumbline.dev/v1",
    kind: "HealthRule",
    metadata: { name: kind.toLowerCase() },
    spec: { apiVersion: "monitoring.coreos.com/v1", kind, current: "true" },
  }));
  return { "fleet/monitoring.yaml": [application, ...rules].map((document) => stringify(document)).join("---\n") };
}

const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name } };
