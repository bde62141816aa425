import { afterAll, beforeAll, expect, test } from "vitest";
import { configMap, namespace, yaml } from "#test/harness/manifests.ts";
import { startOtlpReceiver, type OtlpReceiver } from "#test/harness/otlp-receiver.ts";
import { startTrio, type Trio } from "#test/harness/trio.ts";

let otlp: OtlpReceiver;
let trio: Trio;
beforeAll(async () => {
  otlp = await startOtlpReceiver();
  trio = await startTrio({ otlpEndpoint: otlp.endpoint });
});
afterAll(async () => {
  await trio?.[Symbol.asyncDispose]();
  await otlp?.[Symbol.asyncDispose]();
});

const canary = "canary-7f3a9b-do-not-show";

test("J11 one trace holds commit, render, publish and the applies of both clusters; no span, log, report or event shows a secret", async () => {
  const { world } = trio;
  // A second cluster of the same stage, on the other API server.
  const kubeconfig = await trio.planes.staging.kubeconfig("agent-dev-2", ["system:masters"]);
  await world.join(
    "dev-2",
    await world.register("dev-2", { env: "dev" }),
    kubeconfig,
    "--namespace",
    "plumbline-agent-dev-2",
  );
  const secret = yaml({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "password" },
    stringData: { password: canary },
  });
  const revision = await trio.deploy("traced", {
    dev: {
      "namespace.yaml": namespace("traced"),
      "settings.yaml": configMap("settings", { a: "1" }),
      "secret.yaml": secret,
    },
  });
  await trio.settled("dev", "traced", revision);
  // Drift on a Secret is told, by digests alone.
  const there = (await trio.get("dev", "v1", "Secret", "traced", "password"))!;
  await trio.people.dev.replace({ ...there, data: { password: Buffer.from(`${canary}-2`).toString("base64") } });
  await world.until("the drift", async () => (await world.drift()).some(({ application }) => application === "traced"));

  const traceOf = (): string | undefined =>
    otlp.spans().find(({ name, attributes }) => name === "hub.commit" && attributes["revision"] === revision)?.traceId;
  const inTrace = () => otlp.spans().filter(({ traceId }) => traceId === traceOf());
  const spansOf = (cluster: string, name: string) =>
    inTrace().filter((span) => span.name === name && span.attributes["cluster"] === cluster);
  // Each process sends its spans in its own time, in batches: all of them are waited for, and nothing is asked of a part.
  const areThere = (): boolean =>
    ["hub.commit", "hub.render", "hub.publish", "agent.apply.object"].every((name) =>
      inTrace().some((span) => span.name === name),
    ) &&
    ["dev-1", "dev-2"].every((cluster) =>
      ["agent.pull", "agent.apply", "agent.healthy", "hub.receipt"].every((name) => spansOf(cluster, name).length > 0),
    );
  await world.until("the spans", () => Promise.resolve(areThere()));
  // The last word of each cluster's way: the hub's span of the receipt hangs on the agent's span of the health.
  for (const cluster of ["dev-1", "dev-2"]) {
    const [receipt] = spansOf(cluster, "hub.receipt");
    const parent = inTrace().find(({ spanId }) => spanId === receipt?.parentId);
    expect([parent?.name, parent?.service, parent?.attributes["cluster"]]).toEqual([
      "agent.healthy",
      "plumbline-agent",
      cluster,
    ]);
  }
  // Through gRPC's metadata: what the hub does for an agent that joins is in the agent's own trace.
  const enrolments = () =>
    otlp
      .spans()
      .filter(({ name }) => name === "hub.enrol")
      .map(({ parentId, traceId }) => ({ traceId, parent: otlp.spans().find(({ spanId }) => spanId === parentId) }));
  await world.until("the enrolments", () =>
    Promise.resolve(enrolments().length >= 4 && enrolments().every(({ parent }) => parent !== undefined)),
  );
  for (const { traceId, parent } of enrolments()) expect(parent).toMatchObject({ name: "agent.enrol", traceId });

  const encoded = Buffer.from(canary).toString("base64").replace(/=+$/, "").slice(0, -2);
  const shown = [
    otlp.raw().toString("latin1"),
    world.logs(),
    JSON.stringify(await world.drift()),
    JSON.stringify(await world.ask("history")),
    (await world.plumb("cluster", "show", "dev-1", "-o", "wide")).stdout,
  ].join("\n");
  expect(shown).not.toContain(canary);
  expect(shown).not.toContain(encoded);
  expect(shown).toContain("hmac-sha256:");
});
