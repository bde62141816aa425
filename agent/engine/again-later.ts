import type { Clock } from "#lib/clock.ts";
import type { ApplicationName } from "#proto/ids.ts";

/** Calls again for an Application after so long. One call is pending an Application: the newest replaces the one before. */
export function createAgainLater(
  clock: Clock,
  life: AbortSignal,
  again: (name: ApplicationName) => void,
): (name: ApplicationName, ms: number) => void {
  const pending = new Map<ApplicationName, AbortController>();
  return (name, ms) => {
    pending.get(name)?.abort(new Error("it is called at another time"));
    const call = new AbortController();
    pending.set(name, call);
    clock.sleep(ms, { signal: AbortSignal.any([life, call.signal]) }).then(
      () => {
        pending.delete(name);
        again(name);
      },
      () => undefined,
    );
  };
}
