/**
 * Those of a list that have a key, in its order. A decision asks for every Application on every cluster: a list is read
 * once, and not once for each question.
 */
export function grouped<Value>(keyOf: (value: Value) => string): (list: readonly Value[], key: string) => Value[] {
  const known = new WeakMap<readonly Value[], ReadonlyMap<string, Value[]>>();
  return (list, key) => {
    const groups = known.get(list) ?? Map.groupBy(list, keyOf);
    known.set(list, groups);
    return groups.get(key) ?? [];
  };
}
