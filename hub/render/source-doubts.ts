import { documentsOf, doubtLine, eventsOf, textOf } from "#hub/render/kube-yaml.ts";
import { kustomizationNames } from "#hub/render/kustomization.ts";
import type { ManifestFile } from "#hub/render/objects.ts";
import { doubtsIn } from "#hub/render/yaml-doubts.ts";

/** Most files hold no such number, and are read no further. */
const anOddNumber =
  /(?:^|[\s,[{:-])[-+]?(?:0[0-7_]+|0[bBoOxX][\da-fA-F_]+|[1-9]\d*_[\d_]*|\d+\.\d*0|\d+[eE]\d+)\s*(?:$|[,\]}#\n])/m;
const ofSecret = /\bkind["']?\s*:\s*["']?Secret\b/;
const ofSomeKind = /\bkind["']?\s*:/;
/** A list of JSON patches, which does not say what it patches, and one that touches what a Secret may hold. */
const isList = /^\s*(?:#.*\n\s*)*[-[]/;
const ofData = /\bpath["']?\s*:\s*["']?\/(?:data|stringData)\b/;

/**
 * What is probably a mistake in a file that Kustomize reads: numbers that it takes for others than one sees. (Words such as `no`
 * are text for it, as they stand there.) A doubt shows what is written, so there is none where that may be a Secret's.
 */
export function doubtsInSource({ path, bytes }: ManifestFile): string[] {
  try {
    const text = textOf(path, bytes);
    if (!anOddNumber.test(text)) return [];
    return documentsOf(text).flatMap((document) => (mayBeSecret(path, document.text) ? [] : doubtsOf(path, document)));
  } catch {
    // Kustomize has words of its own for what cannot be read.
    return [];
  }
}

function doubtsOf(path: string, { text, line }: { readonly text: string; readonly line: number }): string[] {
  const { events, source } = eventsOf(text);
  return doubtsIn(events, source, "numbers").map((doubt) => doubtLine(path, line, source, doubt));
}

function mayBeSecret(path: string, text: string): boolean {
  if (kustomizationNames.some((name) => path === name || path.endsWith(`/${name}`))) return false;
  return isList.test(text) ? ofData.test(text) : ofSecret.test(text) || !ofSomeKind.test(text);
}
