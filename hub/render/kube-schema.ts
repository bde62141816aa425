import {
  FAILSAFE_SCHEMA,
  NOT_RESOLVED,
  Schema,
  boolYaml11Tag,
  floatCoreTag,
  floatYaml11Tag,
  intCoreTag,
  intYaml11Tag,
  mergeTag,
  nullYaml11Tag,
} from "js-yaml";

// YAML as kubectl reads it (sigs.k8s.io/yaml): 1.1's scalars, so that `0644` is 420 and `yes` is true, with 1.2's `0o17`
// added, without base-60 numbers and dates (`12:30` and `2001-01-01` stay strings), and integers exact beyond 2^53.

const int: typeof intYaml11Tag = {
  ...intYaml11Tag,
  resolve(source, isExplicit, tagName) {
    if (source.includes(":")) return NOT_RESOLVED;
    const old = intYaml11Tag.resolve(source, isExplicit, tagName);
    const value: unknown = old === NOT_RESOLVED ? intCoreTag.resolve(source, isExplicit, tagName) : old;
    if (value === NOT_RESOLVED || Number.isSafeInteger(value)) return value as number;
    const digits = source.replaceAll("_", "").replace(/^\+/, "");
    return (/^-?\d+$/.test(digits) ? BigInt(digits) : value) as number;
  },
};

const float: typeof floatYaml11Tag = {
  ...floatYaml11Tag,
  resolve(source, isExplicit, tagName) {
    if (source.includes(":")) return NOT_RESOLVED;
    const old = floatYaml11Tag.resolve(source, isExplicit, tagName);
    const value: unknown = old === NOT_RESOLVED ? floatCoreTag.resolve(source, isExplicit, tagName) : old;
    if (value === NOT_RESOLVED || Number.isFinite(value)) return value as number;
    if (/inf|nan/i.test(source)) throw new Error(`${source} is not a JSON number`);
    return NOT_RESOLVED;
  },
};

export const kubeSchema = new Schema([...FAILSAFE_SCHEMA.tags, nullYaml11Tag, boolYaml11Tag, int, float, mergeTag]);
