import { selects } from "#hub/decide/inputs.ts";
import type { Application, Environment } from "#hub/fleet/fleet.ts";
import { healthOn } from "#hub/view/query.ts";
import { healthOrder } from "#hub/view/words.ts";
import type { ApplicationName, ClusterId } from "#proto/ids.ts";
import { refused, type Question, type Refused, type Scope, type WhyKnown } from "./facts.ts";
import { findObject } from "./object.ts";

export type Asked = { readonly ok: true; readonly scope: Scope } | Refused;

/** What a question is about, or what is wrong with it. Names are only looked up: none is trusted to be well-formed. */
export function ask(known: WhyKnown, question: Question): Asked {
  const application = [...known.fleet.applications.values()].find(({ name }) => name === question.application);
  if (application === undefined) return noApplication(known, question);
  const cluster = question.cluster === undefined ? undefined : clusterNamed(known, question.cluster);
  if (question.cluster !== undefined && cluster === undefined)
    return refused(404, `there is no cluster ${question.cluster}`, "plumb cluster list shows those there are");
  const environment = environmentOf(known, application, cluster, question.environment);
  if ("ok" in environment) return environment;
  if (cluster !== undefined)
    return withObject(known, question, { application, environment, cluster, others: undefined });
  const members = membersOf(known, application.name, environment);
  return withObject(known, question, {
    application,
    environment,
    cluster: members[0]?.cluster,
    others: members.slice(1),
  });
}

type Found = {
  application: Application;
  environment: Environment;
  cluster: ClusterId | undefined;
  others: Scope["others"];
};

function withObject(known: WhyKnown, { object: named }: Question, found: Found): Asked {
  const { cluster, others } = found;
  const scope = { application: found.application.name, environment: found.environment.name, cluster, others };
  if (named === undefined) return { ok: true, scope: { ...scope, object: undefined } };
  if (cluster === undefined)
    return refused(400, `${named} is on no cluster: none is in ${scope.environment}`, "name a cluster");
  const object = findObject(known, scope.application, cluster, named);
  return "ok" in object ? object : { ok: true, scope: { ...scope, object } };
}

function noApplication(known: WhyKnown, { application, cluster }: Question): Refused {
  // The order of words is easily turned round.
  const isTurned =
    cluster !== undefined &&
    clusterNamed(known, application) !== undefined &&
    [...known.fleet.applications.values()].some(({ name }) => name === cluster);
  const advice = isTurned ? `did you mean plumb why ${application} ${cluster}` : "plumb status shows those there are";
  return refused(404, `there is no application ${application}`, advice);
}

function environmentOf(
  known: WhyKnown,
  { name, environments }: Application,
  cluster: ClusterId | undefined,
  wanted: string | undefined,
): Environment | Refused {
  const declared = environments.flatMap((each) => known.fleet.environments.get(each) ?? []);
  if (wanted !== undefined) {
    const found = declared.find((each) => each.name === wanted);
    return (
      found ?? refused(404, `${name} is not delivered to ${wanted}`, `it is delivered to ${environments.join(", ")}`)
    );
  }
  if (cluster === undefined)
    return refused(400, "name a cluster or an environment", `plumb why ${environments[0]}/${name}`);
  const labels = known.fleet.clusters.get(cluster)?.labels;
  const selecting = declared.find((each) => labels !== undefined && selects(each.clusters, labels));
  // What a cluster no longer is selected for, it was given once.
  const given = known.document(cluster)?.entries.find((entry) => entry.application === name)?.environment;
  const earlier = declared.find((each) => each.name === given);
  const found = selecting ?? earlier ?? declared[0];
  return found ?? refused(404, `${name} is delivered to no environment that is declared`, "plumb validate says why");
}

const clusterNamed = ({ fleet, records, view }: WhyKnown, named: string): ClusterId | undefined =>
  [...fleet.clusters.keys(), ...records.keys(), ...view.clusters.keys()].find((name) => name === named);

/** Enrolled clusters that the environment selects, worst first. */
function membersOf(known: WhyKnown, application: ApplicationName, { name, clusters }: Environment) {
  const members = [...known.fleet.clusters.values()].filter(
    (cluster) => selects(clusters, cluster.labels) && known.records.get(cluster.name)?.revoked === null,
  );
  return members
    .map((cluster) => ({ cluster: cluster.name, health: healthOn(known, cluster.name, name, application) }))
    .sort((a, b) => healthOrder.indexOf(a.health) - healthOrder.indexOf(b.health) || (a.cluster < b.cluster ? -1 : 1));
}
