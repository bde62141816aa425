import { planPrune, type PruneBlocked } from "#agent/apply/prune.ts";
import type { RunEntry } from "#proto/desired-state.ts";
import { parseRefKey } from "#proto/object.ts";
import type { Bundle } from "./bundles.ts";
import { record, type Context } from "./context.ts";
import { deleteAll } from "./delete-owned.ts";
import { elsewhere, unknownBundle } from "./elsewhere.ts";
import { disown, type ApplicationState } from "./model.ts";
import { goesOnLater, letGo, release, tell } from "./prune-outcome.ts";
import { sayingWhat } from "./wave-waits.ts";

/**
 * Deletes what the inventory holds beyond the newest bundle. Gives a sentence when something was left for a reason that
 * a person must know.
 */
export async function pruneSurplus(
  context: Context,
  application: ApplicationState,
  bundle: Bundle,
  entry: RunEntry,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { inventory } = application.head!;
  // What became a hook stays as it is.
  for (const key of bundle.hookKeys) if (inventory.has(key)) disown(context.model, application.name, key);
  const wanted = bundle.keys;
  application.prunePlan = "";
  if (![...inventory.keys()].some((key) => !wanted.has(key))) return undefined;
  const { prune } = entry.delivery;
  if (!prune.enabled) return "pruning is off: what was removed in Git stays";
  const unknown = unknownBundle(context.model, application);
  if (unknown !== undefined)
    return `nothing is pruned: the bundle of ${unknown} is not known, and may hold what was removed here`;
  const plan = planPrune({
    inventory,
    wanted,
    ...elsewhere(context.model, application),
    budget: { percent: prune.budgetPercent, allowPrune: entry.delivery.allowPrune },
  });
  for (const key of plan.moved) release(context, application, key);
  if (plan.kind === "blocked") return tellBlocked(context, application, plan);
  for (const { key } of plan.letGo) release(context, application, key);
  if (plan.candidates.length === 0) {
    tell(context, application, letGo(plan.letGo));
    return undefined;
  }
  const isHealthy = await sayingWhat(context, application, "its prune", wanted, entry.delivery.timeoutMs, signal);
  const outcome = await deleteAll(context, application, plan.candidates, prune.protected, signal);
  tell(context, application, { ...outcome, orphaned: [...outcome.orphaned, ...letGo(plan.letGo).orphaned] });
  application.counts.pruned = outcome.deleted.length;
  if (outcome.stopped !== undefined) return goesOnLater(context, application, outcome.stopped);
  return isHealthy ? undefined : `pruned although not everything was healthy within ${entry.delivery.timeoutMs} ms`;
}

/** Over budget: nothing is pruned, and the plan that a person may allow is shown. */
function tellBlocked(
  context: Context,
  application: ApplicationState,
  { because, planHash, keys }: PruneBlocked,
): string {
  const value = { deleted: [], orphaned: [], blocked: because, planHash, plan: keys.map(parseRefKey) };
  record(context, application, { $case: "pruned", value });
  application.prunePlan = planHash;
  return because;
}
