import { forbiddenWhole } from "#agent/authority/limits.ts";
import { notAllowedHere } from "#agent/authority/writer.ts";
import { identityOf } from "#agent/authority/authority.ts";
import type { KindInfo } from "#agent/cluster/cluster.ts";
import { UnknownKind } from "#agent/cluster/errors.ts";
import type { RunEntry } from "#proto/desired-state.ts";
import { describeRef, kindDefinedBy, parseRefKey, type KubeObject } from "#proto/object.ts";
import type { Bundle } from "./bundles.ts";
import { record, type Context } from "./context.ts";
import type { ApplicationState, Problem } from "./model.ts";

/** A bundle with thousands of refused objects is told by its first ones. */
const toldObjects = 50;

/**
 * Whether all of a bundle may be applied here, before its first write. What this cluster's limits forbid, or has no
 * namespace, is final: gives the sentence to block it with. Throws UnknownKind, for a later try, when a kind is not served yet.
 */
export async function refusalOf(
  context: Context,
  application: ApplicationState,
  entry: RunEntry,
  bundle: Bundle,
): Promise<string | undefined> {
  const identity = identityOf(context.authority, context.namespace, entry.delivery.serviceAccount);
  if (identity.kind === "refused")
    return tell(context, application, new Map(), `nothing is applied: ${identity.because}`);
  const problems = new Map<string, Problem>();
  for (const { key, object } of objectsOf(bundle)) {
    const because = forbiddenWhole(context.authority.limits, context.namespace, parseRefKey(key), object);
    if (because !== undefined) problems.set(key, { final: true, reason: notAllowedHere, message: because });
  }
  const unknown = problems.size === 0 ? await notServed(context, application, bundle, problems) : undefined;
  if (problems.size > 0) return tell(context, application, problems, sentence(problems));
  application.problems = new Map();
  if (unknown === undefined) return undefined;
  tell(context, application, unknown, "");
  throw new UnknownKind(sentence(unknown));
}

/** What the server does not serve, and no definition of the bundle will make it serve. Final problems go into `problems`. */
async function notServed(
  { cluster, signal }: Context,
  application: ApplicationState,
  bundle: Bundle,
  problems: Map<string, Problem>,
): Promise<Map<string, Problem> | undefined> {
  const objects = objectsOf(bundle);
  const definitions = objects.filter(({ object }) => object.kind === "CustomResourceDefinition");
  const defined = new Set(definitions.map(({ object }) => kindDefinedBy(object).kind));
  const unknown = new Map<string, Problem>();
  const found = new Map<string, KindInfo>();
  /** Once a kind that is there: a thousand objects are of a few. */
  const find = async (apiVersion: string, kind: string, isOwned: boolean): Promise<KindInfo | undefined> => {
    const name = `${isOwned} ${apiVersion} ${kind}`;
    const info =
      found.get(name) ??
      (await (isOwned ? cluster.servedKind(apiVersion, kind, signal) : cluster.kindOf(apiVersion, kind, signal)));
    if (info !== undefined) found.set(name, info);
    return info;
  };
  for (const { key, object } of objects) {
    const { apiVersion, kind, metadata } = object;
    const { group } = parseRefKey(key);
    if (defined.has(`${group}/${kind}`)) continue;
    // What is owned already is applied under the version that is served instead.
    const isOwned = (application.head?.inventory.get(key)?.applied ?? "") !== "";
    const info = await find(apiVersion, kind, isOwned);
    if (info === undefined) {
      const other = await cluster.servedKind(apiVersion, kind, signal);
      const also = other === undefined ? "" : `; it serves ${other.group}/${other.version}`;
      const message = `the API server does not serve ${apiVersion} ${kind}${also}`;
      unknown.set(key, { final: false, reason: "UnknownKind", message });
    } else if (info.namespaced && metadata.namespace === undefined)
      problems.set(key, {
        final: true,
        reason: "NoNamespace",
        message: "has no namespace, and none is ever guessed",
      });
  }
  return unknown.size === 0 ? undefined : unknown;
}

const objectsOf = (bundle: Bundle): { key: string; object: KubeObject }[] => [
  ...[...bundle.desired()].map(([key, { object }]) => ({ key, object })),
  ...bundle.hooks(),
];

/** Journalled when it is another refusal than last time. */
function tell(
  context: Context,
  application: ApplicationState,
  problems: Map<string, Problem>,
  because: string,
): string {
  for (const [key, { reason, message, final }] of [...problems].slice(0, toldObjects)) {
    if (application.problems.get(key)?.message === message) continue;
    record(context, application, {
      $case: "problem",
      value: { object: parseRefKey(key), reason, message, final, nextTryAtMs: 0n },
    });
  }
  application.problems = problems;
  if (because !== "") context.log.warn({ application: application.name, because }, "bundle refused");
  return because;
}

function sentence(problems: ReadonlyMap<string, Problem>): string {
  const [[key, { message }]] = [...problems] as [[string, Problem]];
  const more = problems.size > 1 ? ` (and ${problems.size - 1} more objects)` : "";
  const dot = message.startsWith("the ") ? ":" : "";
  return `nothing of this bundle is applied: ${describeRef(parseRefKey(key))}${dot} ${message}${more}`;
}
