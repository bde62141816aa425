import type { Source } from "#hub/loop/sources.ts";
import type { Clock } from "#lib/clock.ts";
import type { Revision } from "#proto/ids.ts";

/** A person waits for the answer: a server that takes longer has not shown the commit. */
export const lookLimitMs = 10_000;

/**
 * The commit that a person names. They may have pushed it a moment ago, before any webhook or look by the clock: one that
 * is not known is looked for at its repository, once.
 */
export async function findRevision(
  { mirror, following }: Pick<Source, "mirror" | "following">,
  named: string,
  clock: Clock,
): Promise<Revision | undefined> {
  const known = await mirror.resolve(named);
  if (known !== undefined) return known;
  const looked = new AbortController();
  const limit = clock.sleep(lookLimitMs, { signal: looked.signal }).catch(() => undefined);
  await Promise.race([following.look(), limit]);
  looked.abort();
  return mirror.resolve(named);
}
