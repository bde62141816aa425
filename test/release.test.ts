import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { configMap, namespace } from "#test/harness/manifests.ts";
import { startTrio } from "#test/harness/trio.ts";

const run = promisify(execFile);
const build = fileURLToPath(new URL("../tools/build.js", import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "plumbline-release-"));
  await run(process.execPath, [build, folder]);
}, 120_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

test("the bundled hub and agents carry a commit to a cluster with no package beside them", async () => {
  await using trio = await startTrio({ cli: join(folder, "plumb.js") });
  const revision = await trio.deploy("released", {
    dev: {
      "namespace.yaml": namespace("released"),
      "settings.yaml": configMap("settings", { level: "info" }).replace(
        "  name: settings",
        "  name: settings\n  namespace: released",
      ),
    },
  });
  await trio.settled("dev", "released", revision);
  expect(await trio.get("dev", "v1", "ConfigMap", "released", "settings")).toMatchObject({ data: { level: "info" } });
}, 120_000);

test.each([
  ["hub.js", "plumbline-hub: --fleet is missing: name the fleet repository\n"],
  ["agent.js", "plumbline-agent: not in a cluster: name a cluster by --kubeconfig FILE\n"],
])("%s started without its settings says which one is missing", async (name, said) => {
  await expect(run(process.execPath, [join(folder, name)], { env: {} })).rejects.toMatchObject({
    code: 2,
    stderr: said,
  });
});
