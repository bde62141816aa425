import { posix } from "node:path";
import { readKubeYaml } from "#hub/render/kube-yaml.ts";
import type { ManifestFile } from "#hub/render/objects.ts";
import { RenderRefused } from "#hub/render/render-problem.ts";
import type { Json, JsonObject } from "#proto/object.ts";

/** One thing that a kustomization names: the field, and what stands there. */
export type Named = {
  readonly field: string;
  readonly value: string;
  /** May be a folder. */ readonly isBase: boolean;
};

export type Kustomization = { readonly path: string; readonly names: readonly Named[] };

/** The names that kustomize looks for, in its order. */
export const kustomizationNames = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/** Far more than anybody writes by hand; it is read on the thread that serves agents. */
const maxBytes = 128 * 1024;

const bases = ["resources", "bases", "components", "generators", "transformers", "validators"];
const files = ["crds", "configurations"];
// Each entry of these lists is a mapping with a file in this field.
const filesWithin: readonly (readonly [list: string, field: string])[] = [
  ["patches", "path"],
  ["patchesJson6902", "path"],
  ["replacements", "path"],
  ["configMapGenerator", "env"],
  ["secretGenerator", "env"],
];

/** What the kustomization of a folder names; undefined when the folder has none. Throws RenderRefused and YamlProblem. */
export function kustomizationOf(folder: string, all: ReadonlyMap<string, ManifestFile>): Kustomization | undefined {
  const found = kustomizationNames.map((name) => posix.join(folder, name)).filter((path) => all.has(path));
  const [path] = found;
  if (path === undefined) return undefined;
  if (found.length > 1)
    throw new RenderRefused(`${folder || "."} has more than one kustomization: ${found.join(", ")}`);
  const { bytes } = all.get(path)!;
  if (bytes.length > maxBytes) throw new RenderRefused(`${path} is ${bytes.length} bytes, at most 128 KiB are read`);
  const [document, second] = readKubeYaml(path, bytes);
  if (second !== undefined) throw new RenderRefused(`${path}:${second.line}: a kustomization is one document`);
  const fields = document?.value;
  if (!isMapping(fields)) throw new RenderRefused(`${path}: a kustomization must be a mapping`);
  refuseHelm(path, fields);
  return { path, names: namesOf(fields) };
}

function refuseHelm(path: string, fields: JsonObject): void {
  const field = ["helmCharts", "helmChartInflationGenerator", "helmGlobals"].find((name) => name in fields);
  if (field !== undefined)
    throw new RenderRefused(
      `${path}: ${field}: kustomize runs no Helm here: give the chart an Application of its own with render: helm`,
    );
}

function namesOf(fields: JsonObject): Named[] {
  const named = (field: string, value: Json | undefined, isBase = false): Named[] =>
    // A text of several lines is a patch or a generator's settings written in place.
    typeof value === "string" && !value.includes("\n") ? [{ field, value, isBase }] : [];
  const each = (field: string, isBase: boolean): Named[] =>
    listOf(fields[field]).flatMap((value, n) => named(`${field}[${n}]`, value, isBase));
  return [
    ...bases.flatMap((field) => each(field, true)),
    ...files.flatMap((field) => each(field, false)),
    ...each("patchesStrategicMerge", false).filter(({ value }) => !/[:{]\s/.test(value)),
    ...filesWithin.flatMap(([list, field]) =>
      listOf(fields[list]).flatMap((entry, n) =>
        isMapping(entry) ? named(`${list}[${n}].${field}`, entry[field]) : [],
      ),
    ),
    ...["configMapGenerator", "secretGenerator"].flatMap((list) =>
      listOf(fields[list]).flatMap((entry, n) => (isMapping(entry) ? generated(`${list}[${n}]`, entry) : [])),
    ),
    ...(isMapping(fields["openapi"]) ? named("openapi.path", fields["openapi"]["path"]) : []),
  ];
}

/** `files` may give each file another key in front: `key=path`. */
const generated = (at: string, entry: JsonObject): Named[] =>
  ["files", "envs"].flatMap((field) =>
    listOf(entry[field]).flatMap((value, n) =>
      typeof value === "string"
        ? [
            {
              field: `${at}.${field}[${n}]`,
              value: value.slice(field === "files" ? value.indexOf("=") + 1 : 0),
              isBase: false,
            },
          ]
        : [],
    ),
  );

const listOf = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);
const isMapping = (value: Json | undefined): value is JsonObject =>
  value !== null && typeof value === "object" && !Array.isArray(value);
