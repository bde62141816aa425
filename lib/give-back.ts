import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Clock } from "#lib/clock.ts";

type Collect = (options: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;

/** Gives memory that is free back to the system: V8 keeps what a burst of work needed for as long as it is not pressed. */
export function giveBackMemory(): void {
  // The one way to V8's collector from inside; `last-resort` is its own name for collecting all it can.
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as Collect)({ type: "major", execution: "sync", flavor: "last-resort" });
}

/** Calls `work` once when `busy` was called, and then not again for `restMs`. */
export function afterBusyTime(
  work: () => void,
  restMs: number,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): { busy(): void } {
  let lastBusy = 0;
  let waiting = false;
  const wait = async (): Promise<void> => {
    for (let left = restMs; left > 0; left = lastBusy + restMs - clock.monotonic()) await clock.sleep(left, { signal });
    waiting = false;
    work();
  };
  return {
    busy() {
      lastBusy = clock.monotonic();
      if (waiting) return;
      waiting = true;
      wait().catch(() => undefined);
    },
  };
}
