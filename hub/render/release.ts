import { RenderRefused } from "#hub/render/render-problem.ts";
import { hookOf, isOnce, onceAnnotation } from "#proto/hooks.ts";
import { canonicalJson } from "#proto/json.ts";
import { describeRef, refKey, refOf, type KubeObject } from "#proto/object.ts";

/** Marks what spec.source.helm.once names, so that it stays outside the digest and no agent ever updates it. */
export function markOnce(
  objects: readonly KubeObject[],
  once: readonly { readonly kind: string; readonly name: string }[],
): KubeObject[] {
  const isNamed = (object: KubeObject): boolean =>
    once.some(({ kind, name }) => kind === object.kind && name === object.metadata.name);
  return objects.map((object) => {
    if (!isNamed(object)) return object;
    const annotations = { ...object.metadata.annotations, [onceAnnotation]: "once" };
    return { ...object, metadata: { ...object.metadata, annotations } };
  });
}

/** Hooks that no agent would ever run are no part of a bundle. Throws RenderRefused for one that says what nobody knows. */
export function withoutIdleHooks(objects: readonly KubeObject[]): KubeObject[] {
  return objects.filter((object) => {
    const hook = hookOf(object);
    const [unknown] = hook?.unknown ?? [];
    if (unknown !== undefined)
      throw new RenderRefused(`${describeRef(refOf(object))}: its hook annotations say ${unknown}, which is no hook`);
    return hook === undefined || hook.phases.length > 0;
  });
}

/** Rendering is a function of Git alone, or a rebuilt hub would write to every cluster. Throws RenderRefused. */
export function refuseRandom(application: string, objects: readonly KubeObject[], again: readonly KubeObject[]): void {
  // Of what is created once, only that it is there must be the same.
  const texts = (all: readonly KubeObject[]): Map<string, string> =>
    new Map(all.map((object) => [refKey(refOf(object)), isOnce(object) ? "once" : canonicalJson(object)]));
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
