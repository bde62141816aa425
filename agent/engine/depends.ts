import type { RunEntry } from "#proto/desired-state.ts";
import type { ApplicationName } from "#proto/ids.ts";
import type { Context } from "./context.ts";
import { entryOf, type ApplicationState, type Model } from "./model.ts";
import { healthOfApplication } from "./status.ts";

/** Why this entry is not applied yet, as long as an Application that it names is not there in its newest form. */
export function waitsBecause(context: Context, entry: RunEntry): string | undefined {
  const reasons = entry.delivery.dependsOn.flatMap((name) => {
    const because = notThere(context, name);
    return because === undefined ? [] : [`${name}, which ${because}`];
  });
  return reasons.length === 0 ? undefined : `waits for ${reasons.join("; and for ")}`;
}

function notThere(context: Context, name: ApplicationName): string | undefined {
  const entry = entryOf(context.model, name);
  const application = context.model.applications.get(name);
  if (entry === undefined || application === undefined) return "is not delivered to this cluster";
  if (entry.kind === "hold") return `is held here: ${entry.because}`;
  if (entry.kind === "remove") return "is being removed here";
  const { head, phase, reason } = application;
  const isApplied = phase === "Applied" && head?.complete === true && head.run?.digest === entry.digest;
  // What it waits for itself is its own to say: of two that wait for each other the sentence would grow for ever.
  const said = reason === "" || application.waitsFor.size > 0 ? "" : ` (${reason})`;
  if (!isApplied) return phase === "Applied" ? "is not applied yet" : `is ${phase}${said}`;
  const health = healthOfApplication(context, application);
  if (health.state === "Current") return undefined;
  return `is ${health.state}${health.reason === "" ? "" : ` (${health.reason})`}`;
}

/** Applications that are being removed too, and need this one until they are gone. */
export function neededBy(model: Model, application: ApplicationState): ApplicationName[] {
  return [...model.applications.values()]
    .filter(({ name, head }) => name !== application.name && head !== undefined)
    .filter(({ name }) => entryOf(model, name)?.kind === "remove")
    .filter(({ name }) => needs(model, name, application.name) && !needs(model, application.name, name))
    .map(({ name }) => name);
}

/** Whether what runs of one names the other, or names one that does. */
function needs(model: Model, from: ApplicationName, to: ApplicationName): boolean {
  const seen = new Set<ApplicationName>();
  const queue = [from];
  for (const name of queue) {
    for (const next of model.applications.get(name)?.head?.run?.delivery.dependsOn ?? []) {
      if (next === to) return true;
      if (seen.has(next)) continue;
      seen.add(next);
      queue.push(next);
    }
  }
  return false;
}
