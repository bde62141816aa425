import type { ManifestFile } from "#hub/render/objects.ts";
import type { Selection } from "#hub/render/selection.ts";
import type { BlobAddress, BundleDigest } from "#proto/ids.ts";

/** What one rendering depends on: files at a commit, and what its Application says of them. */
export type RenderTarget = {
  /** Names the Application in messages. */
  readonly application: string;
  readonly files: readonly ManifestFile[];
  /** What a tool made `files` of: read for what is probably a mistake, and for nothing else. */
  readonly sources?: readonly ManifestFile[] | undefined;
  /** A second rendering of the same inputs: objects that differ in it have content that nobody could repeat. */
  readonly again?: readonly ManifestFile[] | undefined;
  /** Objects that are created where they are absent and never updated: nobody could repeat their content. */
  readonly once?: readonly { readonly kind: string; readonly name: string }[];
  /** What Helm writes in one: a file for each template is made of it. */
  readonly isRelease?: boolean;
  readonly namespace: string;
  /** Of plain files, those to read. */
  readonly select?: Selection | undefined;
  /** Values of `${NAME}` in the files' text, by name; without it the text is left as it is. */
  readonly parameters?: Readonly<Record<string, string>> | undefined;
  /** Custom kinds without a namespace, as `group/Kind`. */
  readonly clusterScoped?: readonly string[] | undefined;
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
  /** Names of the parameters that its files hold: with other values of these it would be another bundle. */
  readonly parameters: readonly string[];
  /** What its files hold that is probably a mistake, a sentence each: file, line and field. */
  readonly warnings: readonly string[];
};

/** Why there is no bundle: file, line and field, as far as they are known. Never content. */
export type RenderProblem = {
  readonly ok: false;
  readonly because: string;
  /** No fault of the files: another try may give something else. */
  readonly isPassing?: true;
};
