import { nameOf, type Seen, type Shape } from "#hub/loop/kept-renderings.ts";

/** Reasons kept: each is a sentence or two. The oldest is found out again. */
const keptReasons = 5_000;
/** What a rendering looked at before it failed differs from failure to failure. */
const keptShapes = 8;

/**
 * Why folders could not be rendered, by what was looked at until then: the same files under the same settings fail in the
 * same way, whatever else a commit changes. Only for failures that are the files' own.
 */
export type KeptFailures = {
  shapes(settings: string): readonly Shape[];
  find(settings: string, seen: Seen): string | undefined;
  keep(settings: string, shape: Shape, seen: Seen, because: string): void;
};

export function keepFailures(): KeptFailures {
  const known = new Map<string, readonly Shape[]>();
  const reasons = new Map<string, string>();
  const shapes = (settings: string): readonly Shape[] => known.get(settings) ?? [];
  return {
    shapes,
    find(settings, seen) {
      for (const shape of shapes(settings)) {
        const name = nameOf(settings, shape, seen);
        const because = name === undefined ? undefined : reasons.get(name);
        if (because !== undefined) return because;
      }
      return undefined;
    },
    keep(settings, shape, seen, because) {
      const name = nameOf(settings, shape, seen);
      if (name === undefined) return;
      remember(reasons, name, because);
      const text = JSON.stringify(shape);
      const others = shapes(settings).filter((other) => JSON.stringify(other) !== text);
      remember(known, settings, [shape, ...others].slice(0, keptShapes));
    },
  };
}

function remember<Value>(kept: Map<string, Value>, key: string, value: Value): void {
  kept.delete(key);
  kept.set(key, value);
  if (kept.size > keptReasons) kept.delete(kept.keys().next().value!);
}
