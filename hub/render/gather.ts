import { posix } from "node:path";
import { kustomizationNames, kustomizationOf, type Named } from "#hub/render/kustomization.ts";
import type { ManifestFile } from "#hub/render/objects.ts";
import { RenderRefused } from "#hub/render/render-problem.ts";

/** What one building may keep in memory. */
const maxBytes = 32 * 1024 * 1024;

/** The regular files under a folder at one commit; "" is the whole tree. */
export type FilesUnder = (folder: string) => Promise<readonly ManifestFile[]>;

/** What building a folder reads, and which of it Kustomize takes for objects, for patches of them, or for its own settings. */
export type Gathered = { readonly files: ManifestFile[]; readonly sources: ManifestFile[] };

/**
 * Everything that building a folder reads: its own files, and those of the folders that its kustomizations name, one
 * after another. Refuses before anything runs what lies outside the commit, naming file and field.
 */
export async function gatherKustomization(folder: string, filesUnder: FilesUnder): Promise<Gathered> {
  const all = new Map<string, ManifestFile>();
  const sources = new Set<string>();
  const loaded: string[] = [];
  let bytes = 0;
  const read = async (wanted: string): Promise<void> => {
    if (loaded.some((folder) => folder === wanted || isBelow(wanted, folder))) return;
    loaded.push(wanted);
    for (const file of await filesUnder(wanted)) {
      if (!all.has(file.path)) bytes += file.bytes.length;
      all.set(file.path, file);
    }
    if (bytes > maxBytes) throw new RenderRefused(`${folder || "."} and its bases hold more than 32 MiB`);
  };
  const isThere = (path: string): "file" | "folder" | undefined => {
    if (all.has(path)) return "file";
    const within = path === "" ? "" : `${path}/`;
    return [...all.keys()].some((name) => name.startsWith(within)) ? "folder" : undefined;
  };
  const seen = new Set<string>();
  const visit = async (root: string): Promise<void> => {
    if (seen.has(root)) return;
    seen.add(root);
    const kustomization = kustomizationOf(root, all);
    if (kustomization === undefined)
      throw new RenderRefused(`${root || "."} is built by kustomize and has no ${kustomizationNames[0]}`);
    sources.add(kustomization.path);
    for (const named of kustomization.names) {
      const fail = (because: string): never => {
        throw new RenderRefused(`${kustomization.path}: ${named.field}: ${because}`);
      };
      const path = insideOf(root, named, fail);
      if (named.isBase) await read(path);
      const found = isThere(path);
      if (found === "file" && /^(?:resources|patches)/.test(named.field)) sources.add(path);
      if (found === "folder" && named.isBase) await visit(path);
      else if (!isBelow(path, root) && (found === "file" || !named.isBase || /\.(ya?ml|json)$/.test(path)))
        fail(
          `${named.value} lies outside ${root || "."}: kustomize reads single files only in or below the folder of the kustomization that names them; make its folder a base with a kustomization of its own, or move it`,
        );
      else if (found === undefined)
        fail(`${named.value} is not in this commit (symbolic links and submodules are not followed)`);
    }
  };
  await read(folder);
  await visit(folder);
  return { files: [...all.values()], sources: [...sources].map((path) => all.get(path)!) };
}

/** The path in the repository. */
function insideOf(root: string, { value, isBase }: Named, fail: (because: string) => never): string {
  if (isRemote(value))
    fail(
      `${value.replace(/\/\/[^/@]*@/, "//")} is remote: the hub renders what the commit holds and fetches nothing; copy it into the repository and name it by its path`,
    );
  if (value.startsWith("/")) fail(`${value} is an absolute path`);
  const path = posix.join(root, value).replace(/\/+$/, "");
  if (path === ".." || path.startsWith("../")) fail(`${value} leads out of the repository`);
  if (isBase && path === ".") return "";
  return path;
}

// As kustomize tells them: schemes, scp-like addresses, known forges, and anything with a query.
const isRemote = (value: string): boolean =>
  /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ||
  /^(git::|git@|gh:|[\w.-]+@[\w.-]+:)/i.test(value) ||
  /^(github\.com|gitlab\.com|bitbucket\.org|dev\.azure\.com)[/:]/i.test(value) ||
  /[?&](ref|version|timeout|submodules)=/.test(value) ||
  /^[\w.-]+\.[a-z]{2,}\/.*(\.git(\/|$)|\/\/)/i.test(value);

const isBelow = (path: string, folder: string): boolean => folder === "" || path.startsWith(`${folder}/`);
