import { RenderRefused } from "#hub/render/render-problem.ts";
import { canonicalJson } from "#proto/json.ts";
import { describeRef, refKey, refOf, type KubeObject } from "#proto/object.ts";

const leaving = new Set(["pre-delete", "post-delete", "pre-rollback", "post-rollback"]);

/** A hook that Helm runs only when a release is deleted or rolled back must never be created with it. */
export function withoutLeavingHooks(objects: readonly KubeObject[]): KubeObject[] {
  return objects.filter((object) => {
    const phases = object.metadata.annotations?.["helm.sh/hook"];
    return typeof phases !== "string" || !phases.split(",").every((phase) => leaving.has(phase.trim()));
  });
}

/** Rendering is a function of Git alone, or a rebuilt hub would write to every cluster. Throws RenderRefused. */
export function refuseRandom(application: string, objects: readonly KubeObject[], again: readonly KubeObject[]): void {
  const texts = (all: readonly KubeObject[]): Map<string, string> =>
    new Map(all.map((object) => [refKey(refOf(object)), canonicalJson(object)]));
  const [first, second] = [texts(objects), texts(again)];
  const differing = [...objects, ...again.filter((object) => !first.has(refKey(refOf(object))))].filter(
    (object) => first.get(refKey(refOf(object))) !== second.get(refKey(refOf(object))),
  );
  if (differing.length === 0) return;
  const named = differing.map((object) => describeRef(refOf(object))).join(", ");
  const line = differing.map(({ kind, metadata: { name } }) => `{kind: ${kind}, name: ${name}}`).join(", ");
  throw new RenderRefused(
    `${application}: two renderings of the same chart and values differ in ${named}: give their content in values, or write under spec.source.helm: once: [${line}]`,
  );
}
