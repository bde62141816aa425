import { setImmediate } from "node:timers/promises";
import { createEvidence } from "#hub/loop/evidence.ts";
import { startLoop, type Loop } from "#hub/loop/loop.ts";
import { createSweep } from "#hub/loop/sweep.ts";
import { createTrust, type TrustStore } from "#hub/trust/trust.ts";
import { heardClusters } from "#hub/view/heard.ts";
import { ApplicationStatus } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { Git } from "./git.ts";
import type { Rendering } from "./rendering.ts";
import type { Term } from "./term.ts";

export type Deciding = { readonly loop: Loop; readonly trust: TrustStore };

/** Learns what the broker holds, and decides from then on. Resolves after the first round. */
export async function startDeciding(term: Term, git: Git, { renders }: Rendering): Promise<Deciding> {
  const { config, signer, signal, broker, lease, desired, publisher, receipts, traces, later, clock, log, telemetry } =
    term;
  const { sources, fleetSource, records } = git;
  await learn(term);
  const startedAtMs = clock.monotonic();
  const trust = createTrust({
    fleetSource,
    sourceOf: (fleet, application) => sources.of(fleet, application),
    hubKey: signer.publicKey,
    signal,
  });
  const loop = startLoop({
    fleetSource,
    branch: config.fleetBranch,
    folder: config.fleetFolder,
    openSources: (fleet) => sources.open(fleet),
    sourceOf: (fleet, application) => sources.of(fleet, application),
    records,
    evidence: createEvidence({
      fleetSource,
      branch: config.fleetBranch,
      sources: () => sources.all(),
      sourceOf: (fleet, application) => sources.of(fleet, application),
      desired,
      records,
    }),
    desired,
    receipts,
    renders,
    trust,
    traces,
    publisher,
    heard: () => heardClusters(term.view, records.now().clusters.keys(), clock.now(), clock.monotonic() - startedAtMs),
    onPublished: ({ cluster, state: { epoch, generation } }) =>
      void later.agents?.send(cluster, { body: { $case: "generation", value: { epoch, generation } } }),
    sweep: createSweep({
      broker,
      lease,
      needed: () => desired.addresses(),
      forget: (address) => renders.forgetBlob(address),
      clock,
      log,
    }),
    clock,
    log,
    telemetry,
    signal,
  });
  later.loop = loop;
  await loop.round();
  return { loop, trust };
}

/** To verify a document takes a fifth of a millisecond; whoever asks the hub meanwhile is answered. */
const learnedAtOnce = 50;

/** What was published, and what agents said of it, before this term. */
async function learn({ broker, desired, view, log }: Term): Promise<void> {
  let learned = 0;
  for (const [cluster, bytes] of await broker.documents()) {
    if (desired.learn(cluster, bytes) === "refused")
      log.error({ cluster }, "the broker holds a document that is not ours");
    learned += 1;
    if (learned % learnedAtOnce === 0) await setImmediate();
  }
  for await (const stored of broker.statuses())
    view.status(stored.cluster, ApplicationStatus.decode(stored.bytes), stored.atMs);
}
