import type { Inputs } from "#hub/decide/inputs.ts";
import type { Delivery, EntryKey } from "#proto/desired-state.ts";
import type { ClusterId, EnvironmentName } from "#proto/ids.ts";
import type { DriftException, Environment, Fleet } from "./fleet.ts";

type FromFleet = Pick<Inputs, "clusters" | "environments" | "applications" | "promotions" | "removals" | "freezes">;

/** What a decision needs of the fleet. Gates that a decision cannot judge are closed, and stay so. */
export function declaredInputs(fleet: Fleet): FromFleet {
  return {
    clusters: fleet.clusters,
    environments: new Map([...fleet.environments].map(([name, environment]) => [name, declared(environment, fleet)])),
    applications: fleet.applications,
    promotions: [...fleet.promotions.values()],
    removals: [...fleet.removals.values()],
    freezes: [...fleet.freezes.values()],
  };
}

/** The policy of an entry, without what is decided: consent to prune, soak marks, freezes of healing. */
export function deliveryOf(fleet: Fleet, key: EntryKey, cluster: ClusterId): Delivery {
  const application = fleet.applications.get(key.application);
  if (!application) throw new Error(`Application ${key.application} is not declared`);
  return {
    ...application.delivery,
    serviceAccount: qualified(application.delivery.serviceAccount, application.namespace),
    allowPrune: "",
    exceptions: exceptionsOf(fleet, key, cluster),
    soakMarksMs: [],
    dependsOn: application.dependsOn,
    healingFrozen: null,
  };
}

/** An agent must not guess whose it is: a bare name is one in the Application's own namespace. */
const qualified = (serviceAccount: string, namespace: string): string =>
  serviceAccount === "" || serviceAccount.includes("/") ? serviceAccount : `${namespace}/${serviceAccount}`;

const declared = (environment: Environment, fleet: Fleet) => ({
  clusters: environment.clusters,
  revisions: environment.revisions,
  soakMs: environment.gates.soak,
  signatures: environment.signatures.require,
  closedGates: unjudgedGates(environment),
  unreadable: unreadableFor(environment.name, fleet),
});

/** Declared, and nothing opens them yet. Passing them by would be a promise broken in silence. */
function unjudgedGates({ gates, rollout }: Environment): string[] {
  const closed: string[] = [];
  const { approvals, windows } = gates;
  if (approvals) closed.push(`approvals (${approvals.count} by ${approvals.by.join(", ")}) cannot be given yet`);
  if (windows.length > 0) closed.push("windows are not kept yet");
  if (rollout.waves.length > 1) closed.push(`${rollout.waves.length} waves cannot be opened one by one yet`);
  if (rollout.waves.length === 1 && rollout.waves[0]!.soak > 0) closed.push("the soak of a wave is not kept yet");
  if (rollout.onFailure === "rollback") closed.push("onFailure: rollback is not done yet");
  return closed;
}

/**
 * A Freeze that cannot be read may freeze this environment, and a Promotion or Removal that cannot be read may speak of
 * it: nothing moves before somebody mends it.
 */
function unreadableFor(environment: EnvironmentName, fleet: Fleet): string[] {
  const speaking = fleet.failed.filter(
    (failed) =>
      failed.kind === "Freeze" ||
      ((failed.kind === "Promotion" || failed.kind === "Removal") &&
        (failed.environment === null || failed.environment === environment)),
  );
  return speaking.map(({ kind, file, line }) => `${kind} at ${file}:${line} cannot be read`);
}

/** In the order of their names: a file that was moved must not change a signed document. */
function exceptionsOf(fleet: Fleet, key: EntryKey, cluster: ClusterId): Delivery["exceptions"] {
  const covering = [...fleet.exceptions.values()].filter((exception) => covers(exception, key, cluster));
  return covering
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ object, fields, untilMs, reason }) => ({ object, fields, untilMs, reason }));
}

const covers = ({ application, scope }: DriftException, key: EntryKey, cluster: ClusterId): boolean =>
  application === key.application &&
  ("cluster" in scope ? scope.cluster === cluster : scope.environment === key.environment);
