import {
  FAILSAFE_SCHEMA,
  NOT_RESOLVED,
  Schema,
  boolYaml11Tag,
  floatCoreTag,
  floatYaml11Tag,
  intYaml11Tag,
  mergeTag,
  nullYaml11Tag,
} from "js-yaml";

// YAML as kubectl reads it (sigs.k8s.io/yaml): 1.1's scalars, so that `0644` is 420 and `yes` is true, with 1.2's `0o17`
// added, without base-60 numbers and dates (`12:30` and `2001-01-01` stay strings), and integers exact beyond 2^53.

const int: typeof intYaml11Tag = {
  ...intYaml11Tag,
  resolve(source) {
    const exact = integerOf(source.replaceAll("_", ""));
    if (exact === undefined) return NOT_RESOLVED;
    const value = Number(exact);
    if (Number.isSafeInteger(value)) return value;
    // Beyond int64 it is a float for every decoder of Kubernetes.
    if (BigInt.asIntN(64, exact) !== exact) return Number.isFinite(value) ? value : NOT_RESOLVED;
    return exact as unknown as number;
  },
};

/** Go's strconv.ParseInt with base 0, which reads prefixes in both cases. */
function integerOf(text: string): bigint | undefined {
  const found = /^([-+]?)(?:0([bBoOxX])([0-9a-fA-F]+)|(0[0-7]+)|(0|[1-9]\d*))$/.exec(text);
  if (found === null) return undefined;
  const [, sign, base, digits, octal, decimal] = found;
  const kind = base?.toLowerCase() ?? "";
  if ((kind === "b" && !/^[01]+$/.test(digits!)) || (kind === "o" && !/^[0-7]+$/.test(digits!))) return undefined;
  const value = BigInt(decimal ?? (octal === undefined ? `0${kind}${digits}` : `0o${octal}`));
  return sign === "-" ? -value : value;
}

const float: typeof floatYaml11Tag = {
  ...floatYaml11Tag,
  resolve(source, isExplicit, tagName) {
    if (source.includes(":")) return NOT_RESOLVED;
    const old = floatYaml11Tag.resolve(source, isExplicit, tagName);
    const value = old === NOT_RESOLVED ? floatCoreTag.resolve(source, isExplicit, tagName) : old;
    if (value === NOT_RESOLVED || Number.isFinite(value)) return value;
    // The reader refuses what is no number of JSON, and names its field.
    return /inf|nan/i.test(source) ? value : NOT_RESOLVED;
  },
};

export const kubeSchema = new Schema([...FAILSAFE_SCHEMA.tags, nullYaml11Tag, boolYaml11Tag, int, float, mergeTag]);
