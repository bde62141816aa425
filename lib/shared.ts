/** A value that several may use at once, and that ends with its last user. */
export type Shared<Value> = AsyncDisposable & { readonly value: Value };

/** Makes one value a key for as long as anybody uses it; when the making fails, it fails for all who waited for it. */
export function shareByKey<Value extends AsyncDisposable>(): (
  key: string,
  make: () => Promise<Value>,
) => Promise<Shared<Value>> {
  const used = new Map<string, { readonly made: Promise<Value>; users: number }>();
  return async (key, make) => {
    const entry = used.get(key) ?? { made: make(), users: 0 };
    used.set(key, entry);
    entry.users += 1;
    const leave = async (): Promise<void> => {
      entry.users -= 1;
      if (entry.users > 0) return;
      used.delete(key);
      await entry.made.then((value) => value[Symbol.asyncDispose]());
    };
    try {
      return { value: await entry.made, [Symbol.asyncDispose]: leave };
    } catch (error) {
      entry.users -= 1;
      used.delete(key);
      throw error;
    }
  };
}
