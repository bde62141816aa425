import { worstOf } from "#agent/health/health.ts";
import type { Health as HealthValue } from "#agent/health/condition.ts";
import {
  ApplicationPhase,
  Health,
  type ApplicationStatus,
  type ObjectStatus,
} from "#proto/gen/plumbline/agent/v1/agent.ts";
import { parseRefKey } from "#proto/object.ts";
import type { Context } from "./context.ts";
import type { ApplicationState, Phase, Tracked } from "./model.ts";

/** A report stays small however bad things are; the rest is asked for on demand. */
const shownObjects = 200;
const shownProblems = 20;

const phases: Readonly<Record<Phase, ApplicationPhase>> = {
  Applying: ApplicationPhase.APPLYING,
  Applied: ApplicationPhase.APPLIED,
  Held: ApplicationPhase.HELD,
  Blocked: ApplicationPhase.BLOCKED,
  Failed: ApplicationPhase.FAILED,
  Removing: ApplicationPhase.REMOVING,
  Removed: ApplicationPhase.REMOVED,
};

const healths: Readonly<Record<HealthValue["state"], Health>> = {
  Current: Health.CURRENT,
  InProgress: Health.IN_PROGRESS,
  Failed: Health.FAILED,
  Terminating: Health.TERMINATING,
  NotFound: Health.NOT_FOUND,
  Unknown: Health.UNKNOWN,
};

/**
 * The worst of an Application's objects; what could not be applied is Failed, whatever runs of it. What it has no more, and
 * another has not taken over yet, says nothing: that one may wait for this one's health.
 */
export function healthOfApplication(context: Context, application: ApplicationState): HealthValue {
  for (const { final, message } of application.problems.values())
    if (final) return { state: "Failed", reason: message };
  const { bundle } = application;
  const objects = objectsOf(context, application).filter(({ key }) => bundle?.keys.has(key) !== false);
  const worst = worstOf(objects.map(({ health }) => health));
  const tracked = objects.find(({ health }) => health === worst);
  return tracked === undefined ? worst : { ...worst, reason: reasonOf(tracked) };
}

/** The present state of one Application, as the hub is told it. */
export function statusOf(context: Context, application: ApplicationState): ApplicationStatus {
  const objects = objectsOf(context, application);
  const exceptional = objects.filter(({ health, episode }) => health.state !== "Current" || episode !== undefined);
  const health = healthOfApplication(context, application);
  const { head, phase } = application;
  return {
    application: application.name,
    environment: head?.environment ?? environmentOf(context, application),
    revision: head?.run?.revision ?? "",
    digest: head?.run && head.complete ? Buffer.from(head.run.digest, "hex") : Buffer.alloc(0),
    health: objects.length === 0 && phase !== "Applied" ? Health.UNKNOWN : healths[health.state],
    reason: application.reason === "" ? health.reason : application.reason,
    sinceMs: BigInt(sinceMs(objects, health)),
    appliedAtMs: BigInt(application.lastAppliedAtMs),
    problems: [...application.problems]
      .slice(0, shownProblems)
      .map(([key, { reason, message, final, nextTryAtMs = 0 }]) => ({
        object: parseRefKey(key),
        reason,
        message,
        final,
        nextTryAtMs: BigInt(final ? 0 : nextTryAtMs),
      })),
    prunePlan: application.prunePlan,
    nextTryAtMs: BigInt(application.nextTryAtMs),
    objects: objects.length,
    current: objects.filter(({ health }) => health.state === "Current").length,
    drifted: objects.filter(({ episode }) => episode !== undefined).length,
    phase: phases[phase],
    exceptional: exceptional.slice(0, shownObjects).map(objectStatus),
    truncated: exceptional.length > shownObjects,
    epoch: context.model.document?.state.epoch ?? 0,
    generation: context.model.document?.state.generation ?? 0n,
    atMs: BigInt(context.clock.now()),
  };
}

const environmentOf = (context: Context, application: ApplicationState): string =>
  context.model.document?.state.entries.find((entry) => entry.application === application.name)?.environment ?? "";

export function objectsOf(context: Context, application: ApplicationState): Tracked[] {
  const keys = application.head?.inventory.keys() ?? [];
  return [...keys].flatMap((key) => {
    const tracked = context.model.tracked.get(key);
    return tracked === undefined || tracked.application !== application.name ? [] : [tracked];
  });
}

/** Of an Application that is well, since its last object got well; else since its first one fell ill. */
function sinceMs(objects: readonly Tracked[], { state }: HealthValue): number {
  const times = objects.filter(({ health }) => health.state === state).map(({ healthSinceMs }) => healthSinceMs);
  if (times.length === 0) return 0;
  return times.reduce((a, b) => (state === "Current" ? Math.max(a, b) : Math.min(a, b)));
}

/** With what its Pods and events say, unless its own status says that already. */
export function reasonOf({ health: { reason }, cause }: Tracked): string {
  if (cause === "" || reason.includes(cause)) return reason;
  return reason === "" || cause.includes(reason) ? cause : `${reason.replace(/\.$/, "")}: ${cause}`;
}

const objectStatus = (tracked: Tracked): ObjectStatus => ({
  object: parseRefKey(tracked.key),
  health: healths[tracked.health.state],
  reason: reasonOf(tracked),
  sinceMs: BigInt(tracked.healthSinceMs),
  ...driftOf(tracked),
});

const driftOf = ({ episode }: Tracked): Pick<ObjectStatus, "drifted" | "contested"> => ({
  drifted: episode !== undefined,
  contested: episode?.state === "contested",
});
