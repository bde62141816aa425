import { parentPort, workerData } from "node:worker_threads";
import { objectsOf } from "#hub/render/objects.ts";
import { YamlProblem } from "#hub/render/kube-yaml.ts";
import type { Rendered, RenderProblem, RenderTarget } from "#hub/render/target.ts";
import { BundleProblem, sealBundle } from "#proto/bundle.ts";
import { refKey, refOf } from "#proto/object.ts";

type Task = { readonly id: number; readonly target: RenderTarget };

/** Parses, canonicalises, compresses and encrypts away from the thread that serves agents. */
function render({ application, files, namespace }: RenderTarget, contentSecret: Uint8Array): Rendered | RenderProblem {
  try {
    const objects = objectsOf(files, namespace);
    if (objects.length === 0) return { ok: false, because: `${application}: its folder holds no manifest` };
    const sealed = sealBundle(objects, contentSecret);
    const keys = objects.map((object) => refKey(refOf(object)));
    const { digest, address, slices, contentKey } = sealed;
    return { ok: true, digest, address, slices, contentKey, objects: objects.length, keys };
  } catch (error) {
    if (error instanceof YamlProblem || error instanceof BundleProblem) return { ok: false, because: error.message };
    throw error;
  }
}

const { contentSecret } = workerData as { contentSecret: Uint8Array };
parentPort?.on("message", ({ id, target }: Task) => {
  try {
    parentPort!.postMessage({ id, outcome: render(target, contentSecret) });
  } catch (error) {
    const because = `${target.application}: could not be rendered (${error instanceof Error ? error.name : "error"})`;
    parentPort!.postMessage({ id, outcome: { ok: false, because } });
  }
});
