import type { Actions } from "#hub/api/actions.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import { applicationName, clusterId, environmentName, isDnsLabel } from "#proto/ids.ts";
import { changeFleet } from "./change-fleet.ts";
import type { ActionParts } from "./parts.ts";
import { refuse } from "./refusal.ts";

/** A Removal: the one document for which objects are taken away. */
export const createRemove =
  (parts: ActionParts): Actions["remove"] =>
  (actor, { application, scope, mode, reason }) =>
    changeFleet(parts, actor, (fleet) => {
      const where = "environment" in scope ? scope.environment : scope.cluster;
      if (!isDnsLabel(application) || !isDnsLabel(where))
        return refuse(400, "names are lower-case letters, digits and hyphens", "");
      const isKnown =
        "environment" in scope ? fleet.environments.has(environmentName(where)) : fleet.clusters.has(clusterId(where));
      if (!isKnown)
        return refuse(
          404,
          `there is no ${"environment" in scope ? "environment" : "cluster"} ${where}`,
          `${"environment" in scope ? "plumb status" : "plumb cluster list"} shows those there are`,
        );
      // It would lie in wait for the Application that is called so one day.
      if (!isHeardOf(parts, fleet, application))
        return refuse(
          404,
          `there is no application ${application}: neither Git, the record nor any cluster knows it`,
          "plumb status shows those there are; for a cluster that is away, commit the Removal yourself",
        );
      const name = `${applicationName(application)}-${where}`.slice(0, 63).replace(/-+$/, "");
      const spec = { application, ...scope, mode, reason: reason === "" ? `asked by ${actor.name}` : reason };
      const document = { apiVersion: "plumbline.dev/v1", kind: "Removal", metadata: { name }, spec };
      const verb = mode === "delete" ? "remove" : "let go of";
      return {
        path: `${parts.folder}/removals/${name}.yaml`,
        document,
        subject: `${verb} ${application} in ${where}`,
        reason,
        value: {},
      };
    });

/** Also what Git has dropped since: that is what Removals are for. */
const isHeardOf = ({ records, isReported }: ActionParts, fleet: Fleet, application: string): boolean =>
  [...fleet.applications.values()].some(({ name }) => name === application) ||
  records.now().rollouts.some((rollout) => rollout.application === application) ||
  isReported(application);
