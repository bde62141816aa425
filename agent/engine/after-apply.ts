import type { Context } from "./context.ts";
import { disown, ownersOf, type ApplicationState } from "./model.ts";
import { mayOwnAgain } from "./yielding.ts";

/** Another policy may heal what the last one only told, own what it let go, or take away what it left to others. */
export function lookAgain(context: Context, application: ApplicationState): void {
  const isStrict = application.head!.run?.delivery.strict === true;
  for (const [key, { yielded }] of application.head!.inventory) {
    const tracked = context.model.tracked.get(key);
    const isStripped = isStrict && (tracked?.foreign ?? "") !== "";
    if (tracked === undefined || (tracked.episode === undefined && yielded === undefined && !isStripped)) continue;
    tracked.looked = "";
    context.look(key);
  }
}

/** What this Application wants and has applied is its own alone, also when it was that of one that is held now. */
export function takeFromOthers(context: Context, application: ApplicationState): void {
  const { model } = context;
  for (const key of application.bundle!.keys) {
    const owned = application.head!.inventory.get(key);
    if (owned === undefined || owned.baseline === null) continue;
    for (const other of ownersOf(model, key)) {
      if (other === application) continue;
      disown(model, other.name, key);
      context.remember(other);
      context.look(key);
    }
  }
}

/**
 * Unjudged: what was seen to differ before there was a bundle to say from what. Refused: what could not be healed with the
 * bundle before this one.
 */
export function lookAtMarked(
  context: Context,
  application: ApplicationState,
  ...marks: readonly ("isUnjudged" | "isRefused")[]
): void {
  for (const key of application.head!.inventory.keys()) {
    const tracked = context.model.tracked.get(key);
    if (tracked === undefined || !marks.some((mark) => tracked[mark])) continue;
    for (const mark of marks) tracked[mark] = false;
    context.look(key);
  }
}

/** What was let go for a reason that may be over, also while the agent was down. */
export function lookAtYielded(context: Context, application: ApplicationState): void {
  for (const [key, owned] of application.head?.inventory ?? []) {
    const desired = owned.yielded === undefined ? undefined : application.bundle?.desired().get(key);
    if (desired !== undefined && mayOwnAgain(context, key, owned, desired.object)) context.look(key);
  }
}
