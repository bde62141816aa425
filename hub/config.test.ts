import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { programIn, readConfig } from "#hub/config.ts";

test("of a program that was built in two versions the newer one is taken, and one in PATH before both", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-config-"));
  const place = async (path: string): Promise<string> => {
    await mkdir(join(folder.path, path), { recursive: true });
    await writeFile(join(folder.path, path, "helm"), "");
    return join(folder.path, path, "helm");
  };
  await place("plumbline/servers/helm-4.9.1");
  const newer = await place("plumbline/servers/helm-4.10.0");
  const env = { XDG_CACHE_HOME: folder.path, PATH: "" };
  expect(programIn(env, "helm")).toBe(newer);
  const inPath = await place("bin");
  expect(programIn({ ...env, PATH: join(folder.path, "bin") }, "helm")).toBe(inPath);
  expect(programIn({ ...env, PLUMBLINE_HELM: "/opt/helm" }, "helm")).toBe("/opt/helm");
});

test.each([
  [{}, "--fleet is missing"],
  [{ fleet: "https://host/fleet.git", pollMs: "soon" }, "--poll-ms must be a number"],
  [{ fleet: "https://host/fleet.git", listenHttp: "8080" }, "--listen-http must be host:port"],
])("settings %j are refused by the name of their flag", (given, words) => {
  expect(() => readConfig({}, given)).toThrow(words);
});
