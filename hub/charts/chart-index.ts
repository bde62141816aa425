import { readKubeYaml, YamlProblem } from "#hub/render/kube-yaml.ts";
import type { RenderProblem } from "#hub/render/target.ts";
import type { Json, JsonObject } from "#proto/object.ts";

/** One version of a chart, looked for in the index.yaml of a Helm repository. */
export type IndexQuery = {
  readonly index: Uint8Array;
  /** For messages. */
  readonly address: string;
  readonly name: string;
  readonly version: string;
};

export type IndexAnswer =
  | {
      readonly ok: true;
      /** As it stands there: often relative to the index. */
      readonly url: string;
      /** SHA-256 of the archive in hex, where the index says it. */
      readonly sha256: string | null;
    }
  | RenderProblem;

/** Runs in a worker: the index of a large repository takes seconds to read. */
export function findInIndex({ index, address, name, version }: IndexQuery): IndexAnswer {
  const refuse = (because: string): RenderProblem => ({ ok: false, because: `${address}: ${because}` });
  try {
    const entries = mapping(mapping(readKubeYaml("index.yaml", index)[0]?.value)["entries"]);
    const versions = Object.hasOwn(entries, name) ? list(entries[name]).map(mapping) : [];
    if (versions.length === 0) return refuse(`has no chart ${name}`);
    const found =
      versions.find((entry) => entry["version"] === version) ??
      versions.find((entry) => withoutV(entry["version"]) === withoutV(version));
    if (found === undefined) return refuse(`has no version ${version} of ${name}; there is ${newest(versions)}`);
    const [url] = list(found["urls"]);
    if (typeof url !== "string" || url === "") return refuse(`says no address for ${name} ${version}`);
    const digest = found["digest"];
    const sha256 = typeof digest === "string" ? digest.replace(/^sha256:/, "").toLowerCase() : "";
    if (sha256 !== "" && !/^[0-9a-f]{64}$/.test(sha256))
      return refuse(`has a digest of ${name} ${version} that is none`);
    return { ok: true, url, sha256: sha256 === "" ? null : sha256 };
  } catch (error) {
    if (error instanceof YamlProblem) return refuse(error.message);
    throw error;
  }
}

const withoutV = (version: Json | undefined): string => (typeof version === "string" ? version.replace(/^v/, "") : "");
const newest = (versions: readonly JsonObject[]): string =>
  versions
    .slice(0, 3)
    .map(({ version }) => (typeof version === "string" ? version.slice(0, 50) : "?"))
    .join(", ");
const list = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);
const mapping = (value: Json | undefined): JsonObject =>
  value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
