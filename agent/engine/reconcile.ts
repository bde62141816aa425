import type { RunEntry } from "#proto/desired-state.ts";
import { applyRun } from "./apply-run.ts";
import { blockedBecause } from "./blocked.ts";
import type { Bundle } from "./bundles.ts";
import type { Context } from "./context.ts";
import { waitsBecause } from "./depends.ts";
import { leaveApplied } from "./leave-applied.ts";
import { bundleOf, entryOf, settle, type ApplicationState } from "./model.ts";
import { refusalOf } from "./preflight.ts";
import { removeWhole } from "./removal.ts";
import { withScopes } from "./served.ts";

/** Brings one Application to what its newest entry says: run, hold or remove. Absence means hold. */
export async function reconcile(context: Context, application: ApplicationState): Promise<void> {
  application.waitsFor = new Set();
  const entry = entryOf(context.model, application.name);
  if (entry === undefined) return settle(context, application, "Held", "the hub's document does not name it");
  if (entry.kind === "hold") return settle(context, application, "Held", entry.because);
  if (entry.kind === "remove") return removeWhole(context, application, entry);
  const bundle = bundleOf(application, entry);
  if (bundle === undefined)
    return settle(context, application, "Held", application.reason || "its bundle was not fetched yet");
  const blocked = blockedBecause(context, application, bundle);
  if (blocked !== undefined) return settle(context, application, "Blocked", blocked);
  const waits = isApplied(application, entry) ? undefined : waitsBecause(context, entry);
  if (waits !== undefined) {
    application.waitsFor = new Set(entry.delivery.dependsOn);
    // Said once: two that wait for each other must not wake each other for ever.
    if (application.phase === "Held" && application.reason === waits) return;
    return settle(context, application, "Held", waits);
  }
  await run(context, application, entry, bundle);
}

const isApplied = ({ head }: ApplicationState, { digest }: RunEntry): boolean =>
  head?.complete === true && head.run?.digest === digest;

async function run(context: Context, application: ApplicationState, entry: RunEntry, bundle: Bundle): Promise<void> {
  const run = new AbortController();
  application.run = run;
  const signal = AbortSignal.any([run.signal, context.signal]);
  const options = { attributes: { application: application.name }, parent: application.traceparent };
  try {
    const scoped = await withScopes(context, bundle);
    signal.throwIfAborted();
    if (scoped !== bundle) takeInstead(application, bundle, scoped);
    if (await leaveApplied(context, application, entry, scoped, signal)) return;
    const refused = await refusalOf(context, application, entry, scoped);
    signal.throwIfAborted();
    if (refused !== undefined) return settle(context, application, "Blocked", refused);
    await context.telemetry.traced("agent.apply", options, async ({ set }) => {
      set({ revision: entry.revision, cluster: context.clusterId });
      await applyRun(context, application, entry, scoped, signal);
      application.appliedAtMs = context.clock.now();
    });
  } catch (error) {
    // Called off by a newer document: its own reconcile follows. Anything else is ours to tell.
    if (!run.signal.aborted) throw error;
  } finally {
    application.run = undefined;
    application.applying = new Set();
    context.touched(application);
  }
}

function takeInstead(application: ApplicationState, bundle: Bundle, scoped: Bundle): void {
  if (application.next === bundle) application.next = scoped;
  if (application.bundle === bundle) application.bundle = scoped;
}
