import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { environment, namespace, yaml } from "#test/harness/manifests.ts";
import { serverPath } from "#test/harness/servers.ts";
import { startWorld } from "#test/harness/world.ts";
import { joinSimulated } from "#test/hostile/member.ts";

test("a chart that gives something else each day changes no cluster when the hub has lost what it rendered", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-day-"));
  const [helm, day] = [join(folder.path, "helm"), join(folder.path, "day")];
  // Two renderings at once see the same day, as they do of `now | date`; the test decides when the next one begins.
  const script = `#!/bin/sh\n${serverPath("helm")} "$@" > "$HOME/out" || exit 1\n/bin/sed "s/TODAY/$(/bin/cat ${day})/" "$HOME/out"\n`;
  await writeFile(helm, script, { mode: 0o755 });
  await writeFile(day, "monday");
  await using world = await startWorld({ renderers: true, pollMs: 500, env: { PLUMBLINE_HELM: helm } });
  const applicationOf = (values: object): string =>
    yaml({
      apiVersion: "plumbline.dev/v1",
      kind: "Application",
      metadata: { name: "today" },
      spec: { source: { path: "today", helm: { values } }, namespace: "today", environments: ["dev"] },
    });
  await world.git.commit(
    "fleet",
    "main",
    {
      "fleet/dev.yaml": environment("dev", { follow: "main" }),
      "fleet/today.yaml": applicationOf({ level: "first" }),
      "today/Chart.yaml": "apiVersion: v2\nname: today\nversion: 1.0.0\n",
      "today/templates/namespace.yaml": namespace("today"),
      "today/templates/a.yaml":
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {day: TODAY, level: {{ .Values.level }}}\n",
    },
    "the day",
  );
  await world.startHub();
  await using member = await joinSimulated(world, "dev-1", { env: "dev" });
  const object = () =>
    member.cluster.get({ apiVersion: "v1", group: "", kind: "ConfigMap", namespace: "today", name: "a" });
  const row = async () => (await world.status()).rows.find(({ application }) => application === "today");
  await world.until("the chart", async () => (await row())?.settled === 1);
  const before = object();
  expect(before?.["data"]).toEqual({ day: "monday", level: "first" });
  await world.stopHub();
  await world.deleteData();
  await writeFile(day, "tuesday");
  await world.startHub();
  await world.until("the reason", async () =>
    (await row())!.reasons.some((reason) => reason.includes("does not render to the same again")),
  );
  expect(object()).toEqual(before);
  // Whoever changes what it is rendered from means it.
  await world.git.commit("fleet", "main", { "fleet/today.yaml": applicationOf({ level: "second" }) }, "a value");
  const now = { day: "tuesday", level: "second" };
  await world.until("the value", () => Promise.resolve(JSON.stringify(object()?.["data"]) === JSON.stringify(now)));
  await world.until("no complaint", async () => (await row())!.reasons.length === 0);
});
