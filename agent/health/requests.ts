import type { KubeObject } from "#proto/object.ts";
import {
  asObject,
  conditionsOf,
  current,
  explain,
  failed,
  inProgress,
  section,
  text,
  type Health,
} from "./condition.ts";

/** A CertificateSigningRequest is well once it has what it asks for. */
export function signingRequestHealth(object: KubeObject): Health {
  const conditions = conditionsOf(object);
  for (const type of ["Denied", "Failed"]) {
    const refused = conditions.get(type);
    if (refused?.status === "True") return failed(explain(refused));
  }
  if (text(section(object, "status")["certificate"]) !== "") return current();
  return inProgress(conditions.get("Approved")?.status === "True" ? "waits for its signer" : "waits to be approved");
}

/** A quota that is used up does what it is for; whoever meets it is the one that is not well. */
export function quotaHealth(object: KubeObject): Health {
  const status = section(object, "status");
  const used = asObject(status["used"]);
  const full = Object.entries(asObject(status["hard"])).filter(([name, hard]) => text(hard) === text(used[name]));
  const names = full.map(([name, hard]) => `${name} (${text(hard)})`);
  return current(names.length === 0 ? "" : `used up: ${names.join(", ")}`);
}

/** Devices are given to a claim when the first Pod asks for them. */
export const resourceClaimHealth = (object: KubeObject): Health =>
  current(section(object, "status")["allocation"] === undefined ? "not allocated" : "");

export function migrationHealth(object: KubeObject): Health {
  const conditions = conditionsOf(object);
  const failure = conditions.get("Failed");
  if (failure?.status === "True") return failed(explain(failure));
  if (conditions.get("Succeeded")?.status === "True") return current("Succeeded");
  return inProgress(conditions.get("Running")?.status === "True" ? "is running" : "waits for its controller");
}
