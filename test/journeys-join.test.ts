import { afterAll, beforeAll, expect, test } from "vitest";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import type { RegisterAnswer } from "#proto/api.ts";
import { clusterId } from "#proto/ids.ts";
import { joinTokenLifeMs, mintJoinToken } from "#proto/token.ts";
import { loadIdentity } from "#hub/identity/identity.ts";
import { openSharedControlPlane, type SharedControlPlane } from "#test/harness/shared-control-plane.ts";
import { startProcess } from "#test/harness/process.ts";
import { serverPath } from "#test/harness/servers.ts";
import { startWorld, type World } from "#test/harness/world.ts";

let world: World;
let plane: SharedControlPlane;
beforeAll(async () => {
  [world, plane] = await Promise.all([startWorld(), openSharedControlPlane()]);
  await world.startHub();
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await plane?.[Symbol.asyncDispose]();
});

let namespaces = 0;
/** Joins with a line as printed, in a fresh agent namespace: another would-be agent. */
async function enrol(answer: RegisterAnswer, change: (line: string) => string = (line) => line) {
  namespaces += 1;
  const line = change(answer.joinCommand).replace("FILE", plane.adminKubeconfig).split(" ").slice(1);
  return world.plumb(...line, "--enrol-only", "--namespace", `agent-${namespaces}`);
}
const withToken = (token: string) => (line: string) => line.replace(/--token \S+/, `--token ${token}`);

test("J12 the printed line joins once; the same token, another's, a forged or an ended one is refused", async () => {
  const answer = await world.register("eu-1", { env: "prod" });
  expect(answer.file).toBe("fleet/clusters/eu-1.yaml");
  const joined = await enrol(answer);
  expect(joined).toMatchObject({ code: 0, stderr: expect.stringContaining("eu-1 has joined") as string });
  const record = await world.recorded("clusters/eu-1.yaml");
  expect(record).toContain("cluster: eu-1");

  const again = await enrol(answer);
  expect(again).toMatchObject({ code: 4, stderr: expect.stringContaining("a token works once") as string });
  const { tokenSecret } = await loadIdentity(join(world.folder, "identity", "identity.json"));
  const ended = mintJoinToken(clusterId("eu-2"), tokenSecret, Date.now() - joinTokenLifeMs - 1_000);
  expect(await enrol(answer, withToken(ended))).toMatchObject({
    code: 4,
    stderr: expect.stringContaining("has ended") as string,
  });
  const forged = mintJoinToken(clusterId("eu-2"), randomBytes(32), Date.now());
  expect(await enrol(answer, withToken(forged))).toMatchObject({
    code: 4,
    stderr: expect.stringContaining("not of this hub") as string,
  });
  const undeclared = mintJoinToken(clusterId("eu-9"), tokenSecret, Date.now());
  expect(await enrol(answer, withToken(undeclared))).toMatchObject({
    code: 4,
    stderr: expect.stringContaining("not declared") as string,
  });
  const otherHub = (line: string) => line.replace(/--ca-pin sha256:..../, "--ca-pin sha256:0000");
  expect(await enrol(answer, otherHub)).toMatchObject({
    code: 4,
    stderr: expect.stringContaining("another fingerprint") as string,
  });
  const repeated = await world.plumb("cluster", "register", "eu-1");
  expect(repeated).toMatchObject({ code: 3, stderr: expect.stringContaining("joined already") as string });
});

test("an agent whose answer got lost joins with the keys it made first", async () => {
  const answer = await world.register("eu-3", {});
  expect((await enrol(answer)).code).toBe(0);
  // As if the hub's answer had never come: the Secret holds the keys, and no certificate.
  await using people = openKubernetes(await kubeconfigAccess(plane.adminKubeconfig));
  const address = {
    apiVersion: "v1",
    group: "",
    kind: "Secret",
    namespace: `agent-${namespaces}`,
    name: "plumbline-keys",
  };
  const secret = (await people.get(address))!;
  const { certificate: _certificate, ...kept } = secret["data"] as Record<string, string>;
  await people.replace({ ...secret, data: kept });
  namespaces -= 1;
  expect(await enrol(answer)).toMatchObject({ code: 0 });
  expect((await people.get(address))?.["data"]).toHaveProperty("certificate");
});

test("J12 the printed manifests are accepted by the API server, and the link gives them only for its token", async () => {
  const answer = await world.register("eu-4", { env: "prod" });
  const file = join(world.folder, "paste.yaml");
  await writeFile(file, answer.paste);
  await using kubectl = startProcess(serverPath("kubectl"), [
    `--kubeconfig=${plane.adminKubeconfig}`,
    "apply",
    "-f",
    file,
  ]);
  await kubectl.ended;
  expect(kubectl.log()).toContain("deployment.apps/plumbline-agent created");
  expect(kubectl.child.exitCode).toBe(0);
  const token = /--token (\S+)/.exec(answer.joinCommand)![1]!;
  const link = (name: string, with_: string) => fetch(`${world.hubUrl}/join/${name}?token=${with_}`);
  expect(await (await link("eu-4", token)).text()).toBe(answer.paste);
  expect((await link("eu-5", token)).status).toBe(403);
  expect((await link("eu-4", "x")).status).toBe(403);
  expect(world.logs()).not.toContain(token);
});
