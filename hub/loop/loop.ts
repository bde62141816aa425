import { decide } from "#hub/decide/decide.ts";
import { keyOf, type Decision, type Inputs, type Waiting } from "#hub/decide/inputs.ts";
import { declaredInputs, deliveryOf } from "#hub/fleet/decide-inputs.ts";
import { healthRulesOf } from "#hub/fleet/health-rules.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import type { DesiredStates, Draft } from "#hub/loop/desired.ts";
import type { Evidence } from "#hub/loop/evidence.ts";
import { createFleetHead, type FleetHeadParts, type FleetState } from "#hub/loop/fleet-head.ts";
import type { Publisher } from "#hub/loop/publisher.ts";
import type { RecordStore } from "#hub/loop/records.ts";
import type { Receipts } from "#hub/loop/receipts.ts";
import type { Renders } from "#hub/loop/renders.ts";
import type { Source } from "#hub/loop/sources.ts";
import type { Traces } from "#hub/loop/traces.ts";
import type { TrustStore } from "#hub/trust/trust.ts";
import type { Clock } from "#lib/clock.ts";
import { reasonOf } from "#lib/log.ts";
import { backoffMs } from "#lib/retry.ts";
import { serial } from "#lib/serial.ts";
import type { Telemetry } from "#lib/telemetry.ts";
import type { EntryKey, RunEntry } from "#proto/desired-state.ts";
import type { ApplicationName, ClusterId, Revision } from "#proto/ids.ts";

/** Ends of freezes and exceptions come by the clock alone. */
const tickMs = 15_000;
const retries = { firstMs: 500, capMs: 30_000 };
/** A decision asks for signatures and renderings, and the next one for those that they make possible; more rounds mean a mistake. */
const decideRounds = 8;
/** A clock this far behind the newest document would sign what agents refuse. */
const clockBehindMs = 5 * 60_000;

export type LoopParts = FleetHeadParts & {
  readonly sourceOf: (fleet: Fleet, application: ApplicationName) => Source | undefined;
  readonly records: RecordStore;
  readonly evidence: Evidence;
  readonly desired: DesiredStates;
  readonly receipts: Receipts;
  readonly renders: Renders;
  readonly trust: TrustStore;
  readonly traces: Traces;
  readonly publisher: Publisher;
  readonly heard: () => ReadonlySet<ClusterId>;
  readonly onPublished: (draft: Draft) => void;
  /** After each round, while nothing is being published: drops what no document needs. */
  readonly sweep: () => Promise<void>;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly signal: AbortSignal;
};

/** What the last round saw, for those who look. */
export type LoopState = Omit<FleetState, "newest"> & { readonly waiting: readonly Waiting[] };

/** What one round decides from. */
type Read = Pick<FleetState, "fleet"> & { readonly fleetCommit: Revision; readonly newest: Revision };

export type Loop = {
  /** Something happened: decide again. */
  poke(): void;
  state(): LoopState;
  /** From which is decided: it stays the same for a whole round, whatever is read meanwhile. */
  deciding(): Fleet;
  /** Resolves after a round that began after this call. */
  round(): Promise<void>;
  /** Reads the fleet and the record, without deciding. */
  refresh(): Promise<void>;
  readonly ended: Promise<void>;
};

/** fetched | reported | tick → decide → render what it needs → push the record → publish. */
export function startLoop(parts: LoopParts): Loop {
  const { clock, log, signal, records, desired, renders } = parts;
  const fleetHead = createFleetHead(parts);
  const alone = serial();
  let deciding = fleetHead.now().fleet;
  let waiting: readonly Waiting[] = [];
  let asked = true;
  let wake = (): void => undefined;
  let waiters: (() => void)[] = [];

  /** One at a time: who began earlier must not end with less than is known already. */
  const refresh = (): Promise<void> =>
    alone(async () => {
      await fleetHead.load();
      await records.load();
      await parts.evidence.judge(fleetHead.now().fleet);
      // What was judged is the newest head, and so is what is decided from.
      await fleetHead.load();
    });

  const inputs = ({ fleet, fleetCommit, newest }: Read): Inputs => {
    const { rollouts, clusters } = records.now();
    return {
      ...declaredInputs(fleet),
      nowMs: clock.now(),
      fleetCommit,
      records: rollouts,
      clusterRecords: clusters,
      signed: desired.signed(),
      receipts: parts.receipts.all(),
      heard: parts.heard(),
      trust: (ask) => parts.trust.answer(ask, fleet, fleetCommit),
      head: (application, follow) => {
        const source = parts.sourceOf(fleet, application);
        const at = source && parts.evidence.at(source, follow);
        // What was pushed since comes with the documents that came with it.
        return source === parts.fleetSource && follow === parts.branch && typeof at === "string" ? newest : at;
      },
      rendered: (target) => renders.outcome(target),
      delivery: (key, cluster) => deliveryOf(fleet, key, cluster),
    };
  };

  const decided = async (read: Read): Promise<Decision> => {
    parts.trust.retry();
    for (let round = 1; ; round += 1) {
      const decision = decide(inputs(read));
      const isWhole = decision.render.length === 0 && decision.examine.length === 0;
      if (isWhole || round === decideRounds) return decision;
      await parts.trust.examine(decision.examine, read.fleet, read.fleetCommit);
      await renders.render(decision.render);
    }
  };

  const draftsOf = (decision: Decision, { fleet, fleetCommit }: Read): Draft[] => {
    const position = { fleetCommit, recordCommit: records.now().commit };
    const rulesOf = healthRulesOf(fleet);
    return [...decision.desired].flatMap(([cluster, entries]) => {
      const record = records.now().clusters.get(cluster);
      // What it was given came to light during this round: the next one knows what to make of it.
      if (record === undefined || desired.unjudged().has(cluster)) return [];
      const sealed = renders.sealed.bind(renders);
      return desired.draft(cluster, entries, record, sealed, position, clock.now(), rulesOf) ?? [];
    });
  };

  const publish = async (drafts: readonly Draft[]): Promise<void> => {
    if (drafts.length === 0) return;
    const behind = desired.newestIssuedAtMs() - clock.now();
    if (behind > clockBehindMs)
      throw new Error(`nothing is published: the clock is ${Math.round(behind / 1000)} s behind the newest document`);
    const traced = drafts.map((draft) => ({ draft, parent: traceOf(draft, parts) }));
    const parent = traced[0]!.parent;
    const links = traced.map(({ parent }) => parent).filter((other) => other !== parent && other !== "");
    await parts.telemetry.traced(
      "hub.publish",
      { attributes: { documents: drafts.length }, parent, links },
      async (span) => {
        const own = traced.map(({ draft, parent: own }) => ({
          draft,
          traceparent: own === parent ? span.traceparent : own,
        }));
        if ((await parts.publisher.publish(own)) === "fenced") throw new LeaseLost("another hub leads");
      },
    );
    for (const draft of drafts) parts.onPublished(draft);
    log.info({ clusters: drafts.length }, "published");
  };

  const round = async (): Promise<void> => {
    await refresh();
    const { fleet, fleetCommit, newest } = fleetHead.now();
    if (fleetCommit === undefined || newest === undefined) return;
    const read: Read = { fleet, fleetCommit, newest };
    deciding = fleet;
    const stopped = parts.evidence.stopped();
    if (stopped !== undefined) {
      waiting = everywhere(fleet, stopped);
      return;
    }
    const decision = await decided(read);
    const drafts = draftsOf(decision, read);
    records.note(decision.records, "now");
    records.note(decision.renamed, "soon");
    // What opened a gate is written down before anything goes through it; the fast path writes afterwards.
    await records.save(gated(drafts, desired, fleet));
    await publish(drafts);
    // Also while the record cannot be written, people see what waits for what.
    waiting = decision.waiting;
    await records.save();
    await parts.evidence.save();
  };

  const run = async (): Promise<void> => {
    for (let failures = 0; !signal.aborted;) {
      asked = false;
      const served = waiters;
      waiters = [];
      try {
        await round();
        failures = 0;
        await parts.sweep();
      } catch (error) {
        if (signal.aborted) break;
        if (error instanceof LeaseLost) throw error;
        failures += 1;
        log.error({ because: reasonOf(error) }, "a round stopped; it is tried again");
      }
      for (const resolve of served) resolve();
      if (asked && failures === 0) continue;
      const woken = new AbortController();
      wake = () => woken.abort();
      const waitMs = failures === 0 ? tickMs : backoffMs(retries, failures);
      const either = failures === 0 ? AbortSignal.any([signal, woken.signal]) : signal;
      await clock.sleep(waitMs, { signal: either }).catch(() => undefined);
    }
    for (const resolve of waiters) resolve();
  };
  const poke = (): void => {
    asked = true;
    wake();
  };
  return {
    poke,
    state: () => ({ ...fleetHead.now(), waiting }),
    deciding: () => deciding,
    round: () =>
      new Promise((resolve) => {
        waiters.push(resolve);
        poke();
      }),
    refresh,
    ended: run(),
  };
}

const everywhere = ({ applications }: Fleet, because: string): Waiting[] =>
  [...applications.values()].flatMap(({ name, environments }) =>
    environments.map((environment) => ({ application: name, environment, because })),
  );

/** Another hub took the lease: this one stops, and may come back as a standby. */
export class LeaseLost extends Error {
  override readonly name = "LeaseLost";
}

/** Applications that clusters are given something new of where only a gate lets it in. */
function gated(drafts: readonly Draft[], desired: DesiredStates, fleet: Fleet): Set<ApplicationName> {
  const isGated = ({ environment }: EntryKey): boolean =>
    !("follow" in (fleet.environments.get(environment)?.revisions ?? {}));
  const runs = drafts.flatMap((draft) => newRuns(draft, desired)).filter(isGated);
  return new Set(runs.map(({ application }) => application));
}

/** What a document gives its cluster that the one before did not. */
function newRuns({ cluster, state }: Draft, desired: DesiredStates): RunEntry[] {
  const before = new Map((desired.known(cluster)?.state.entries ?? []).map((entry) => [keyOf(entry), entry]));
  return state.entries.flatMap((entry) => {
    const known = before.get(keyOf(entry));
    const isSame = entry.kind === "run" && known?.kind === "run" && known.digest === entry.digest;
    return entry.kind === "run" && !isSame ? [entry] : [];
  });
}

/** The trace of the revision that this document brings, or of the fleet commit that asked for it. */
function traceOf(draft: Draft, { desired, traces }: LoopParts): string {
  return traces.of(...newRuns(draft, desired).map(({ revision }) => revision), draft.state.fleetCommit);
}
