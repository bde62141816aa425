import { readKubeYaml, YamlProblem, type YamlDocument } from "#hub/render/kube-yaml.ts";
import { isClusterScoped } from "#hub/render/scope.ts";
import { describeRef, refKey, refOf, type Json, type JsonObject, type KubeObject } from "#proto/object.ts";

export type ManifestFile = { readonly path: string; readonly bytes: Uint8Array };

/** An object and where it was written. Read by many, changed by nobody. */
export type Placed = { readonly object: KubeObject; readonly file: string; readonly line: number };

/**
 * The objects of plain manifests: Lists flattened, what no desired state may hold taken off (nulls, status), Secret
 * stringData turned into data, a missing namespace filled in. Throws YamlProblem, naming file, line and field.
 */
export function objectsOf(
  files: readonly ManifestFile[],
  namespace: string,
  options: { readonly clusterScoped?: readonly string[]; readonly read?: typeof placedIn } = {},
): KubeObject[] {
  const written = files.flatMap(options.read ?? placedIn);
  const scopes = customScopes(written, options.clusterScoped ?? []);
  const placed = written.map((one) => ({ ...one, object: inNamespace(one, namespace, scopes) }));
  refuseTwice(placed);
  return placed.map(({ object }) => object);
}

/** The objects of one file. Throws YamlProblem. */
export const placedIn = ({ path, bytes }: ManifestFile): Placed[] =>
  readKubeYaml(path, bytes).flatMap((document) => flatten(path, document));

function flatten(file: string, { value, line }: YamlDocument): Placed[] {
  const fields = fieldsOf(value, file, line);
  if (!isList(fields)) return [{ object: normalise(fields, file, line), file, line }];
  const items = fields["items"] ?? [];
  if (!Array.isArray(items)) throw new YamlProblem(file, line, "items of a List must be a sequence");
  return items.map((item) => {
    const inner = fieldsOf(item, file, line);
    if (isList(inner)) throw new YamlProblem(file, line, "a List inside a List is not read");
    return { object: normalise(inner, file, line), file, line };
  });
}

// As kubectl does: a List is told by its kind and its items, whatever the version in front.
const isList = (fields: JsonObject): boolean =>
  typeof fields["kind"] === "string" && fields["kind"].endsWith("List") && "items" in fields;

function fieldsOf(value: Json, file: string, line: number): JsonObject {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) return value;
  throw new YamlProblem(file, line, "a Kubernetes object must be a mapping");
}

function normalise(fields: JsonObject, file: string, line: number): KubeObject {
  const fail = (message: string): never => {
    throw new YamlProblem(file, line, message);
  };
  const { status: _status, ...kept } = withoutNulls(fields) as JsonObject;
  const metadata = kept["metadata"];
  for (const field of ["apiVersion", "kind"])
    if (typeof kept[field] !== "string" || kept[field] === "") fail(`${field} is missing or not a string`);
  if (metadata === undefined || typeof metadata !== "object" || metadata === null || Array.isArray(metadata))
    return fail("metadata is missing");
  if ("generateName" in metadata)
    fail("metadata.generateName cannot be used: a desired object needs a name of its own");
  if (typeof metadata["name"] !== "string" || metadata["name"] === "") fail("metadata.name is missing or not a string");
  const object = { ...kept, metadata: ownMetadata(metadata) } as unknown as KubeObject;
  return refKey(refOf(object)).startsWith("/Secret/") ? withData(object, fail) : object;
}

// What a server fills in; a manifest that was exported with it would differ from every cluster for ever.
const serverFields = new Set([
  "creationTimestamp",
  "generation",
  "managedFields",
  "resourceVersion",
  "selfLink",
  "uid",
]);

const ownMetadata = (metadata: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(metadata).filter(([field]) => !serverFields.has(field)));

/** Null means "not set" in a manifest; list items keep their place. */
function withoutNulls(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (value === null || typeof value !== "object") return value;
  // Entries, not assignment: a member called __proto__ stays an ordinary member.
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== null)
      .map(([name, member]) => [name, withoutNulls(member)]),
  );
}

/** stringData is written only and never read back, so it would look like drift; a stored Secret has data alone. */
function withData(secret: KubeObject, fail: (message: string) => never): KubeObject {
  const { stringData, ...kept } = secret;
  if (stringData === undefined) return secret;
  const data = Object.entries(stringData as JsonObject).map(([key, text]) => {
    if (typeof text !== "string") return fail(`stringData.${key} must be a string; put it in quotes`);
    return [key, Buffer.from(text).toString("base64")];
  });
  const merged = { ...(secret["data"] as JsonObject | undefined), ...(Object.fromEntries(data) as JsonObject) };
  return { ...kept, data: merged };
}

/** Which custom kinds have a namespace: as their CRDs in this bundle say, and then as the Application does. */
function customScopes(placed: readonly Placed[], clusterScoped: readonly string[]): Map<string, boolean> {
  return new Map([
    ...clusterScoped.map((kind) => [kind, false] as const),
    ...placed
      .filter(({ object }) => object.kind === "CustomResourceDefinition")
      .map(({ object }) => object["spec"] as unknown as { group?: string; scope?: string; names?: { kind?: string } })
      .map((spec) => [`${spec?.group}/${spec?.names?.kind}`, spec?.scope === "Namespaced"] as const),
  ]);
}

function inNamespace({ object, file, line }: Placed, namespace: string, scopes: Map<string, boolean>): KubeObject {
  const ref = refOf(object);
  const namespaced = scopes.get(`${ref.group}/${ref.kind}`) ?? !isClusterScoped(ref);
  if (!namespaced) {
    if (!("namespace" in object.metadata)) return object;
    const { namespace: _namespace, ...metadata } = object.metadata;
    return { ...object, metadata };
  }
  if (ref.namespace !== "") return object;
  if (namespace === "")
    throw new YamlProblem(
      file,
      line,
      `${describeRef(ref)} has no namespace, and its Application names none: set metadata.namespace or spec.namespace`,
    );
  return { ...object, metadata: { ...object.metadata, namespace } };
}

function refuseTwice(placed: readonly Placed[]): void {
  const seen = new Map<string, Placed>();
  for (const one of placed) {
    const ref = refOf(one.object);
    const first = seen.get(refKey(ref));
    if (first !== undefined)
      throw new YamlProblem(one.file, one.line, `${describeRef(ref)} is also in ${first.file}:${first.line}`);
    seen.set(refKey(ref), one);
  }
}
