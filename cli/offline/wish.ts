import type { Wish } from "#cli/offline/kitchen.ts";
import { usage } from "#cli/errors.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import { selects } from "#hub/decide/inputs.ts";
import { isDnsLabel, type ApplicationName, type ClusterId, type EnvironmentName } from "#proto/ids.ts";

export type Named = { readonly cluster?: string; readonly environment?: string };

/** Every way in which an Application reaches a Cluster. */
export function wishesOf(fleet: Fleet, application: ApplicationName): Wish[] {
  const declared = fleet.applications.get(application);
  return (declared?.environments ?? []).flatMap((environment) => {
    const selector = fleet.environments.get(environment)?.clusters;
    const members = [...fleet.clusters].filter(([, { labels }]) => selector !== undefined && selects(selector, labels));
    return members.map(([cluster]) => ({ application, environment, cluster }));
  });
}

/** The one that people mean. Throws a usage error that says what there is. */
export function wishOf(fleet: Fleet, application: string, { cluster, environment }: Named): Wish {
  const declared = fleet.applications.get(application as ApplicationName);
  if (!isDnsLabel(application) || declared === undefined)
    throw usage(
      `there is no Application ${application}: there are ${[...fleet.applications.keys()].join(", ") || "none"}`,
    );
  const all = wishesOf(fleet, declared.name);
  const meant = all.filter(
    (wish) =>
      (cluster === undefined || wish.cluster === (cluster as ClusterId)) &&
      (environment === undefined || wish.environment === (environment as EnvironmentName)),
  );
  const [first] = meant;
  if (first === undefined) throw usage(`${application} is delivered to ${list(all)}, and not to what is named`);
  const isOne = meant.every((wish) => wish.environment === first.environment);
  if (!isOne || (cluster === undefined && meant.length > 1))
    throw usage(`${application} is delivered to ${list(meant)}: name one by --cluster and --environment`);
  return first;
}

const list = (wishes: readonly Wish[]): string =>
  wishes
    .slice(0, 10)
    .map(({ environment, cluster }) => `${cluster} (${environment})`)
    .join(", ") || "no cluster";
