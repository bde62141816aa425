import type { Authority } from "#agent/authority/authority.ts";
import type { Writer } from "#agent/authority/writer.ts";
import type { DeletionBreaker } from "#agent/apply/breaker.ts";
import type { OwnershipPace } from "./ownership-pace.ts";
import type { ClusterReader, ObjectAddress } from "#agent/cluster/cluster.ts";
import type { Health } from "#agent/health/condition.ts";
import type { Journal, NewEvent } from "#agent/report/journal.ts";
import type { Owned, Head } from "#agent/state/head.ts";
import type { StateStore } from "#agent/state/store.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import type { Slots } from "#lib/slots.ts";
import type { Telemetry } from "#lib/telemetry.ts";
import type { ClusterId } from "#proto/ids.ts";
import type { ApplicationName } from "#proto/ids.ts";
import { parseRefKey, type KubeObject } from "#proto/object.ts";
import type { Autoscalers } from "./autoscalers.ts";
import type { Causes } from "./causes.ts";
import type { Suspicion } from "./judge.ts";
import type { VerdictsInTime } from "./verdicts-in-time.ts";
import { entryOf, type ApplicationState, type Model, type Tracked } from "./model.ts";

/** What every part of the engine works with. */
export type Context = {
  readonly cluster: ClusterReader;
  readonly clusterId: ClusterId;
  /** The agent's own: nothing is applied there. */
  readonly namespace: string;
  readonly authority: Authority;
  /** What is written for Applications goes through here, by the ServiceAccount of their delivery; `cluster` only reads. */
  writer(delivery: { readonly serviceAccount: string } | undefined): Writer;
  readonly model: Model;
  readonly store: StateStore;
  readonly journal: Journal;
  readonly breaker: DeletionBreaker;
  readonly ownershipPace: OwnershipPace;
  readonly clock: Clock;
  readonly log: Log;
  readonly telemetry: Telemetry;
  /** Keys the digests that stand for hidden values; of this agent alone. */
  readonly salt: string;
  /** The engine's life. */
  readonly signal: AbortSignal;
  /** Something about this Application may have changed: its status is looked at soon. */
  touched(application: ApplicationState): void;
  /** By the rules of the document in force. */
  healthOf(object: KubeObject): Health;
  /** An apply of this object has its answer and its baseline: events that were held are judged now. */
  released(tracked: Tracked): void;
  /** What was seen of this object since its heal began; whoever takes it heals it. */
  newerSuspicion(key: string): Suspicion | undefined;
  /** Looks at this object again, by name. */
  look(key: string): void;
  /** Saves this Application's head soon: something in it changed without an apply. */
  remember(application: ApplicationState): void;
  /** The server went back in time, and the agent's own Secrets with it: they are written anew. */
  memoryDoubted(): void;
  readonly autoscalers: Autoscalers;
  readonly causes: Causes;
  readonly verdictsInTime: VerdictsInTime;
  /** Reconciles this Application again soon. */
  again(application: ApplicationState): void;
  /** The same after so long, though nothing else calls for it. */
  againIn(application: ApplicationState, ms: number): void;
  /** Places for Applications that are being applied; whoever waits gives its own up meanwhile. */
  readonly slots: Slots;
  /** Watches this kind from now on. */
  watch(apiVersion: string, kind: string, isApplied?: boolean): Promise<void>;
  /** Resolves true when `holds` does, false after `limitMs`. Asked again whenever anything is touched. */
  until(holds: () => boolean, limitMs: number, signal: AbortSignal): Promise<boolean>;
};

/** Journals something that happened to an Application. */
export function record(context: Context, application: ApplicationState, body: NonNullable<NewEvent["body"]>): void {
  context.journal.record({
    atMs: BigInt(context.clock.now()),
    application: application.name,
    environment: application.head?.environment ?? "",
    traceparent: application.traceparent,
    body,
  });
}

/** Says that part of the agent's own memory was lost, to whoever reads the log and to the hub. `application`: empty when it is of none. */
export function tellLoss(
  { clock, journal, log }: Pick<Context, "clock" | "journal" | "log">,
  application: ApplicationName | "",
  text: string,
): void {
  log.error({ application, problem: text }, "something is wrong with the agent's memory");
  const atMs = BigInt(clock.now());
  const value = { text: `the agent's memory: ${text}` };
  journal.record({ atMs, application, environment: "", traceparent: "", body: { $case: "notice", value } });
}

/** Through which an Application is written, by the newest document that says how; what is held or removed, as it ran. */
export function writerOf(context: Context, application: ApplicationState): Writer {
  const newest = entryOf(context.model, application.name);
  return context.writer(newest?.kind === "run" ? newest.delivery : application.head?.run?.delivery);
}

/** Saves a head, with the newest document when no Secret holds it yet; after the slices to which it points. */
export async function saveHead(
  context: Context,
  application: ApplicationState,
  head: Head,
  slices?: Promise<void>,
): Promise<void> {
  const { unsaved: envelope, document } = context.model;
  const dated = document === undefined ? head : { ...head, highWater: document.highWater };
  await context.store.saveHead(dated, envelope, context.signal, slices);
  application.head = dated;
  if (context.model.unsaved === envelope) context.model.unsaved = undefined;
}

export const addressOfKey = (key: string, { apiVersion }: Pick<Owned, "apiVersion">): ObjectAddress => ({
  ...parseRefKey(key),
  apiVersion,
});
