import { createHmac } from "node:crypto";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Actions } from "#hub/api/actions.ts";
import type { Actor } from "#hub/api/authorise.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import { fleetReader } from "#hub/fleet/read.ts";
import { createGitSigner } from "#hub/git/sign.ts";
import { createIdentity, loadIdentity, saveIdentity } from "#hub/identity/identity.ts";
import { createActions } from "#hub/actions/actions.ts";
import { lookLimitMs } from "#hub/actions/find-revision.ts";
import { provedLookMs, provedLooks } from "#hub/actions/promote.ts";
import { openRecords, type RecordStore } from "#hub/loop/records.ts";
import { openSource, type Source } from "#hub/loop/sources.ts";
import { silentLog } from "#lib/log.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { applicationName, environmentName } from "#proto/ids.ts";
import { startGitServer, type GitServer } from "#test/harness/git-server.ts";
import { application, environment, yaml } from "#test/harness/manifests.ts";
import { sourceOptions } from "#test/harness/source-options.ts";

const ann: Actor = { name: "ann", roles: [] };
const fleetFiles = {
  "fleet/environments.yaml": [
    environment("dev", { follow: "main" }),
    environment("prod", { promotedFrom: ["dev"] }),
  ].join("---\n"),
  "fleet/repository.yaml": yaml({
    apiVersion: "plumbline.dev/v1",
    kind: "Repository",
    metadata: { name: "shop" },
    spec: { url: "https://git.example/shop.git" },
  }),
  "fleet/shop.yaml": application("shop", {
    path: "deploy",
    namespace: "shop",
    environments: ["dev", "prod"],
    repository: "shop",
  }),
};

let stack: AsyncDisposableStack;
let git: GitServer;
let actions: Actions;
let clock: VirtualClock;
let shop: Source;
let records: RecordStore;
let secretFile: string;
/** Once, right after the fleet was read. */
let meanwhile: (() => Promise<void>) | undefined;
/** How often an event made the hub look. */
let pokes: number;

/** The hub's actions on real repositories that nothing but a question makes it look at. */
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  git = stack.use(await startGitServer());
  const folder = stack.use(await mkdtempDisposable(join(tmpdir(), "plumbline-actions-")));
  clock = new VirtualClock();
  pokes = 0;
  const stopped = new AbortController();
  stack.defer(() => stopped.abort(new Error("the test ends")));
  const open = async (name: string): Promise<Source> => {
    const source = await openSource(
      { name, url: await git.createRepository(name), remote: {}, follows: () => ["main"] },
      sourceOptions(folder.path, stopped.signal),
    );
    stack.defer(() => source.stop());
    return source;
  };
  const fleetSource = await open("fleet");
  shop = await open("shop");
  await git.commit("fleet", "main", fleetFiles, "the fleet");
  await git.commit("shop", "main", { "deploy/a.yaml": "a: 1\n" }, "first");
  await Promise.all([fleetSource.following.look(), shop.following.look()]);
  const read = fleetReader();
  let fleet: Fleet;
  const refresh = async (): Promise<void> => {
    fleet = read(await fleetSource.mirror.contents(fleetSource.head("main")!, "fleet")).fleet;
    const work = meanwhile;
    meanwhile = undefined;
    if (work === undefined) return;
    await work();
    await fleetSource.following.look();
  };
  await refresh();
  secretFile = join(folder.path, "webhook-secret");
  const path = join(folder.path, "identity.json");
  await saveIdentity(path, await createIdentity(clock.now()));
  const identity = await loadIdentity(path);
  const signer = createGitSigner(identity.gitKey);
  const fetch = (): Promise<void> => fleetSource.following.look();
  records = openRecords({ mirror: fleetSource.mirror, fetch }, signer, clock, silentLog);
  actions = createActions({
    identity,
    signer,
    fleetSource,
    branch: "main",
    folder: "fleet",
    fleet: () => fleet,
    refresh,
    round: () => Promise.resolve(),
    sourceOf: (name) => (name === "shop" ? shop : undefined),
    sourceByName: (name) =>
      name === "shop" ? { ...shop, following: { ...shop.following, poke: () => (pokes += 1) } } : undefined,
    webhookSecretFile: (name) => (name === "shop" ? secretFile : undefined),
    records,
    isReported: (name) => name === "dropped",
    inUse: () => [],
    revoked: () => Promise.resolve(),
    grpcAddress: "hub.example:7443",
    agentImage: "agent:1",
    clock,
  });
});
afterEach(() => stack.disposeAsync());

/** Without a revision, of what was proved. */
const promote = (revision?: string) =>
  actions.promote(ann, { environment: "prod", application: "shop", revision, reason: "", allowPrune: undefined });

test("what a person pushes between the hub's reading and its commit counts", async () => {
  const pushed = await git.commit("shop", "main", { "deploy/a.yaml": "a: 2\n" }, "second");
  const away = { "fleet/shop.yaml": application("shop", { path: "deploy", namespace: "shop", environments: ["dev"] }) };
  meanwhile = async () => void (await git.commit("fleet", "main", away, "prod is not for the shop"));
  expect(await promote(pushed)).toMatchObject({ ok: false, message: "shop is not delivered to prod" });
});

test("a revision that was pushed a moment ago is promoted: the hub looks at its repository before it says no", async () => {
  const pushed = await git.commit("shop", "main", { "deploy/a.yaml": "a: 2\n" }, "second");
  expect(await shop.mirror.resolve(pushed)).toBeUndefined();
  expect(await promote(pushed.slice(0, 10))).toMatchObject({ ok: true, revision: pushed });
  expect(await git.git("fleet", ["show", "main:fleet/promotions/prod/shop.yaml"])).toContain(pushed);
});

test("what is known is promoted without a look, and what is nowhere is refused after one", async () => {
  const known = shop.head("main")!;
  let looks = 0;
  git.onRequest = (name) => void (looks += name === "shop" ? 1 : 0);
  expect(await promote(known)).toMatchObject({ ok: true, revision: known });
  expect(looks).toBe(0);
  expect(await promote("deadbeef")).toMatchObject({
    ok: false,
    status: 404,
    message: "deadbeef is no commit of shop's repository",
  });
});

test("a repository that cannot be reached is named as the reason, and one that hangs keeps nobody waiting", async () => {
  git.failWith("401");
  expect(await promote("deadbeef")).toMatchObject({
    ok: false,
    message: expect.stringContaining("shop's repository, which cannot be reached now: ") as string,
  });
  git.failWith("hang");
  let answered = false;
  const answer = promote("deadbeef").finally(() => (answered = true));
  while (clock.sleeping === 0) await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(lookLimitMs - 1);
  expect(answered).toBe(false);
  await clock.advance(1);
  expect(await answer).toMatchObject({ ok: false, status: 404 });
});

describe("an event of a forge makes the hub look once, by its own kind of signature:", () => {
  const body = Buffer.from('{"ref": "refs/heads/main"}');
  const hex = (secret: string): string => createHmac("sha256", secret).update(body).digest("hex");
  const standard = (secret: string, atMs: number): Record<string, string> => {
    const time = String(Math.floor(atMs / 1000));
    const signed = createHmac("sha256", Buffer.from(secret.slice("whsec_".length), "base64"))
      .update(`m1.${time}.`)
      .update(body);
    return { "webhook-id": "m1", "webhook-timestamp": time, "webhook-signature": `v1,${signed.digest("base64")}` };
  };
  const forges: readonly [string, (secret: string) => Record<string, string>][] = [
    ["GitHub", (secret) => ({ "x-hub-signature-256": `sha256=${hex(secret)}`, "x-github-delivery": "1" })],
    ["GitLab", (secret) => ({ "x-gitlab-token": secret, "idempotency-key": "1" })],
    ["GitLab, signed", (secret) => standard(secret, clock.now())],
    ["Gitea", (secret) => ({ "x-gitea-signature": hex(secret), "x-gitea-delivery": "1" })],
    ["Forgejo", (secret) => ({ "x-forgejo-signature": hex(secret), "x-forgejo-delivery": "1" })],
    ["Bitbucket", (secret) => ({ "x-hub-signature": `sha256=${hex(secret)}`, "x-request-uuid": "1" })],
  ];
  test.each(forges)("%s; forged, replayed and after its secret was rotated", async (_forge, headersOf) => {
    const [first, rotated] = ["whsec_aHVzaC0x", "whsec_aHVzaC0y"];
    const send = (secret: string) => actions.webhook("shop", new Headers(headersOf(secret)), body);
    expect(await send(first)).toEqual({ ok: false, because: "the file of the webhook's secret cannot be read" });
    await writeFile(secretFile, `${first}\n`);
    expect(await send(rotated)).toMatchObject({ ok: false });
    expect(pokes).toBe(0);
    expect(await send(first)).toEqual({ ok: true, because: "" });
    expect(pokes).toBe(1);
    expect(await send(first)).toEqual({ ok: true, because: "" });
    expect(pokes).toBe(1);
    await writeFile(secretFile, `${rotated}\n`);
    expect(await send(first)).toMatchObject({ ok: false });
    expect(await actions.webhook("other", new Headers(headersOf(rotated)), body)).toMatchObject({ ok: false });
  });
});

const tenant = { namespaces: ["shop"], kinds: ["ConfigMap"], serviceAccounts: ["shop/deployer"] };
const tokenOf = (command: string): string => /--token (\S+)/.exec(command)![1]!;

test("the link of a tenant's registration gives the tenant's manifests, and no other registration's token changes them", async () => {
  const registered = await actions.register(ann, { name: "eu-1", labels: {}, tenant });
  if (!registered.ok) throw new Error(registered.message);
  expect(registered.joinCommand).toContain(
    " --profile tenant --default-service-account plumbline-agent/plumbline-deployer --allow-namespaces shop --allow-kinds ConfigMap ",
  );
  const token = tokenOf(registered.joinCommand);
  expect(actions.paste("eu-1", token)).toBe(registered.paste);
  expect(registered.paste).toContain("PLUMBLINE_PROFILE: tenant");
  expect(registered.paste).not.toContain("cluster-admin");

  const admin = await actions.register(ann, { name: "eu-2", labels: {} });
  if (!admin.ok) throw new Error(admin.message);
  expect(admin.joinCommand).not.toContain("--profile");
  expect(actions.paste("eu-2", tokenOf(admin.joinCommand))).toBe(admin.paste);
  expect(admin.paste).toContain("cluster-admin");
  expect(actions.paste("eu-1", tokenOf(admin.joinCommand))).toBeUndefined();
  expect(actions.paste("eu-2", token)).toBeUndefined();
});

test("a tenant whose lists fit into no link is refused before anything is committed", async () => {
  const namespaces = Array.from({ length: 100 }, (_, n) => `${"n".repeat(55)}-${n}`);
  const head = await git.git("fleet", ["rev-parse", "main"]);
  expect(await actions.register(ann, { name: "eu-1", labels: {}, tenant: { ...tenant, namespaces } })).toMatchObject({
    ok: false,
    status: 400,
    message: expect.stringContaining("at most 5120 fit into a join token") as string,
  });
  expect(await git.git("fleet", ["rev-parse", "main"])).toBe(head);
});

const remove = (name: string, scope: { environment: string } | { cluster: string }) =>
  actions.remove(ann, { application: name, scope, mode: "delete", reason: "" });

test("a Removal is for an Application that somebody knows: Git, or a cluster that still runs what Git has dropped", async () => {
  expect(await remove("shop", { environment: "dev" })).toMatchObject({ ok: true });
  expect(await remove("dropped", { environment: "dev" })).toMatchObject({ ok: true });
  const head = await git.git("fleet", ["rev-parse", "main"]);
  expect(await remove("shpo", { environment: "dev" })).toMatchObject({
    ok: false,
    status: 404,
    message: expect.stringContaining("there is no application shpo") as string,
  });
  expect(await remove("shop", { environment: "def" })).toMatchObject({ ok: false, status: 404 });
  expect(await git.git("fleet", ["rev-parse", "main"])).toBe(head);
});

test("without a revision, the one that receipts prove a moment later is promoted", async () => {
  const asked = promote();
  while (clock.sleeping === 0) await new Promise((resolve) => setImmediate(resolve));
  const head = shop.head("main")!;
  const key = { environment: environmentName("dev"), application: applicationName("shop") };
  records.note([{ ...key, qualified: [head], completed: [head] }], "soon");
  await clock.advance(provedLookMs);
  expect(await asked).toMatchObject({ ok: true, revision: head });
});

test("without a revision, what is promoted already is waited out for what receipts prove a moment later", async () => {
  const first = shop.head("main")!;
  const key = { environment: environmentName("dev"), application: applicationName("shop") };
  records.note([{ ...key, qualified: [first], completed: [first] }], "soon");
  expect(await promote(first)).toMatchObject({ ok: true });
  await git.commit("shop", "main", { "deploy/a.yaml": "a: 2\n" }, "second");
  await shop.following.look();
  const asked = promote();
  while (clock.sleeping === 0) await new Promise((resolve) => setImmediate(resolve));
  const second = shop.head("main")!;
  records.note([{ ...key, qualified: [first, second], completed: [first, second] }], "soon");
  await clock.advance(provedLookMs);
  expect(await asked).toMatchObject({ ok: true, revision: second });
});

test("without a revision, an environment that takes none is named", async () => {
  const asked = (environment: string) =>
    actions.promote(ann, { environment, application: "shop", revision: undefined, reason: "", allowPrune: undefined });
  const answers = Promise.all([asked("nowhere"), asked("dev")]);
  // Both look again and again for a revision that has been proved meanwhile.
  for (let look = 0; look < provedLooks; look += 1) {
    while (clock.sleeping < 2) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(provedLookMs);
  }
  expect((await answers).map((answer) => !answer.ok && answer.message)).toEqual([
    "there is no environment nowhere",
    "dev follows branch main: it takes no promotions",
  ]);
});
