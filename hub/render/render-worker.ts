import { findInIndex } from "#hub/charts/chart-index.ts";
import { perTemplate } from "#hub/render/helm-output.ts";
import { createMemo } from "#hub/render/memo.ts";
import { objectsOf } from "#hub/render/objects.ts";
import { fillParameters } from "#hub/render/parameters.ts";
import { YamlProblem } from "#hub/render/kube-yaml.ts";
import { markOnce, refuseRandom, withoutIdleHooks } from "#hub/render/release.ts";
import { refusePointers } from "#hub/render/pointers.ts";
import type { Task } from "#hub/render/renderer.ts";
import { RenderRefused } from "#hub/render/render-problem.ts";
import { doubtsInSource } from "#hub/render/source-doubts.ts";
import { selected } from "#hub/render/selection.ts";
import type { Rendered, RenderProblem, RenderTarget } from "#hub/render/target.ts";
import { frameReader } from "#lib/framed.ts";
import { BundleProblem, sealBundle } from "#proto/bundle.ts";
import { refKey, refOf, type KubeObject } from "#proto/object.ts";

type Asked = { readonly id: number; readonly task: Task };

/** Of one bundle: the first ones, and how many more there are. */
const keptWarnings = 20;

const memo = createMemo();

/** Parses, canonicalises, compresses and encrypts away from the thread that serves agents. */
function render(target: RenderTarget, contentSecret: Uint8Array): Rendered | RenderProblem {
  const { application, namespace, again, clusterScoped = [] } = target;
  try {
    const doubts: string[] = [];
    const read = (files: RenderTarget["files"], noted: string[] = []): KubeObject[] => {
      const whole = target.isRelease ? files.flatMap(perTemplate) : files;
      const noting: typeof memo.read = (file) => {
        const placed = memo.read(file);
        noted.push(...placed.flatMap(({ doubts }) => doubts));
        return placed;
      };
      const all = objectsOf(whole, namespace, {
        clusterScoped,
        read: noting,
        // Whoever uses a chart cannot mend it.
        ...(target.isRelease ? {} : { doubt: (sentence) => noted.push(sentence) }),
      });
      return withoutIdleHooks(markOnce(all, target.once ?? []));
    };
    const { files, used } = prepared(target);
    const objects = read(files, doubts);
    if (again !== undefined) refuseRandom(application, objects, read(again));
    if (objects.length === 0) return { ok: false, because: `${application}: ${nothingIn(target)}` };
    const sealed = sealBundle(objects, contentSecret, memo.bytesOf);
    const keys = objects.map((object) => refKey(refOf(object)));
    const { digest, address, slices, contentKey } = sealed;
    return {
      ok: true,
      digest,
      address,
      slices,
      contentKey,
      objects: objects.length,
      keys,
      parameters: used,
      warnings: firstOf(target.sources?.flatMap(doubtsInSource) ?? doubts),
    };
  } catch (error) {
    if (error instanceof YamlProblem || error instanceof BundleProblem || error instanceof RenderRefused)
      return { ok: false, because: error.message };
    throw error;
  }
}

function firstOf(doubts: readonly string[]): string[] {
  const more = doubts.length - keptWarnings;
  return more > 0 ? [...doubts.slice(0, keptWarnings), `and ${more} more of the kind`] : [...doubts];
}

function prepared({ files, select, parameters }: RenderTarget): { files: RenderTarget["files"]; used: string[] } {
  const chosen = select === undefined ? files : refusePointers(selected(files, select));
  return parameters === undefined ? { files: chosen, used: [] } : fillParameters(chosen, parameters);
}

function nothingIn({ select, files }: RenderTarget): string {
  if (select === undefined) return "its folder holds no manifest";
  if (files.length === 0)
    return `its folder holds no manifest: there is none under ${select.folder || "."} in this commit`;
  return selected(files, select).length === 0
    ? "spec.source.include and exclude leave no file of its folder"
    : "its folder holds no manifest";
}

let contentSecret: Uint8Array | undefined;
const hear = frameReader((message) => {
  const asked = message as Asked | { contentSecret: Uint8Array };
  if ("contentSecret" in asked) {
    ({ contentSecret } = asked);
    return;
  }
  const { id, task } = asked;
  try {
    const outcome = "target" in task ? render(task.target, contentSecret!) : findInIndex(task.query);
    process.send!({ id, outcome });
  } catch (error) {
    const because = `${task.name}: could not be read (${error instanceof Error ? error.name : "error"})`;
    process.send!({ id, outcome: { ok: false, because, isPassing: true } });
  }
});
process.stdin.on("data", hear);
// Whoever asked is gone, however it ended.
process.on("disconnect", () => process.exit());
