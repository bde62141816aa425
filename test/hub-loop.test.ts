import { generateKeyPairSync } from "node:crypto";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createGitSigner } from "#hub/git/sign.ts";
import { DesiredStates } from "#hub/loop/desired.ts";
import { createEvidence } from "#hub/loop/evidence.ts";
import { startLoop, type Loop } from "#hub/loop/loop.ts";
import { createPublisher } from "#hub/loop/publisher.ts";
import { Receipts } from "#hub/loop/receipts.ts";
import { openRecords } from "#hub/loop/records.ts";
import { createRenders } from "#hub/loop/renders.ts";
import { openSource } from "#hub/loop/sources.ts";
import { Traces } from "#hub/loop/traces.ts";
import type { Lease } from "#hub/publish/held-lease.ts";
import { createRenderer } from "#hub/render/renderer.ts";
import { createTrust } from "#hub/trust/trust.ts";
import { systemClock } from "#lib/clock.ts";
import { silentLog } from "#lib/log.ts";
import { openTelemetry } from "#lib/telemetry.ts";
import type { DesiredState } from "#proto/desired-state.ts";
import { clusterId } from "#proto/ids.ts";
import { rawX25519 } from "#proto/sealed-key.ts";
import { startGitServer, type GitServer } from "#test/harness/git-server.ts";
import { createHubKeys } from "#test/harness/hub-keys.ts";
import { application, cluster, configMap, environment } from "#test/harness/manifests.ts";
import { sourceOptions } from "#test/harness/source-options.ts";

const eu = clusterId("eu-1");

type Deciding = AsyncDisposable & {
  readonly git: GitServer;
  readonly loop: Loop;
  /** Documents in the order in which they were published. */
  readonly published: DesiredState[];
  /** What happens while the next rendering runs, in the middle of a round. */
  meanwhile: () => Promise<void>;
  look(): Promise<void>;
};

/** A hub's loop on a real repository with a real renderer; its one cluster has joined and has nothing yet. */
async function openLoop(): Promise<Deciding> {
  await using started = new AsyncDisposableStack();
  const folder = started.use(await mkdtempDisposable(join(tmpdir(), "plumbline-loop-")));
  const git = started.use(await startGitServer());
  const telemetry = started.use(await openTelemetry("test", undefined));
  const renderer = started.use(createRenderer(Buffer.alloc(32, 7)));
  const over = new AbortController();
  const { signal } = over;
  const url = await git.createRepository("fleet");
  await git.commit("fleet", "main", files("one", "correct"), "one");
  const onMove = (): void => undefined;
  const fleetSource = await openSource(
    { name: "fleet", url, remote: {}, follows: () => ["main"] },
    sourceOptions(folder.path, signal, { onMove }),
  );
  await fleetSource.following.look();
  const signer = createGitSigner(generateKeyPairSync("ed25519").privateKey);
  const fetch = (): Promise<void> => fleetSource.following.look();
  const records = openRecords({ mirror: fleetSource.mirror, fetch }, signer, systemClock, silentLog);
  await records.accept(joined());
  const desired = new DesiredStates(createHubKeys());
  desired.learnEmpty(eu);
  const renders = createRenders({
    fleet: () => loop.deciding(),
    source: () => fleetSource,
    renderer,
    tools: { run: () => Promise.reject(new Error("plain folders need no tool")) },
    put: () => Promise.resolve(),
    telemetry,
    traceOf: () => "",
    log: silentLog,
    signal,
  });
  const published: DesiredState[] = [];
  const own = {
    git,
    published,
    meanwhile: () => Promise.resolve(),
    look: () => fleetSource.following.look(),
  };
  const loop: Loop = startLoop({
    fleetSource,
    branch: "main",
    folder: "fleet",
    openSources: () => Promise.resolve(),
    sourceOf: () => fleetSource,
    records,
    evidence: createEvidence({
      fleetSource,
      branch: "main",
      sources: () => [fleetSource],
      sourceOf: () => fleetSource,
      desired,
      records,
    }),
    desired,
    receipts: new Receipts(),
    renders: {
      ...renders,
      async render(targets) {
        const now = own.meanwhile;
        if (targets.length > 0) own.meanwhile = () => Promise.resolve();
        if (targets.length > 0) await now();
        await renders.render(targets);
      },
    },
    trust: createTrust({ fleetSource, sourceOf: () => fleetSource, hubKey: signer.publicKey, signal }),
    traces: new Traces(telemetry),
    publisher: createPublisher({ publish: () => Promise.resolve("published") }, {} as Lease, desired),
    heard: () => new Set([eu]),
    onPublished: ({ state }) => void published.push(state),
    sweep: () => Promise.resolve(),
    clock: systemClock,
    log: silentLog,
    telemetry,
    signal,
  });
  const all = started.move();
  return Object.assign(own, {
    loop,
    async [Symbol.asyncDispose]() {
      over.abort(new Error("the test is over"));
      await Promise.all([loop.ended, fleetSource.stop()]);
      await all.disposeAsync();
    },
  });
}

const joined = () => ({
  cluster: eu,
  spki: "QUFB",
  nkey: `U${"A".repeat(55)}`,
  sealingKey: rawX25519(generateKeyPairSync("x25519").privateKey).toString("base64"),
  jti: "one",
  acceptedBy: "token",
  acceptedAtMs: 1,
  revoked: null,
});

/** What the Application is, and how it is delivered: two files that people change in one commit. */
const files = (level: string, drift: "correct" | "report"): Record<string, string> => ({
  "fleet/dev.yaml": environment("dev", { follow: "main" }),
  "fleet/eu-1.yaml": cluster("eu-1", { env: "dev" }),
  "fleet/web.yaml": application("web", {
    path: "web",
    namespace: "web",
    environments: ["dev"],
    delivery: { drift },
  }),
  "web/settings.yaml": configMap("settings", { level }),
});
const shown = ({ fleetCommit, entries }: DesiredState) =>
  entries.map((entry) => [fleetCommit, entry.kind === "run" ? [entry.revision, entry.delivery.drift] : entry.kind]);

test.each([
  ["by the hub's own look", async () => undefined],
  ["and read by an action of people's", (loop: Loop) => loop.refresh()],
])(
  "a commit that is fetched in the middle of a decision (%s) reaches no cluster without its own documents",
  async (_how, read) => {
    await using deciding = await openLoop();
    const { git, loop, published } = deciding;
    await loop.round();
    const [one] = published;
    const two = await git.commit("fleet", "main", files("two", "correct"), "two");
    let three = "";
    deciding.meanwhile = async () => {
      // Its manifests would be healed as the commit before said, which this one takes back.
      three = await git.commit("fleet", "main", files("three", "report"), "three");
      await deciding.look();
      await read(loop);
    };
    await deciding.look();
    await loop.round();
    expect(shown(published[1]!)).toEqual([[two, [two, "correct"]]]);
    await loop.round();
    expect(published.map(shown)).toEqual([
      [[one!.fleetCommit, [one!.fleetCommit, "correct"]]],
      [[two, [two, "correct"]]],
      [[three, [three, "report"]]],
    ]);
  },
);
