import { YamlProblem } from "#hub/render/kube-yaml.ts";
import type { ManifestFile } from "#hub/render/objects.ts";

export type Filled = { readonly files: ManifestFile[]; /** Names that the files hold. */ readonly used: string[] };

// `$${` stands for a plain `${`; a `${` that is not closed on its line is text.
const written = /\$?\$\{([^{}\n]*)\}/g;

/**
 * Fills `${environment}`, `${cluster.name}` and `${cluster.labels.NAME}` in the text of manifests, comments included. Their
 * values are names and label values, which hold nothing that YAML or JSON reads. Every other `$` stays as it is written, so
 * scripts survive; what only looks like a parameter is an error, naming file and line. Throws YamlProblem.
 */
export function fillParameters(files: readonly ManifestFile[], parameters: Readonly<Record<string, string>>): Filled {
  const used = new Set<string>();
  const filled = files.map((file) => ({ path: file.path, bytes: fillFile(file, parameters, used) }));
  return { files: filled, used: [...used].sort() };
}

function fillFile(
  { path, bytes }: ManifestFile,
  parameters: Readonly<Record<string, string>>,
  used: Set<string>,
): Uint8Array {
  // Byte by byte, so that text that is no UTF-8 is left for its reader to refuse.
  const text = Buffer.from(bytes).toString("latin1");
  if (!text.includes("${")) return bytes;
  const filled = text.replaceAll(written, (whole, name: string, at: number) => {
    if (whole.startsWith("$$")) return whole.slice(1);
    if (!/^(?:environment(?![\w-])|cluster\.)/.test(name)) return whole;
    const value = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
    if (value === undefined) throw new YamlProblem(path, lineAt(text, at), problemOf(whole, name, parameters));
    used.add(name);
    return value;
  });
  return Buffer.from(filled, "latin1");
}

const lineAt = (text: string, at: number): number => text.slice(0, at).split("\n").length;

function problemOf(whole: string, name: string, parameters: Readonly<Record<string, string>>): string {
  const label = /^cluster\.labels\.(.+)$/.exec(name)?.[1];
  if (label !== undefined) return `${whole}: cluster ${parameters["cluster.name"] ?? ""} has no label ${label}`;
  return `${whole} is no parameter: there are \${environment}, \${cluster.name} and \${cluster.labels.NAME}, and $${whole} is the plain text`;
}
