import { remember } from "#lib/remember.ts";

/**
 * Does something once in full, to see that it holds, and from then on the quick way; what comes while it is being shown
 * waits for what it shows. What did not hold is shown anew.
 */
export function firstProof<Result>(
  holds: (result: Result) => boolean,
  most: number,
): (name: string, work: (isFirst: boolean) => Promise<Result>) => Promise<Result> {
  const proofs = new Map<string, Promise<boolean>>();
  return async (name, work) => {
    const shown = proofs.get(name);
    if (shown !== undefined && (await shown)) return await work(false);
    const result = work(true);
    remember(
      proofs,
      name,
      result.then(holds, () => false),
      most,
    );
    return await result;
  };
}
