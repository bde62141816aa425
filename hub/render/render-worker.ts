import { parentPort, workerData } from "node:worker_threads";
import { objectsOf } from "#hub/render/objects.ts";
import { YamlProblem } from "#hub/render/kube-yaml.ts";
import { refuseRandom, withoutLeavingHooks } from "#hub/render/release.ts";
import { RenderRefused } from "#hub/render/render-problem.ts";
import type { Rendered, RenderProblem, RenderTarget } from "#hub/render/target.ts";
import { BundleProblem, sealBundle } from "#proto/bundle.ts";
import { refKey, refOf, type KubeObject } from "#proto/object.ts";

type Task = { readonly id: number; readonly target: RenderTarget };

/** Parses, canonicalises, compresses and encrypts away from the thread that serves agents. */
function render(target: RenderTarget, contentSecret: Uint8Array): Rendered | RenderProblem {
  const { application, namespace, again } = target;
  try {
    const read = (files: RenderTarget["files"]): KubeObject[] => {
      const all = objectsOf(files, namespace);
      return target.isRelease ? withoutLeavingHooks(all) : all;
    };
    const objects = read(target.files);
    if (again !== undefined) refuseRandom(application, objects, read(again));
    if (objects.length === 0) return { ok: false, because: `${application}: its folder holds no manifest` };
    const sealed = sealBundle(objects, contentSecret);
    const keys = objects.map((object) => refKey(refOf(object)));
    const { digest, address, slices, contentKey } = sealed;
    return { ok: true, digest, address, slices, contentKey, objects: objects.length, keys };
  } catch (error) {
    if (error instanceof YamlProblem || error instanceof BundleProblem || error instanceof RenderRefused)
      return { ok: false, because: error.message };
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
