import type { Writer } from "#agent/authority/writer.ts";
import { UnknownKind } from "#agent/cluster/errors.ts";
import { groupOf, type KubeObject } from "#proto/object.ts";
import type { Bundle } from "./bundles.ts";
import type { Context } from "./context.ts";

/**
 * Applies what is owned already; what Git wrote under a version that its CRD has dropped, under the version that is served
 * now. A new object under a version that nobody serves is a mistake in Git, and not applied this way.
 */
export async function applyServed(
  context: Context,
  writer: Writer,
  object: KubeObject,
  options: { force: boolean; dryRun?: boolean },
): Promise<KubeObject> {
  const apply = (form: KubeObject): Promise<KubeObject> => writer.apply(form, { ...options, signal: context.signal });
  const form = await asServed(context, object);
  try {
    return await apply(form);
  } catch (error) {
    if (!(error instanceof UnknownKind)) throw error;
    // The server has told only now that it is gone.
    const next = await asServed(context, object);
    if (next.apiVersion === form.apiVersion) throw error;
    return apply(next);
  }
}

async function asServed({ cluster, signal }: Context, object: KubeObject): Promise<KubeObject> {
  const { apiVersion, kind } = object;
  if ((await cluster.kindOf(apiVersion, kind, signal)) !== undefined) return object;
  const info = await cluster.servedKind(apiVersion, kind, signal);
  return info === undefined ? object : { ...object, apiVersion: `${info.group}/${info.version}` };
}

/** Without the namespaces of objects that have none by their kind: only the server knows that of kinds whose definition is elsewhere. */
export async function withScopes({ cluster, signal }: Context, bundle: Bundle): Promise<Bundle> {
  const clusterScoped = new Set<string>();
  for (const { apiVersion, kind, isPlaced } of bundle.kinds) {
    const name = `${groupOf(apiVersion)}/${kind}`;
    if (!isPlaced || clusterScoped.has(name)) continue;
    // What is not known yet keeps what Git says, and is looked at again before it is applied.
    const info = await cluster.servedKind(apiVersion, kind, signal).catch(() => undefined);
    if (info?.namespaced === false) clusterScoped.add(name);
  }
  return clusterScoped.size === 0 ? bundle : bundle.scoped(clusterScoped);
}

/** Taken off for what `clusterScoped` ("group/Kind") names. */
export function withoutNamespace(object: KubeObject, clusterScoped: ReadonlySet<string>): KubeObject {
  if (!clusterScoped.has(`${groupOf(object.apiVersion)}/${object.kind}`)) return object;
  const { namespace: _namespace, ...metadata } = object.metadata;
  return { ...object, metadata };
}
