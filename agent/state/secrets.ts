import type { Cluster } from "#agent/cluster/cluster.ts";
import { ApiError } from "#agent/cluster/errors.ts";
import { canonicalJson } from "#proto/json.ts";
import type { KubeObject } from "#proto/object.ts";

/** Everything that an agent remembers carries this label, with what it is as the value. */
export const stateLabel = "plumbline.dev/state";

/** `data`: base64 by field, as the API has it. */
export function secretOf(
  namespace: string,
  name: string,
  label: string,
  data: Record<string, string>,
  immutable = false,
): KubeObject {
  const metadata = { name, namespace, labels: { [stateLabel]: label } };
  return { apiVersion: "v1", kind: "Secret", metadata, type: "plumbline.dev/state", immutable, data };
}

export const dataOf = (secret: KubeObject): Record<string, string | undefined> =>
  (secret["data"] ?? {}) as Record<string, string | undefined>;

export function getSecret(
  cluster: Cluster,
  namespace: string,
  name: string,
  signal?: AbortSignal,
): Promise<KubeObject | undefined> {
  return cluster.get({ apiVersion: "v1", group: "", kind: "Secret", namespace, name }, signal);
}

/**
 * One request as long as nobody else wrote; someone who did is overwritten, for the agent alone knows what it owns.
 * `meddled`: told that somebody did.
 */
export async function replaceOrCreate(
  cluster: Cluster,
  secret: KubeObject,
  resourceVersion: string | undefined,
  signal?: AbortSignal,
  meddled: () => void = () => undefined,
): Promise<KubeObject> {
  const replace = (version: string): Promise<KubeObject> =>
    cluster.replace({ ...secret, metadata: { ...secret.metadata, resourceVersion: version } }, signal);
  try {
    return await (resourceVersion === undefined ? cluster.create(secret, signal) : replace(resourceVersion));
  } catch (error) {
    if (!(error instanceof ApiError) || (error.status !== 409 && error.status !== 404)) throw error;
    meddled();
    const { name, namespace = "" } = secret.metadata;
    const there = await getSecret(cluster, namespace, name, signal);
    return there === undefined ? cluster.create(secret, signal) : replace(there.metadata.resourceVersion ?? "");
  }
}

/** Content-addressed: one that is there already is the same, or somebody made it another, and it is made anew. Gives its uid. */
export async function createOnce(cluster: Cluster, secret: KubeObject, signal?: AbortSignal): Promise<string> {
  try {
    return (await cluster.create(secret, signal)).metadata.uid ?? "";
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 409) throw error;
    const { name, namespace = "" } = secret.metadata;
    const there = await getSecret(cluster, namespace, name, signal);
    // Not every conflict means that it exists: quota answers so too.
    if (there === undefined) throw error;
    const { uid = "" } = there.metadata;
    if (canonicalJson(there["data"] ?? {}) === canonicalJson(secret["data"] ?? {})) return uid;
    await deleteSecret(cluster, namespace, name, uid, signal);
    return (await cluster.create(secret, signal)).metadata.uid ?? "";
  }
}

export async function deleteSecret(
  cluster: Cluster,
  namespace: string,
  name: string,
  uid: string,
  signal?: AbortSignal,
): Promise<void> {
  const address = { apiVersion: "v1", group: "", kind: "Secret", namespace, name };
  await cluster.delete(address, { uid, ...(signal === undefined ? {} : { signal }) });
}
