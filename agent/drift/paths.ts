import { parseJson } from "#proto/json.ts";
import type { Json, JsonObject, KubeObject } from "#proto/object.ts";

/** One step of a path as drift is reported: a field, the list item with these keys, a member of a set, an index. */
type Step =
  | { readonly field: string }
  | { readonly keys: readonly (readonly [name: string, text: string])[] }
  | { readonly member: Json }
  | { readonly index: number };

export const isWithin = (path: string, root: string): boolean =>
  path === root || (path.startsWith(root) && [".", "["].includes(path.charAt(root.length)));

/** The value there; undefined when there is none, or the path is no path. */
export function valueAt(object: KubeObject, path: string): Json | undefined {
  let value = object as Json | undefined;
  for (const step of stepsOf(path) ?? []) value = childOf(value, step);
  return value;
}

/** A copy with another value there; undefined removes it, and leaves what is around it. A parent that is not there is made only of fields. */
export function withValue(object: KubeObject, path: string, value: Json | undefined): KubeObject {
  const steps = stepsOf(path);
  if (steps === undefined) return object;
  const copy = structuredClone(object);
  let parent = copy as Json | undefined;
  for (const step of steps.slice(0, -1)) {
    if (childOf(parent, step) === undefined && "field" in step && isObject(parent) && value !== undefined)
      parent[step.field] = {};
    parent = childOf(parent, step);
  }
  put(parent, steps.at(-1)!, value);
  return copy;
}

function put(parent: Json | undefined, step: Step, value: Json | undefined): void {
  if ("field" in step) {
    if (!isObject(parent)) return;
    if (value === undefined) delete parent[step.field];
    else parent[step.field] = value;
    return;
  }
  if (!Array.isArray(parent)) return;
  const at = parent.findIndex((item) => isItem(item, step, parent));
  if (value === undefined && at >= 0) parent.splice(at, 1);
  else if (value !== undefined && "member" in step && at < 0) parent.push(step.member);
  else if (value !== undefined && !("member" in step)) parent.splice(at < 0 ? parent.length : at, 1, value);
}

function childOf(value: Json | undefined, step: Step): Json | undefined {
  if ("field" in step) return isObject(value) && Object.hasOwn(value, step.field) ? value[step.field] : undefined;
  return Array.isArray(value) ? value.find((item) => isItem(item, step, value)) : undefined;
}

function isItem(item: Json, step: Exclude<Step, { field: string }>, list: readonly Json[]): boolean {
  if ("member" in step) return item === step.member;
  if ("index" in step) return list[step.index] === item;
  return isObject(item) && step.keys.every(([name, text]) => String(item[name] as string | number) === text);
}

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

// The first alternative is a quoted field, which may hold any character; keys of lists never hold "]".
const part = /\.?([A-Za-z_$][\w$-]*)|\[("(?:[^"\\]|\\.)*")\]|\[=([^\]]*)\]|\[(\d+)\]|\[([^\]]+)\]/y;

function stepsOf(path: string): Step[] | undefined {
  const steps: Step[] = [];
  part.lastIndex = 0;
  while (part.lastIndex < path.length) {
    const found = part.exec(path);
    if (found === null) return undefined;
    const [, name, quoted, member, index, keys] = found;
    if (name !== undefined) steps.push({ field: name });
    else if (quoted !== undefined) steps.push({ field: parseJson(quoted) as string });
    else if (member !== undefined) steps.push({ member: parseJson(member) });
    else if (index !== undefined) steps.push({ index: Number(index) });
    else
      steps.push({
        keys: keys!.split(",").map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]),
      });
  }
  return steps.length === 0 ? undefined : steps;
}
