import { fieldName, readKubeYaml, YamlProblem, type FieldPath, type YamlDocument } from "#hub/render/kube-yaml.ts";
import { isClusterScoped } from "#hub/render/scope.ts";
import {
  describeRef,
  kindDefinedBy,
  refKey,
  refOf,
  type Json,
  type JsonObject,
  type KubeObject,
} from "#proto/object.ts";

export type ManifestFile = { readonly path: string; readonly bytes: Uint8Array };

/** An object and where it was written. Read by many, changed by nobody. */
export type Placed = {
  readonly object: KubeObject;
  readonly file: string;
  readonly line: number;
  /** What is probably a mistake in its document; of a List, its first object has them. */
  readonly doubts: readonly string[];
};

export type ObjectsOptions = {
  /** Custom kinds that have no namespace, as group/Kind. */
  readonly clusterScoped?: readonly string[];
  readonly read?: typeof placedIn;
  /** Is told what is probably a mistake, and only shows once it is known which kinds have namespaces. */
  readonly doubt?: (sentence: string) => void;
};

/**
 * The objects of plain manifests: Lists flattened, what no desired state may hold taken off (nulls, status), Secret
 * stringData turned into data, a missing namespace filled in. Throws YamlProblem, naming file, line and field.
 */
export function objectsOf(
  files: readonly ManifestFile[],
  namespace: string,
  options: ObjectsOptions = {},
): KubeObject[] {
  const written = files.flatMap(options.read ?? placedIn);
  const scopes = customScopes(written, options.clusterScoped ?? []);
  const placed = written.map((one) => ({ ...one, object: inNamespace(one, namespace, scopes, options.doubt) }));
  refuseTwice(placed);
  return placed.map(({ object }) => object);
}

/** The objects of one file. Throws YamlProblem. */
export const placedIn = ({ path, bytes }: ManifestFile): Placed[] =>
  readKubeYaml(path, bytes).flatMap((document) => flatten(path, document));

type Fail = (path: FieldPath, message: string) => never;

function flatten(file: string, document: YamlDocument): Placed[] {
  const placed = (value: Json, at: FieldPath): Placed => {
    const fail: Fail = (path, message) => {
      const whole = [...at, ...path];
      throw new YamlProblem(file, document.lineOf(whole), `${fieldName(whole)}${message}`);
    };
    const line = at.length === 0 ? document.line : document.lineOf(at);
    const object = normalise(fieldsOf(value, fail), fail);
    const isFirst = at.length === 0 || at.at(-1) === 0;
    return { object, file, line, doubts: isFirst ? document.doubts : [] };
  };
  const failed: Fail = (path, message) => {
    throw new YamlProblem(file, document.lineOf(path), `${fieldName(path)}${message}`);
  };
  const fields = fieldsOf(document.value, failed);
  if (!isList(fields)) return withoutSecretDoubts([placed(fields, [])]);
  const items = fields["items"] ?? [];
  if (!Array.isArray(items)) return failed(["items"], "must be a sequence");
  const all = items.map((item, index) => {
    const inner = fieldsOf(item, (path, message) => failed(["items", index, ...path], message));
    if (isList(inner)) failed(["items", index], "is a List inside a List, which is not read");
    return placed(typed(inner, fields), ["items", index]);
  });
  return withoutSecretDoubts(all);
}

/** A doubt shows what is written. */
const withoutSecretDoubts = (placed: Placed[]): Placed[] =>
  placed.some(({ object }) => object.kind === "Secret") ? placed.map((one) => ({ ...one, doubts: [] })) : placed;

// As kubectl does: whatever has items is a List, and a List without any is told by its kind.
const isList = (fields: JsonObject): boolean =>
  Array.isArray(fields["items"]) ||
  (typeof fields["kind"] === "string" && fields["kind"].endsWith("List") && "items" in fields);

/** An item of a typed List may leave out what the List's own kind says. */
function typed(item: JsonObject, list: JsonObject): JsonObject {
  const { apiVersion, kind } = list;
  if (typeof kind !== "string" || kind === "List" || !kind.endsWith("List")) return item;
  return { apiVersion: apiVersion ?? null, kind: kind.slice(0, -"List".length), ...item };
}

function fieldsOf(value: Json, fail: Fail): JsonObject {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) return value;
  return fail([], "must be a mapping: a Kubernetes object");
}

function normalise(fields: JsonObject, fail: Fail): KubeObject {
  const { status: _status, ...kept } = withoutNulls(fields) as JsonObject;
  const metadata = kept["metadata"];
  for (const field of ["apiVersion", "kind"])
    if (typeof kept[field] !== "string" || kept[field] === "") fail([field], noString(kept[field]));
  // An Application at the root of the fleet repository would run the fleet's own documents.
  if ((kept["apiVersion"] as string).startsWith("plumbline.dev/"))
    fail(
      [],
      "is a document of the fleet, which no cluster knows: name another path, or leave it out by spec.source.exclude",
    );
  if (metadata === undefined || typeof metadata !== "object" || metadata === null || Array.isArray(metadata))
    return fail(["metadata"], "is missing");
  if ("generateName" in metadata)
    fail(["metadata", "generateName"], "cannot be used: a desired object needs a name of its own");
  for (const field of ["name", "namespace"])
    if (
      field in metadata
        ? typeof metadata[field] !== "string" || (field === "name" && metadata[field] === "")
        : field === "name"
    )
      fail(["metadata", field], noString(metadata[field]));
  for (const field of ["labels", "annotations"]) onlyStrings(metadata[field], ["metadata", field], fail);
  fitting(metadata["annotations"], fail);
  const object = { ...kept, metadata: ownMetadata(metadata) } as unknown as KubeObject;
  const key = refKey(refOf(object));
  if (key.startsWith("/ConfigMap/")) onlyStrings(object["data"] as Json | undefined, ["data"], fail);
  return key.startsWith("/Secret/") ? withData(object, fail) : object;
}

/** What every API server refuses, told where it was written: `on` is a boolean, and 1.10 a number. */
function onlyStrings(members: Json | undefined, path: FieldPath, fail: Fail): void {
  if (members === undefined || members === null) return;
  if (typeof members !== "object" || Array.isArray(members)) return fail(path, "must be a mapping");
  for (const [key, value] of Object.entries(members)) {
    if (typeof value === "string") continue;
    fail([...path, key], noString(value));
  }
}

/** All annotations of an object together, as every API server counts them. */
const annotationBytes = 256 * 1024;

function fitting(annotations: Json | undefined, fail: Fail): void {
  const texts = Object.entries((annotations ?? {}) as Record<string, string>).flat();
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes > annotationBytes)
    fail(["metadata", "annotations"], `have ${bytes} bytes, and Kubernetes takes ${annotationBytes} at the most`);
}

/** `name: y` is a boolean, and `1.10` a number. */
function noString(value: Json | undefined): string {
  if (value === undefined || value === "") return "is missing";
  if (typeof value === "object") return "must be a string: put it in quotes";
  return `must be a string, and YAML reads the ${typeof value === "boolean" ? "boolean" : "number"} ${String(value)}: put it in quotes`;
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
function withData(secret: KubeObject, fail: Fail): KubeObject {
  const { stringData, ...kept } = secret;
  if (stringData === undefined) return secret;
  const data = Object.entries(stringData as JsonObject).map(([key, text]) => {
    // Its value is a secret, also as a number.
    if (typeof text !== "string") return fail(["stringData", key], "must be a string; put it in quotes");
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
      .map(({ object }) => kindDefinedBy(object))
      .map(({ kind, isNamespaced }) => [kind, isNamespaced] as const),
  ]);
}

function inNamespace(
  { object, file, line }: Placed,
  namespace: string,
  scopes: Map<string, boolean>,
  doubt: ObjectsOptions["doubt"],
): KubeObject {
  const ref = refOf(object);
  const namespaced = scopes.get(`${ref.group}/${ref.kind}`) ?? !isClusterScoped(ref);
  if (!namespaced) {
    if (!("namespace" in object.metadata)) return object;
    const { namespace: written, ...metadata } = object.metadata;
    const cut = { ...object, metadata };
    doubt?.(
      `${file}:${line}: ${describeRef(refOf(cut))} names the namespace ${written}, and its kind has none: it is taken off`,
    );
    return cut;
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
