import { groupOf, refKey, refOf, type KubeObject } from "#proto/object.ts";

/** Objects applied together, and what must hold before the next stage begins. */
export type Stage = {
  readonly objects: readonly KubeObject[];
  readonly after: "goOn" | "waitEstablished" | "waitHealthy";
  /** What is waited for. */
  readonly awaited: readonly KubeObject[];
};

const waveAnnotations = ["plumbline.dev/wave", "argocd.argoproj.io/sync-wave"];

// What others name must be there first; the API server does not ask for it, but controllers would log and back off.
const early = new Set([
  "ResourceQuota",
  "LimitRange",
  "PriorityClass",
  "StorageClass",
  "ServiceAccount",
  "Secret",
  "ConfigMap",
  "PersistentVolume",
  "PersistentVolumeClaim",
  "ClusterRole",
  "ClusterRoleBinding",
  "Role",
  "RoleBinding",
  "Service",
]);
// They act on every later write, so they come when what answers for them was applied.
const late = new Set(["APIService", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]);

/**
 * CRDs and Namespaces, then waves by annotation, each in the order of kinds. A wave waits for the health of the one
 * before; CRDs for being Established.
 */
export function stagesOf(objects: readonly KubeObject[]): Stage[] {
  const definitions = objects.filter(isDefinition);
  const namespaces = objects.filter(isNamespace);
  const rest = objects.filter((object) => !isDefinition(object) && !isNamespace(object));
  const waves = [...Map.groupBy(rest, waveOf)].sort(([a], [b]) => a - b).map(([, wave]) => wave);
  const stages: Stage[] = [
    { objects: definitions, after: "waitEstablished", awaited: definitions },
    { objects: namespaces, after: "goOn", awaited: [] },
    ...waves.flatMap((wave, index) => stagesOfWave(wave, index < waves.length - 1)),
  ];
  return stages.filter((stage) => stage.objects.length > 0);
}

function stagesOfWave(wave: readonly KubeObject[], isFollowed: boolean): Stage[] {
  const ranks = [...Map.groupBy(wave, rankOf)].sort(([a], [b]) => a - b).map(([, objects]) => objects);
  return ranks.map((objects, index) =>
    isFollowed && index === ranks.length - 1
      ? { objects, after: "waitHealthy", awaited: wave }
      : { objects, after: "goOn", awaited: [] },
  );
}

/** What is deleted first comes first: the reverse of applying, custom objects before their CRDs, Namespaces last. */
export function deletionRank(object: Pick<KubeObject, "apiVersion" | "kind">): number {
  if (isNamespace(object)) return 4;
  if (isDefinition(object)) return 3;
  return 2 - rankOf(object);
}

const isDefinition = ({ apiVersion, kind }: Pick<KubeObject, "apiVersion" | "kind">): boolean =>
  groupOf(apiVersion) === "apiextensions.k8s.io" && kind === "CustomResourceDefinition";

const isNamespace = ({ apiVersion, kind }: Pick<KubeObject, "apiVersion" | "kind">): boolean =>
  apiVersion === "v1" && kind === "Namespace";

const rankOf = ({ kind }: Pick<KubeObject, "kind">): number => (early.has(kind) ? 0 : late.has(kind) ? 2 : 1);

/** 0 without an annotation, or with one that is no integer. */
function waveOf(object: KubeObject): number {
  const text = waveAnnotations.map((name) => object.metadata.annotations?.[name]).find((value) => value !== undefined);
  return text !== undefined && /^-?\d{1,9}$/.test(text) ? Number(text) : 0;
}

export const keysOf = (objects: readonly KubeObject[]): Set<string> =>
  new Set(objects.map((object) => refKey(refOf(object))));
