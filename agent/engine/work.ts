import type { Stage } from "#agent/apply/order.ts";
import type { Desired } from "./bundles.ts";
import type { NewKinds } from "./new-kinds.ts";

/** One reconcile's work. `fresh`: namespaces that it made itself, where nothing of others can be yet. */
export type Work = {
  readonly desired: ReadonlyMap<string, Desired>;
  readonly todo: ReadonlySet<string>;
  readonly fresh: Set<string>;
  /** Objects that were seen not to be there, and when (monotonic milliseconds), until they are first sent. */
  readonly absent: Map<string, number>;
  /** The stage for which `absent` was asked last. */
  lookedFor?: Stage;
  readonly kinds: NewKinds;
  /** It takes longer than the Application's timeout: told as failed. May be called again and again. */
  readonly late: () => Promise<void>;
};
