import { posix } from "node:path";
import type { ManifestFile } from "#hub/render/objects.ts";

const border = Buffer.from("\n---\n# Source: ");
const borderLead = "\n---\n".length;

/**
 * What `helm template` wrote, cut into the documents of its templates: Helm says where each comes from, so an error can
 * name the template. `path` of the output is the chart's folder.
 */
export function perTemplate({ path: folder, bytes }: ManifestFile): ManifestFile[] {
  const output = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const documents: Buffer[] = [];
  let from = 0;
  for (let at = output.indexOf(border); at >= 0; at = output.indexOf(border, from)) {
    documents.push(output.subarray(from, at + 1));
    from = at + borderLead;
  }
  documents.push(output.subarray(from));
  return documents.flatMap((document) => {
    const head = document.toString("utf8", 0, 4_096);
    if (document.length < 4_096 && head.trim() === "") return [];
    const source = /^(?:---\n)?# Source: [^/\n]+\/(.*)\n/.exec(head)?.[1];
    const path = source === undefined ? `helm template ${folder || "."}` : `${posix.join(folder, source)} (rendered)`;
    return [{ path, bytes: document }];
  });
}
