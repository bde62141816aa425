import type { KubeObject } from "#proto/object.ts";
import { conditionsOf, current, explain, failed, inProgress, type Condition, type Health } from "./condition.ts";

/** The convention of kstatus: Reconciling and Stalled are abnormal when true, Ready is normal when true. */
export function genericHealth(object: KubeObject): Health {
  const abnormal = abnormalHealth(object);
  if (abnormal !== undefined) return abnormal;
  const ready = conditionsOf(object).get("Ready");
  if (ready === undefined) return current();
  if (isStale(ready, object)) return inProgress("its controller has not seen the newest change");
  return ready.status === "True" ? current() : inProgress(explain(ready));
}

export function abnormalHealth(object: KubeObject): Health | undefined {
  const conditions = conditionsOf(object);
  const stalled = conditions.get("Stalled");
  if (stalled?.status === "True") return failed(explain(stalled));
  const reconciling = conditions.get("Reconciling");
  return reconciling?.status === "True" ? inProgress(explain(reconciling)) : undefined;
}

/** Said of an earlier generation of the object. */
export const isStale = ({ observedGeneration }: Condition, object: KubeObject): boolean =>
  observedGeneration !== undefined &&
  object.metadata.generation !== undefined &&
  observedGeneration < object.metadata.generation;
