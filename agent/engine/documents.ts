import type { KeyObject } from "node:crypto";
import { BundleRefused } from "#proto/bundle.ts";
import { sameRun } from "./leave-applied.ts";
import { verifyDesiredState } from "#proto/envelope.ts";
import type { Entry, RunEntry } from "#proto/desired-state.ts";
import type { BlobAddress } from "#proto/ids.ts";
import { openKey, SealRefused } from "#proto/sealed-key.ts";
import { backoffMs } from "#lib/retry.ts";
import { reasonOf } from "#lib/log.ts";
import { takeBundle, type Bundle } from "./bundles.ts";
import { withScopes } from "./served.ts";
import { record, type Context } from "./context.ts";
import { applicationOf, bundleOf, entryOf, type ApplicationState, type Model } from "./model.ts";

export type Trust = { readonly rootKey: Uint8Array; readonly sealingKey: KeyObject };
export type FetchBlob = (address: BlobAddress, slices: number, signal: AbortSignal) => Promise<Uint8Array[]>;

const retries = { firstMs: 500, capMs: 60_000 };

/** Takes a document, or refuses it and says why; the last good one stays. True when it was new. */
export function takeDocument(context: Context, trust: Trust, bytes: Uint8Array, traceparent: string): boolean {
  const { model, clock, log } = context;
  const highest = model.document?.highWater ?? model.lost;
  const verdict = verifyDesiredState(bytes, {
    rootKey: trust.rootKey,
    cluster: context.clusterId,
    now: clock.now(),
    ...(highest === undefined ? {} : { highWater: highest }),
  });
  if (!verdict.ok) {
    log.warn({ reason: verdict.reason }, `document refused: ${verdict.detail}`);
    context.journal.record({
      atMs: BigInt(clock.now()),
      application: "",
      environment: "",
      traceparent,
      body: { $case: "refusal", value: { reason: verdict.reason, detail: verdict.detail, epoch: 0, generation: 0n } },
    });
    return false;
  }
  const { state, highWater } = verdict;
  if (model.document?.highWater.payloadHash === highWater.payloadHash) return false;
  model.document = { bytes, state, highWater };
  model.unsaved = bytes;
  // Absence means hold: what still goes on for an Application that is no more named is called off too.
  const named = new Set<string>(state.entries.map(({ application }) => application));
  for (const application of model.applications.values())
    if (!named.has(application.name)) application.run?.abort(new Error("a newer document does not name it"));
  for (const entry of state.entries) {
    const application = applicationOf(model, entry.application);
    const isSame = entry.kind === "run" && sameRun(application.head?.run, entry);
    if (isSame && application.phase === "Applied") continue;
    application.traceparent = traceparent;
    // What runs for an older entry is called off; its intent is in the state, so nothing is lost.
    application.run?.abort(new Error("a newer document came"));
  }
  return true;
}

/**
 * Fetches, verifies and opens what the newest document runs and is not here yet. Gives the Applications whose bundles
 * could not be had; they hold what they have.
 */
export async function fetchBundles(context: Context, trust: Trust, fetch: FetchBlob): Promise<ApplicationState[]> {
  const missing: ApplicationState[] = [];
  for (const said of context.model.document?.state.entries ?? []) {
    const application = applicationOf(context.model, said.application);
    const entry = said.kind === "run" ? said : lostOf(application, said);
    if (entry === undefined || bundleOf(application, entry) !== undefined) continue;
    try {
      const attributes = { application: application.name, cluster: context.clusterId };
      const bundle = await context.telemetry.traced(
        "agent.pull",
        { attributes, parent: application.traceparent },
        async () => {
          const slices = await fetch(entry.address, entry.slices, context.signal);
          return withScopes(context, open(context, trust, entry, slices, application.head?.inventory.keys()));
        },
      );
      // A newer document may have come meanwhile, and its bundle before this one.
      if (!isWanted(context.model, application, entry)) continue;
      if (said.kind === "run") application.next = bundle;
      else application.bundle = bundle;
      application.reason = "";
      await keepAgain(context, application, bundle);
    } catch (error) {
      context.signal.throwIfAborted();
      if (!isWanted(context.model, application, entry)) continue;
      application.reason = `bundle ${entry.digest.slice(0, 12)} of ${entry.revision.slice(0, 7)} could not be taken: ${reasonOf(error)}`;
      tellRefusal(context, application, error);
      missing.push(application);
    }
  }
  return missing;
}

/** Its slices were lost from the agent's memory: the next start without a hub needs them. */
async function keepAgain(
  { store, signal, log }: Context,
  application: ApplicationState,
  bundle: Bundle,
): Promise<void> {
  const { head } = application;
  if (head?.run?.address !== bundle.run.address) return;
  try {
    await store.saveSlices(bundle.run.address, bundle.slices, signal);
  } catch (error) {
    signal.throwIfAborted();
    log.warn({ application: application.name, because: reasonOf(error) }, "bundle not kept; the next start fetches it");
  }
}

function isWanted(model: Model, application: ApplicationState, { digest }: RunEntry): boolean {
  const newest = entryOf(model, application.name);
  const wanted = newest?.kind === "run" ? newest : newest && lostOf(application, newest);
  return wanted?.digest === digest;
}

/** A Removal needs the hooks of what ran: where its bundle was lost from the agent's memory it is fetched again. */
function lostOf({ head, bundle }: ApplicationState, { kind }: Entry): RunEntry | undefined {
  return kind === "remove" && bundle === undefined && head?.hooks !== undefined ? (head.run ?? undefined) : undefined;
}

/** The bundle that an Application ran when the agent stopped, from its own state. */
export async function openStored(
  context: Context,
  trust: Trust,
  application: ApplicationState,
  slices: ReadonlyMap<BlobAddress, readonly Uint8Array[]>,
): Promise<string | undefined> {
  const run = application.head?.run;
  if (run === undefined || run === null) return undefined;
  try {
    application.bundle = await withScopes(
      context,
      open(context, trust, run, slices.get(run.address) ?? [], application.head?.inventory.keys()),
    );
    application.bundle.forget();
    return undefined;
  } catch (error) {
    return `the stored bundle of ${application.name} cannot be opened: ${reasonOf(error)}`;
  }
}

export const fetchRetryMs = (attempt: number): number => backoffMs(retries, attempt);

function open(
  context: Context,
  trust: Trust,
  run: RunEntry,
  slices: readonly Uint8Array[],
  known?: Iterable<string>,
): Bundle {
  const contentKey = openKey(run.sealedKey, trust.sealingKey, { cluster: context.clusterId, digest: run.digest });
  return takeBundle(run, slices, contentKey, context.clusterId, known);
}

function tellRefusal(context: Context, application: ApplicationState, error: unknown): void {
  context.log.warn({ application: application.name, because: reasonOf(error) }, "bundle not taken");
  if (!(error instanceof BundleRefused) && !(error instanceof SealRefused)) return;
  const { epoch, generation } = context.model.document!.state;
  const value = { reason: error.name, detail: application.reason, epoch, generation };
  record(context, application, { $case: "refusal", value });
}
