import type { Candidate } from "#agent/apply/prune.ts";
import { parseRefKey, type ObjectRef } from "#proto/object.ts";
import { record, type Context } from "./context.ts";
import { goOnWithRoom } from "./deletion-room.ts";
import { disown, type ApplicationState } from "./model.ts";

/** What came of a prune. `stopped`: why some of it stays for now. */
export type Outcome = {
  readonly deleted: readonly ObjectRef[];
  readonly orphaned: readonly ObjectRef[];
  readonly stopped: string | undefined;
};

/** What moved is judged for its new owner from here on. */
export function release(context: Context, application: ApplicationState, key: string): void {
  if (disown(context.model, application.name, key)) context.look(key);
}

export function letGo(candidates: readonly Candidate[]): Outcome {
  return { deleted: [], orphaned: candidates.map(({ key }) => parseRefKey(key)), stopped: undefined };
}

export function tell(context: Context, application: ApplicationState, { deleted, orphaned }: Outcome): void {
  if (deleted.length + orphaned.length === 0) return;
  const value = { deleted: [...deleted], orphaned: [...orphaned], blocked: "", planHash: "", plan: [] };
  record(context, application, { $case: "pruned", value });
  context.log.info({ application: application.name, deleted: deleted.length, orphaned: orphaned.length }, "pruned");
}

export const goesOnLater = (context: Context, application: ApplicationState, stopped: string): string =>
  `${stopped}; it goes on at ${goOnWithRoom(context, application)}`;
