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

/** The worst of an Application's objects; what could not be applied is Failed, whatever runs of it. */
export function healthOfApplication(context: Context, application: ApplicationState): HealthValue {
  for (const { final, message } of application.problems.values())
    if (final) return { state: "Failed", reason: message };
  return worstOf(objectsOf(context, application).map(({ health }) => health));
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

const objectStatus = ({ key, health, episode }: Tracked): ObjectStatus => ({
  object: parseRefKey(key),
  health: healths[health.state],
  reason: health.reason,
  drifted: episode !== undefined,
  contested: episode?.state === "contested",
});
