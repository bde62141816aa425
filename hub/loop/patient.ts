import type { Target } from "#hub/decide/inputs.ts";
import type { Renders } from "#hub/loop/renders.ts";
import type { Clock } from "#lib/clock.ts";

/** A large chart takes a second. What takes longer is not waited for: the others' revisions are published meanwhile. */
const patienceMs = 2_000;

export type PatientOptions = {
  readonly clock: Clock;
  /** Something that was not waited for came out, or failed in a way that is no outcome. */
  readonly late: (error?: unknown) => void;
  readonly patienceMs?: number;
};

/** Renderings of which none holds up a round for longer than a moment: a slow one goes on, and is told when it is done. */
export function patient(renders: Renders, options: PatientOptions): Renders {
  const { clock, late } = options;
  const running = new Set<string>();

  const start = (targets: readonly Target[]): Promise<void> => {
    const keys = targets.map(keyOf);
    for (const key of keys) running.add(key);
    return renders.render(targets).finally(() => {
      for (const key of keys) running.delete(key);
    });
  };

  return {
    ...renders,
    async render(targets) {
      const fresh = targets.filter((target) => !running.has(keyOf(target)));
      if (fresh.length === 0) return;
      const work = start(fresh);
      const waited = new AbortController();
      const patience = clock.sleep(options.patienceMs ?? patienceMs, { signal: waited.signal });
      const isDone = await Promise.race([work.then(() => true), patience.then(() => false)]).finally(() => {
        patience.catch(() => undefined);
        waited.abort();
      });
      if (isDone) return;
      work.then(
        () => late(),
        (error: unknown) => late(error),
      );
    },
  };
}

const keyOf = ({ environment, application, revision, cluster }: Target): string =>
  [environment, application, revision, cluster].join("/");
