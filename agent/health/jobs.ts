import type { KubeObject } from "#proto/object.ts";
import { conditionsOf, count, current, explain, failed, inProgress, section, type Health } from "./condition.ts";

/** A Job is Current once it has started: it is then doing what it is for. */
export function jobHealth(object: KubeObject): Health {
  const conditions = conditionsOf(object);
  // FailureTarget and SuccessCriteriaMet come first, while the last pods still end (KEP-3329, KEP-3998).
  for (const type of ["Failed", "FailureTarget"]) {
    const failure = conditions.get(type);
    if (failure?.status === "True") return failed(explain(failure));
  }
  if (isJobComplete(object)) return current("Complete");
  if (conditions.get("SuccessCriteriaMet")?.status === "True") return current("Running");
  const status = section(object, "status");
  const active = count(status["active"]);
  if (section(object, "spec")["suspend"] === true)
    return active > 0 ? inProgress(`is being suspended: ${active} pods are ending`) : current("Suspended");
  if (status["startTime"] === undefined) return inProgress("waits to start");
  return current("Running");
}

export const isJobComplete = (object: KubeObject): boolean =>
  object.kind === "Job" && conditionsOf(object).get("Complete")?.status === "True";

/** What a CronJob is for is that Jobs are made; how each of them ends is theirs to say. */
export const cronJobHealth = (object: KubeObject): Health =>
  section(object, "spec")["suspend"] === true ? current("Suspended") : current();
