import type { ManifestFile } from "#hub/render/objects.ts";
import type { BlobAddress, BundleDigest } from "#proto/ids.ts";

/** What one rendering depends on: files at a commit and the Application's namespace. */
export type RenderTarget = {
  /** Names the Application in messages. */
  readonly application: string;
  readonly files: readonly ManifestFile[];
  /** A second rendering of the same inputs: objects that differ in it have content that nobody could repeat. */
  readonly again?: readonly ManifestFile[] | undefined;
  /** Made by Helm: what it would run only when a release goes or returns is no desired object. */
  readonly isRelease?: boolean;
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

/** Why there is no bundle: file, line and field, as far as they are known. Never content. */
export type RenderProblem = { readonly ok: false; readonly because: string };
