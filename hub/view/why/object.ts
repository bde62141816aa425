import { describeRef, parseRefKey, refKey, type ObjectRef } from "#proto/object.ts";
import type { ApplicationName, ClusterId } from "#proto/ids.ts";
import { refused, type Refused, type WhyKnown } from "./facts.ts";

const shownNames = 5;

/** The one object that "Deployment shop/web", "deployment/web" or "web" names, among all that this Application has here. */
export function findObject(
  known: WhyKnown,
  application: ApplicationName,
  cluster: ClusterId,
  named: string,
): ObjectRef | Refused {
  const { refs, isComplete } = objectsOf(known, application, cluster);
  const found = refs.filter((ref) => isNamed(ref, named));
  if (found.length === 1) return found[0]!;
  const names = (some: readonly ObjectRef[]): string => some.slice(0, shownNames).map(describeRef).join(", ");
  if (found.length > 1)
    return refused(400, `${named} may be ${names(found)}`, "name its kind too: Kind/namespace/name");
  if (!isComplete)
    return refused(
      404,
      `${named} is not among what drifted or is not well in ${application} on ${cluster}`,
      "ask without it to see the whole Application",
    );
  const near = refs.filter(({ name, kind }) => `${kind}/${name}`.toLowerCase().includes(lastPart(named)));
  const advice = `it has ${names(near.length > 0 ? near : refs)}${refs.length > shownNames ? ", ..." : ""}`;
  return refused(404, `${application} has no ${named} on ${cluster}`, refs.length === 0 ? "it has no objects" : advice);
}

/** Of the bundle that shall run there, of what is reported, and of what drifted. */
function objectsOf(known: WhyKnown, application: ApplicationName, cluster: ClusterId) {
  const entry = known.document(cluster)?.entries.find((entry) => entry.application === application);
  const keys = entry?.kind === "run" ? known.bundleKeys(entry.digest) : undefined;
  const { exceptional = [], problems = [] } =
    known.view.clusters.get(cluster)?.applications.get(application)?.status ?? {};
  const episodes = known.view.episodes().filter((each) => each.cluster === cluster && each.application === application);
  const reported = [...exceptional, ...problems, ...episodes.map(({ drift }) => drift)].flatMap(
    ({ object }) => object ?? [],
  );
  const all = new Map([...(keys ?? []).map(parseRefKey), ...reported].map((ref) => [refKey(ref), ref]));
  return { refs: [...all.values()], isComplete: keys !== undefined };
}

function isNamed(ref: ObjectRef, named: string): boolean {
  const parts = named
    .trim()
    .toLowerCase()
    .split(/[\s/]+/);
  const [name, second, third] = parts.toReversed();
  if (parts.length > 3 || ref.name.toLowerCase() !== name) return false;
  const kind = ref.kind.toLowerCase();
  if (third !== undefined) return third === kind && second === ref.namespace;
  return second === undefined || second === kind || second === ref.namespace;
}

const lastPart = (named: string): string =>
  named
    .trim()
    .toLowerCase()
    .split(/[\s/]+/)
    .at(-1) ?? "";
