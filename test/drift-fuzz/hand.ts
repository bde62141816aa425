import { kubeconfigAccess } from "#agent/cluster/access.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { ApiError } from "#agent/cluster/errors.ts";
import { openTransport, type Call } from "#agent/cluster/transport.ts";
import type { Json, JsonObject, KubeObject } from "#proto/object.ts";

export type PatchStep = {
  readonly op: "add" | "replace" | "remove" | "test";
  readonly path: string;
  readonly value?: Json;
};

/** Every verb that people and controllers change objects with, each under the field manager that it is given. */
export type Hand = AsyncDisposable & {
  get(object: KubeObject): Promise<KubeObject | undefined>;
  mergePatch(manager: string, object: KubeObject, patch: JsonObject): Promise<KubeObject>;
  jsonPatch(manager: string, object: KubeObject, steps: readonly PatchStep[]): Promise<KubeObject>;
  replace(manager: string, object: KubeObject): Promise<KubeObject>;
  apply(manager: string, object: KubeObject, options: { force: boolean; dryRun?: boolean }): Promise<KubeObject>;
  scale(manager: string, object: KubeObject, replicas: number): Promise<void>;
  status(manager: string, object: KubeObject, patch: JsonObject): Promise<KubeObject>;
  /** Resolves when it is gone: whoever has a finalizer on it is played too. */
  delete(object: KubeObject): Promise<void>;
};

function unlessGone(error: unknown): void {
  if (!(error instanceof ApiError) || error.status !== 404) throw error;
}

/** The API server itself cleans up behind a CRD. */
const cleanedByServer = "customresourcecleanup.apiextensions.k8s.io";

export async function openHand(kubeconfig: string): Promise<Hand> {
  const access = await kubeconfigAccess(kubeconfig);
  const cluster = openKubernetes(access);
  const transport = openTransport(access);

  const pathOf = async ({ apiVersion, kind, metadata }: KubeObject): Promise<string> => {
    const info = await cluster.kindOf(apiVersion, kind);
    if (info === undefined) throw new ApiError(404, { message: `${apiVersion} ${kind} is not served` });
    const base = info.group === "" ? `/api/${info.version}` : `/apis/${info.group}/${info.version}`;
    const inNamespace = info.namespaced ? `/namespaces/${metadata.namespace ?? ""}` : "";
    return `${base}${inNamespace}/${info.resource}/${metadata.name}`;
  };
  const call = async (object: KubeObject, rest: Omit<Call, "path">, subresource = ""): Promise<KubeObject> =>
    (await transport.call({ ...rest, path: `${await pathOf(object)}${subresource}` })) as unknown as KubeObject;
  const get = async (object: KubeObject): Promise<KubeObject | undefined> => {
    try {
      return await call(object, { method: "GET" });
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  };
  const patch = (manager: string, object: KubeObject, type: string, body: unknown, subresource = "") =>
    call(
      object,
      { method: "PATCH", query: { fieldManager: manager }, contentType: `application/${type}+json`, body },
      subresource,
    );

  return {
    get,
    mergePatch: (manager, object, body) => patch(manager, object, "merge-patch", body),
    jsonPatch: (manager, object, steps) => patch(manager, object, "json-patch", steps),
    replace: (manager, object) => call(object, { method: "PUT", query: { fieldManager: manager }, body: object }),
    apply: (manager, object, { force, dryRun = false }) =>
      call(object, {
        method: "PATCH",
        query: {
          fieldManager: manager,
          ...(force ? { force: "true" } : {}),
          ...(dryRun ? { dryRun: "All", fieldValidation: "Strict" } : {}),
        },
        contentType: "application/apply-patch+yaml",
        body: object,
      }),
    async scale(manager, object, replicas) {
      await patch(manager, object, "merge-patch", { spec: { replicas } }, "/scale");
    },
    status: (manager, object, body) => patch(manager, object, "merge-patch", { status: body }, "/status"),
    async delete(object) {
      const body = { propagationPolicy: "Background", gracePeriodSeconds: 0 };
      await call(object, { method: "DELETE", body }).catch(unlessGone);
      for (let there = await get(object); there !== undefined; there = await get(object)) {
        // Another one by now is not ours to wait for.
        if (there.metadata.uid !== object.metadata.uid) return;
        const finalizers = there.metadata.finalizers ?? [];
        const left = finalizers.filter((name) => name === cleanedByServer);
        if (left.length < finalizers.length)
          await patch("finalizer", there, "merge-patch", { metadata: { finalizers: left } }).catch(() => undefined);
      }
    },
    async [Symbol.asyncDispose]() {
      await cluster[Symbol.asyncDispose]();
      await transport[Symbol.asyncDispose]();
    },
  };
}
