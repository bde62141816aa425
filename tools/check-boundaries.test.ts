import { spawnSync } from "node:child_process";
import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const tool = fileURLToPath(new URL("check-boundaries.js", import.meta.url));

/** What the check says of a tree with this one file; empty when it passes. */
async function said(file: string, text: string): Promise<string> {
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumb-boundaries-"));
  await mkdir(dirname(join(folder.path, file)), { recursive: true });
  await writeFile(join(folder.path, file), text);
  const { stderr, status } = spawnSync(process.execPath, [tool, folder.path], { encoding: "utf8" });
  expect(status).toBe(stderr === "" ? 0 : 1);
  return stderr;
}

test.each([
  ["agent/engine/heal.ts", "export const f = (context) =>\n  context.cluster.apply(object);\n", "heal.ts:2"],
  ["agent/engine/heal.ts", "const { cluster } = context;\nawait cluster\n  .delete(address, {});\n", "heal.ts:2"],
  ["agent/apply/late.ts", "await parts.cluster?.replace(object);\n", "only a Writer"],
  ["agent/report/late.ts", "await cluster.create(object);\n", "only a Writer"],
  ["agent/engine/heal.ts", "await context.cluster.as(user).list(kind);\n", "only a Writer"],
  ["agent/engine/heal.ts", 'import type { Cluster, KindInfo } from "#agent/cluster/cluster.ts";\n', "ClusterReader"],
  ["agent/engine/heal.ts", 'import { openWriter } from "#agent/authority/writer.ts";\n', "holds what can write"],
])("the engine writes only through a Writer: %s %j", async (file, text, because) => {
  expect(await said(file, text)).toContain(because);
});

test.each([
  ["agent/engine/heal.ts", "await context.writer(run.delivery).apply(object);\nawait context.cluster.get(address);\n"],
  ["agent/engine/heal.ts", 'import type { ClusterReader } from "#agent/cluster/cluster.ts";\n'],
  ["agent/engine/heal.test.ts", "await cluster.create(object);\n"],
  ["agent/state/secrets.ts", "await cluster.create(secret);\n"],
  ["agent/engine/engine.ts", 'import type { Cluster } from "#agent/cluster/cluster.ts";\n'],
])("and passes what keeps to it: %s", async (file, text) => {
  expect(await said(file, text)).toBe("");
});

test("an import across a boundary is named with the rule", async () => {
  expect(await said("agent/engine/heal.ts", 'import { decide } from "#hub/decide/decide.ts";\n')).toContain(
    "agent/engine/heal.ts imports #hub/decide/decide.ts: the agent must run with the hub's code absent",
  );
});
