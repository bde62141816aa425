import { record, type Context } from "./context.ts";
import type { ApplicationState } from "./model.ts";
import { healthOfApplication } from "./status.ts";

/**
 * States what is applied here and for how long it has been healthy: once when it becomes so, and at each soak mark. Time
 * counts from 0 again after a restart of the agent, and whenever something was not Current.
 */
export function tellReceipts(context: Context, application: ApplicationState): void {
  const { head, phase } = application;
  if (phase !== "Applied" || head === undefined || head.run === null || !head.complete) {
    application.currentSince = undefined;
    application.marks.clear();
    return;
  }
  const { digest } = head.run;
  const health = healthOfApplication(context, application);
  if (health.state !== "Current") {
    application.currentSince = undefined;
    application.marks.clear();
    if (health.state === "Failed") tellOnce(context, application, `${digest} failed`, false, 0);
    return;
  }
  if (application.currentSince === undefined || !application.lastReceipt.startsWith(`${digest} healthy`)) {
    application.currentSince = context.clock.monotonic();
    application.marks.clear();
    traceHealthy(context, application);
    tellOnce(context, application, `${digest} healthy ${application.currentSince}`, true, 0);
    for (const mark of head.run.delivery.soakMarksMs) void tellAt(context, application, mark, application.currentSince);
  }
}

/** The end of this revision's way here: from its apply to its health. The hub's spans of the receipt follow it. */
function traceHealthy(context: Context, application: ApplicationState): void {
  if (application.appliedAtMs === undefined || application.traceparent === "") return;
  const { revision } = application.head!.run!;
  application.traceparent = context.telemetry.passed("agent.healthy", {
    attributes: { application: application.name, revision, cluster: context.clusterId },
    parent: application.traceparent,
    fromMs: application.appliedAtMs,
  });
  application.appliedAtMs = undefined;
}

/** The receipt of now, again: a hub that lost everything asks for it. */
export function repeatReceipt(context: Context, application: ApplicationState): void {
  if (application.currentSince === undefined) return;
  tell(context, application, true, context.clock.monotonic() - application.currentSince);
}

async function tellAt(context: Context, application: ApplicationState, mark: number, since: number): Promise<void> {
  try {
    await context.clock.sleep(mark, { signal: context.signal });
  } catch {
    return;
  }
  if (application.currentSince !== since || application.marks.has(mark)) return;
  application.marks.add(mark);
  tell(context, application, true, context.clock.monotonic() - since);
}

function tellOnce(
  context: Context,
  application: ApplicationState,
  name: string,
  healthy: boolean,
  forMs: number,
): void {
  if (application.lastReceipt === name) return;
  application.lastReceipt = name;
  tell(context, application, healthy, forMs);
}

function tell(context: Context, application: ApplicationState, healthy: boolean, healthyForMs: number): void {
  const { revision, digest } = application.head!.run!;
  const { epoch = 0, generation = 0n } = context.model.document?.state ?? {};
  record(context, application, {
    $case: "receipt",
    value: {
      revision,
      digest: Buffer.from(digest, "hex"),
      healthy,
      healthyForMs: BigInt(Math.round(healthyForMs)),
      ...application.counts,
      epoch,
      generation,
    },
  });
}
