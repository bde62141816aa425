import { KeyedWorker } from "#lib/keyed-worker.ts";
import { reasonOf } from "#lib/log.ts";
import { backoffMs } from "#lib/retry.ts";
import type { Context } from "./context.ts";
import { heal } from "./heal.ts";
import type { Suspicion } from "./judge.ts";

/** Heals in flight. */
const healsAtOnce = 8;
const retries = { firstMs: 1_000, capMs: 60_000 };

/** Looks into suspicions, one of an object at a time, and again for as long as one is not settled. */
export type Healers = {
  /** The newest suspicion of an object replaces those that wait. */
  suspect(key: string, suspicion: Suspicion): void;
  /** Looks at an object by its name, unless something is suspected of it already. */
  look(key: string): void;
  /** What waits of an object that is being healed: whoever takes it heals it. */
  takeNewer(key: string): Suspicion | undefined;
  readonly isIdle: boolean;
  idle(): Promise<void>;
  close(): Promise<void>;
};

export function createHealers(context: Context): Healers {
  const { clock, log, signal } = context;
  const suspicions = new Map<string, Suspicion>();
  const failures = new Map<string, number>();

  const worker = new KeyedWorker<string>(async (key) => {
    const suspicion = suspicions.get(key);
    suspicions.delete(key);
    if (suspicion === undefined || signal.aborted) return;
    const again = await healOrWait(key, suspicion);
    if (again === undefined) return;
    clock.sleep(again, { signal }).then(
      () => look(key),
      () => undefined,
    );
  }, healsAtOnce);

  const healOrWait = async (key: string, suspicion: Suspicion): Promise<number | undefined> => {
    try {
      const again = await heal(context, key, suspicion);
      failures.delete(key);
      return again;
    } catch (error) {
      if (signal.aborted) return undefined;
      log.warn({ object: key, because: reasonOf(error) }, "heal failed; it is tried again");
      const attempt = (failures.get(key) ?? 0) + 1;
      failures.set(key, attempt);
      return backoffMs(retries, attempt);
    }
  };
  const suspect = (key: string, suspicion: Suspicion): void => {
    suspicions.set(key, suspicion);
    worker.add(key);
  };
  const look = (key: string): void => {
    if (!suspicions.has(key)) suspect(key, { kind: "missing" });
  };
  return {
    suspect,
    look,
    takeNewer(key) {
      const newer = suspicions.get(key);
      suspicions.delete(key);
      return newer;
    },
    get isIdle() {
      return worker.isIdle;
    },
    idle: () => worker.idle(),
    close: () => worker.close(),
  };
}
