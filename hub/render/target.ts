import type { ManifestFile } from "#hub/render/objects.ts";
import type { BlobAddress, BundleDigest } from "#proto/ids.ts";

/** What one rendering depends on: files at a commit and the Application's namespace. */
export type RenderTarget = {
  /** Names the Application in messages. */
  readonly application: string;
  readonly files: readonly ManifestFile[];
  readonly namespace: string;
};

/** A bundle ready to be published, without its plain content. */
export type Rendered = {
  readonly ok: true;
  readonly digest: BundleDigest;
  readonly address: BlobAddress;
  readonly slices: readonly Uint8Array[];
  readonly contentKey: Uint8Array;
  readonly objects: number;
  /** `refKey` of every object: no object may be in two Applications of one cluster. */
  readonly keys: readonly string[];
};

/**
 * What a folder's files ask for when nobody says. A tool's own files are not manifests: applied as they are, they would be
 * objects of a kind that no server has.
 */
export function rendererFor(paths: readonly string[]): "plain" | "kustomize" | "helm" {
  const names = new Set(paths.map((path) => path.slice(path.lastIndexOf("/") + 1)));
  if (["kustomization.yaml", "kustomization.yml", "Kustomization"].some((name) => names.has(name))) return "kustomize";
  return names.has("Chart.yaml") ? "helm" : "plain";
}

/** Why there is no bundle: file, line and field, as far as they are known. Never content. */
export type RenderProblem = { readonly ok: false; readonly because: string };
