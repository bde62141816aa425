import { isHeard, staleMs } from "#hub/view/query.ts";
import type { View } from "#hub/view/view.ts";
import type { ClusterId } from "#proto/ids.ts";

/**
 * Clusters whose word a gate waits for. A hub that has just started hears its agents one after the other: for as long as a
 * word of theirs would be fresh, one that was not heard yet may be about to say that it is not well, and a gate does not
 * open because the first to come is. Whoever came, and is gone, is not heard.
 */
export function heardClusters(
  view: Pick<View, "clusters">,
  joined: Iterable<ClusterId>,
  nowMs: number,
  sinceStartMs: number,
): Set<ClusterId> {
  const mayCome = sinceStartMs < staleMs;
  return new Set(
    [...joined].filter((cluster) => {
      const seen = view.clusters.get(cluster);
      return isHeard(seen, nowMs) || (mayCome && seen?.heardAtMs === undefined);
    }),
  );
}
