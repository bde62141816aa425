import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { openFence } from "#hub/render/fence.ts";
import { manifestsOf } from "#hub/render/manifests.ts";
import { objectsOf, type ManifestFile } from "#hub/render/objects.ts";
import { createRenderer } from "#hub/render/renderer.ts";
import { openTools } from "#hub/render/tools.ts";
import { canonicalBundle, digestOf, openBundle } from "#proto/bundle.ts";
import { parseJson } from "#proto/json.ts";
import type { KubeObject } from "#proto/object.ts";
import { serverPath } from "#test/harness/servers.ts";
import { marker, type CorpusCase } from "./cases.ts";

const run = promisify(execFile);
const corpus = new URL("../corpus/", import.meta.url);

export type Rendering = { readonly objects: readonly KubeObject[]; readonly bytes: number; readonly digest: string };

/** The corpus in a folder of its own, rendered by us and by the plain tools. */
export type CorpusKitchen = AsyncDisposable & {
  ours(one: CorpusCase): Promise<Rendering>;
  /** What the tool gives that people would run by hand in the same folder, in canonical form. */
  theirs(one: CorpusCase): Promise<Rendering>;
};

export async function openCorpusKitchen(): Promise<CorpusKitchen> {
  await using started = new AsyncDisposableStack();
  const root = await mkdtemp(join(tmpdir(), "plumbline-corpus-"));
  started.defer(() => rm(root, { recursive: true, force: true }));
  for (const name of ["kube-prometheus", "kube-prometheus-stack", "microservices-demo", "podinfo"])
    await cp(new URL(name, corpus), join(root, name), { recursive: true });
  await addScripts(join(root, "podinfo/deploy/bases"));
  // What lies beside the release in its folder is for another mesh.
  await rm(join(root, "microservices-demo/release/istio-manifests.yaml"));
  const fence = await openFence({ prlimit: "/usr/bin/prlimit", unshare: "/usr/bin/unshare" });
  const tools = openTools(fence, { kustomize: serverPath("kustomize"), helm: serverPath("helm") });
  const renderer = started.use(createRenderer(randomBytes(32), 1));
  const filesUnder = async (folder: string): Promise<ManifestFile[]> => {
    const found = await readdir(join(root, folder), { recursive: true, withFileTypes: true });
    const files = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    return Promise.all(files.map(async (file) => ({ path: relative(root, file), bytes: await readFile(file) })));
  };
  const all = started.move();
  return {
    async ours({ name, folder, render, namespace, values = {} }) {
      const helm = { values, valuesFiles: [], once: [], kubernetes: { version: "1.36.0", apis: [] } };
      const fileAt = (): Promise<undefined> => Promise.resolve(undefined);
      const wanted = { application: name, namespace, folder, filesUnder, fileAt, render, helm, isFirst: true };
      const rendered = await renderer.render((await manifestsOf(tools, wanted)).target);
      if (!rendered.ok) throw new Error(rendered.because);
      return summary(openBundle(rendered.slices, rendered));
    },
    async theirs({ tool, arguments: arguments_, namespace }) {
      const options = { cwd: root, env: { HOME: root }, maxBuffer: 2 ** 26 };
      const { stdout } = await run(serverPath(tool), [...arguments_], options);
      const text = arguments_[0] === "annotate" ? withoutMarker(stdout) : stdout;
      return summary(objectsOf([{ path: "out.yaml", bytes: Buffer.from(text) }], namespace));
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

const summary = (objects: readonly KubeObject[]): Rendering => {
  const canonical = canonicalBundle(objects);
  return { objects, bytes: canonical.length, digest: digestOf(canonical) };
};

/** kubectl prints one JSON document after the other. */
function withoutMarker(said: string): string {
  const documents = said
    .trim()
    .split(/^\}\n(?=\{)/m)
    .map((text, n, all) => (n < all.length - 1 ? `${text}}` : text));
  return documents
    .map((text) => {
      const object = parseJson(text) as unknown as KubeObject;
      const { [marker]: _mark, ...annotations } = object.metadata.annotations ?? {};
      const { annotations: _all, ...metadata } = object.metadata;
      const kept = Object.keys(annotations).length > 0 ? { ...metadata, annotations } : metadata;
      return JSON.stringify({ ...object, metadata: kept });
    })
    .join("\n---\n");
}

/** Scripts that some bases put into ConfigMaps are not in the corpus: any text does, as both sides read the same. */
async function addScripts(bases: string): Promise<void> {
  for (const base of await readdir(bases)) {
    const text = await readFile(join(bases, base, "kustomization.yaml"), "utf8");
    for (const [script] of text.matchAll(/scripts\/[\w.-]+/g)) {
      await mkdir(join(bases, base, "scripts"), { recursive: true });
      await writeFile(join(bases, base, script), `#!/bin/sh\necho ${base}\n`);
    }
  }
}
