import { createMessage, generateKey, readPrivateKey, sign as pgpSign } from "openpgp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { makeTestKey, writeTestCommit } from "#hub/trust/signing-fixture.ts";
import type { HistoryAnswer } from "#proto/api.ts";
import { application, configMap, environment, namespace, yaml } from "#test/harness/manifests.ts";
import { openSharedControlPlane } from "#test/harness/shared-control-plane.ts";
import { pushSigned, type SignedChange } from "#test/harness/signed-commit.ts";
import { startWorld, type World } from "#test/harness/world.ts";

const dev = makeTestKey();
const old = makeTestKey();
const stranger = makeTestKey();
/** `live` asks for the head's signature, `strict` for every commit's; `prod` is promoted from live. */
const stages = ["live", "strict", "prod"] as const;
type Stage = (typeof stages)[number];
const signatures = (require: "head" | "all") => ({ signatures: { require, signers: ["dev1", "dev2", "forge"] } });

let world: World;
let person: Cluster;
let started: AsyncDisposableStack;
let forgeKey: { readonly privateKey: string; readonly publicKey: string };

beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  const plane = stack.use(await openSharedControlPlane());
  world = stack.use(await startWorld());
  const access = await kubeconfigAccess(await plane.kubeconfig("signatures-person", ["system:masters"]));
  person = stack.use(openKubernetes(access, { manager: "person" }));
  await world.startHub();
  forgeKey = await generateKey({ userIDs: [{ name: "forge", email: "forge@example.com" }] });
  const signer = (name: string, spec: object): string =>
    yaml({ apiVersion: "plumbline.dev/v1", kind: "Signer", metadata: { name }, spec });
  const documents = {
    "fleet/environments.yaml": [
      environment("live", { follow: "main" }, signatures("head")),
      environment("strict", { follow: "main" }, signatures("all")),
      environment("prod", { promotedFrom: ["live"] }, signatures("head")),
    ].join("---\n"),
    "fleet/signers.yaml": [
      signer("dev1", { ssh: [dev.line('namespaces="git"')] }),
      signer("dev2", { ssh: [old.line('valid-before="20260101Z"')] }),
      signer("forge", { pgp: [forgeKey.publicKey] }),
    ].join("---\n"),
    "fleet/applications/web.yaml": application("web", {
      path: "web/${environment}",
      namespace: "web",
      environments: [...stages],
    }),
  };
  await world.git.commit("fleet", "main", { ...documents, ...filesOf("zero") }, "nobody signed this");
  for (const stage of stages) {
    const kubeconfig = await plane.kubeconfig(`signatures-${stage}`, ["system:masters"]);
    const answer = await world.register(`${stage}-1`, { env: stage });
    await world.join(`${stage}-1`, answer, kubeconfig, "--namespace", `plumbline-signatures-${stage}`);
  }
  started = stack.move();
});
afterAll(() => started?.disposeAsync());

const placeOf = (stage: Stage): string => `signed-${stage}`;
function filesOf(level: string): Record<string, string> {
  return Object.fromEntries(
    stages.flatMap((stage) => [
      [`web/${stage}/namespace.yaml`, namespace(placeOf(stage))],
      [
        `web/${stage}/settings.yaml`,
        configMap("settings", { level }).replace(
          "  name: settings",
          `  name: settings\n  namespace: ${placeOf(stage)}`,
        ),
      ],
    ]),
  );
}
const push = (level: string, change: Partial<SignedChange> = {}): Promise<string> =>
  pushSigned(world.git, "fleet", { files: filesOf(level), message: `level ${level}`, ...change });
const byDev = { sign: (payload: Buffer) => dev.sign(payload) };
const levelOf = async (stage: Stage): Promise<string | undefined> => {
  const found = await person.get({
    apiVersion: "v1",
    group: "",
    kind: "ConfigMap",
    namespace: placeOf(stage),
    name: "settings",
  });
  return (found?.["data"] as { level?: string } | undefined)?.level;
};
const runs = (stage: Stage, level: string): Promise<void> =>
  world.until(`${stage} to run ${level}`, async () => (await levelOf(stage)) === level);
const reasonsOf = async (stage: Stage): Promise<string> =>
  (await world.status()).rows
    .find((row) => row.environment === stage && row.application === "web")
    ?.reasons.join("\n") ?? "";
const says = (stage: Stage, ...texts: string[]): Promise<void> =>
  world.until(`${stage} to say ${texts.join(" and ")}`, async () => {
    const reasons = await reasonsOf(stage);
    return texts.every((text) => reasons.includes(text));
  });
const short = (commit: string): string => `commit ${commit.slice(0, 7)}`;

const revisionOf = (subject: string): Promise<string> =>
  world.git.git("fleet", ["log", "-1", "--format=%H", `--grep=^${subject}$`, "main"]);

test("an environment waits for a commit that one of its signers signed, and says which it has instead", async () => {
  await says("live", '"nobody signed this"', "is not signed", "a key of dev1, dev2, forge");
  const wrong = await push("wrong", { sign: (payload) => stranger.sign(payload) });
  await says("live", short(wrong), "which is no signer's");
  await says("strict", short(wrong), "which is no signer's");
  expect(await levelOf("live")).toBeUndefined();
  await push("one", byDev);
  await runs("live", "one");
  // With nothing trusted before, a signed head stands for all that lies under it.
  await runs("strict", "one");
});

test("unsigned or expired, it keeps its last good state; head goes on with the next signed commit, all when somebody vouches", async () => {
  const unsigned = await push("two");
  for (const stage of ["live", "strict"] as const) await says(stage, short(unsigned), "is not signed");
  const expired = await push("three", { sign: (payload) => old.sign(payload) });
  await says("live", short(expired), "is signed by dev2's SSH key", "but its key expired on 2026-01-01");
  expect(await levelOf("live")).toBe("one");
  await push("four", byDev);
  await runs("live", "four");
  await says("strict", short(unsigned), "is not signed (and 1 more)", `Plumbline-Vouches-For: ${unsigned}`);
  expect(await levelOf("strict")).toBe("one");
  const vouch = [unsigned, expired].map((commit) => `Plumbline-Vouches-For: ${commit}`).join("\n");
  await push("five", { ...byDev, message: `looked at, and right\n\n${vouch}` });
  await runs("strict", "five");
  // The hub's own commits, as this registration, are its signers' too; they vouch for nothing under them.
  await world.register("later-1", { env: "nowhere" });
  await push("six", byDev);
  await runs("strict", "six");
  await runs("live", "six");
});

test("a merge by the forge's OpenPGP key is a signature like any other", async () => {
  const signingKeys = await readPrivateKey({ armoredKey: forgeKey.privateKey });
  const parent = await world.git.git("fleet", ["rev-parse", "refs/heads/main"]);
  const branch = await push("a side branch", byDev);
  // Nothing but the merge holds this.
  await world.git.git("fleet", ["update-ref", "refs/heads/merged", branch]);
  const merged = await world.git.commit("fleet", "merged", filesOf("seven"), "as it is merged");
  const tree = await world.git.git("fleet", ["rev-parse", `${merged}^{tree}`]);
  const merge = { at: Math.floor(Date.now() / 1000), tree, parents: [parent, branch], message: "Merge branch seven\n" };
  const message = await createMessage({ binary: new Uint8Array(writeTestCommit(merge)) });
  const signature = (await pgpSign({ message, signingKeys, detached: true })).replaceAll("\r\n", "\n");
  const raw = writeTestCommit(merge, () => signature).toString();
  const id = await world.git.git("fleet", ["hash-object", "-t", "commit", "-w", "--stdin"], raw);
  await world.git.git("fleet", ["update-ref", "refs/heads/main", id]);
  await world.git.onPush("fleet");
  for (const stage of ["live", "strict"] as const) await runs(stage, "seven");
  await world.until("no complaint", async () => (await reasonsOf("live")) === "");
});

test("what asks something of an environment with signers must be signed too, or come through the hub", async () => {
  const good = await world.git.git("fleet", ["rev-parse", "refs/heads/main"]);
  // By its name: live says that it is healthy a moment before its receipt proves it, and until then an older one is the newest proved.
  await world.ask("promote", "prod", "web", good);
  await runs("prod", "seven");
  await push("eight", byDev);
  // Both, before what nobody signed comes on top of it.
  for (const stage of ["live", "strict"] as const) await runs(stage, "eight");
  const promotion = (revision: string) => ({
    "fleet/promotions/prod/web.yaml": yaml({
      apiVersion: "plumbline.dev/v1",
      kind: "Promotion",
      metadata: { name: "web" },
      spec: { environment: "prod", application: "web", revision },
    }),
  });
  const eight = await world.git.git("fleet", ["rev-parse", "refs/heads/main"]);
  const byHand = await pushSigned(world.git, "fleet", { files: promotion(eight), message: "to prod, please" });
  await says("prod", short(byHand), "which changed fleet/promotions/prod/web.yaml, is not signed", "ask through plumb");
  expect(await levelOf("prod")).toBe("seven");
  const files = { "fleet/promotions/prod/web.yaml": `# Looked at.\n${Object.values(promotion(eight))[0]!}` };
  await pushSigned(world.git, "fleet", { files, message: "to prod, signed", ...byDev });
  await runs("prod", "eight");

  const removal = yaml({
    apiVersion: "plumbline.dev/v1",
    kind: "Removal",
    metadata: { name: "web-prod" },
    spec: { application: "web", environment: "prod", mode: "delete", reason: "gone" },
  });
  const taken = await pushSigned(world.git, "fleet", {
    files: { "fleet/removals/web.yaml": removal },
    message: "away",
  });
  await says("prod", "not removed", short(taken));
  expect(await levelOf("prod")).toBe("eight");
  const signed = { "fleet/removals/web.yaml": `# Looked at.\n${removal}` };
  await pushSigned(world.git, "fleet", { files: signed, message: "away, signed", ...byDev });
  await world.until("the removal", async () => (await levelOf("prod")) === undefined);

  const history = await world.ask<HistoryAnswer>("history");
  const promoterOf = (subject: string) => history.commits.find((commit) => commit.subject === subject)?.promoter;
  expect(promoterOf("to prod, please")).toMatchObject({ kind: "unknown", claims: "dev1 <dev1@example.com>" });
  expect(promoterOf("to prod, signed")).toEqual({ kind: "known", name: "dev1", through: "signature" });
  expect(promoterOf(`promote web ${good.slice(0, 7)} to prod`)).toMatchObject({ kind: "known", through: "api" });
});

test("a hub that lost its disk asks for the same signatures, and changes nothing", async () => {
  const unsigned = await push("nine");
  const missing = [await revisionOf("to prod, please"), await revisionOf("away"), unsigned];
  const isAsked = async (): Promise<void> => {
    await says("live", short(unsigned), "is not signed");
    await says("strict", short(missing[0]!), "is not signed (and 2 more)");
    for (const stage of ["live", "strict"] as const) expect(await levelOf(stage)).toBe("eight");
  };
  await isAsked();
  await world.stopHub();
  await world.deleteData();
  await world.startHub();
  await isAsked();
  const vouch = missing.map((commit) => `Plumbline-Vouches-For: ${commit}`).join("\n");
  await push("ten", { ...byDev, message: `looked at, and right\n\n${vouch}` });
  for (const stage of ["live", "strict"] as const) await runs(stage, "ten");
});
