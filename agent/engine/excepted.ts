import { driftOf, type Explanation } from "#agent/drift/explain.ts";
import { leavingAlone } from "#agent/drift/yields.ts";
import { parseRefKey, type KubeObject } from "#proto/object.ts";
import type { Desired } from "./bundles.ts";
import type { Context } from "./context.ts";
import { exceptionFor } from "./exceptions.ts";
import { applyServed } from "./served.ts";
import type { Again, Case } from "./suspects.ts";
import { yielding } from "./yielding.ts";

/** Fields that an exception lets be, and how to apply all the rest. */
export type Excepted = {
  readonly desired: Desired;
  readonly explained: Explanation;
  readonly reason: string;
  /** When the first of them ends, also while nobody can be asked. */
  readonly againMs: Again;
};

/** Asks the server what an apply would change, and takes the excepted fields out of it. Undefined when there are none. */
export async function exceptedFields(context: Context, found: Case, seen: KubeObject): Promise<Excepted | undefined> {
  const { tracked, run } = found;
  const now = context.clock.now();
  const desired = yielding(context, tracked.key, found.desired, seen);
  const writer = context.writer(run.delivery);
  const answer = await applyServed(context, writer, desired.object, { force: true, dryRun: true });
  const explained = driftOf(answer, seen, context.salt);
  const ref = parseRefKey(tracked.key);
  const covered = (explained?.fields ?? []).flatMap((field) => {
    const exception = exceptionFor(run.delivery, ref, field.path, now);
    return exception === undefined ? [] : [{ field, exception }];
  });
  const [first] = covered;
  if (explained === undefined || first === undefined) return undefined;
  const paths = covered.map(({ field }) => field.path);
  const ends = covered.flatMap(({ exception: { untilMs } }) => (untilMs === null ? [] : [untilMs]));
  return {
    desired: {
      ...desired,
      object: leavingAlone(desired.object, seen, paths),
      yielded: [...(desired.yielded ?? []), ...paths],
    },
    explained: { ...explained, fields: covered.map(({ field }) => field) },
    reason: `exception: ${first.exception.reason}`,
    againMs: ends.length === 0 ? undefined : Math.max(1, Math.min(...ends) - now),
  };
}
