import type { SessionHandler } from "#hub/agents/session.ts";
import type { DesiredStates } from "#hub/loop/desired.ts";
import type { Loop } from "#hub/loop/loop.ts";
import type { Publisher } from "#hub/loop/publisher.ts";
import type { Receipts } from "#hub/loop/receipts.ts";
import type { Renders } from "#hub/loop/renders.ts";
import type { Broker } from "#hub/publish/broker.ts";
import type { View } from "#hub/view/view.ts";
import type { Clock } from "#lib/clock.ts";
import { leading } from "#lib/leading.ts";
import type { Log } from "#lib/log.ts";
import type { Telemetry } from "#lib/telemetry.ts";
import { ApplicationStatus, Event } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { applicationName, type ClusterId } from "#proto/ids.ts";
import { reportHash } from "#proto/status.ts";

export type ListenerParts = {
  readonly view: View;
  readonly receipts: Receipts;
  readonly desired: DesiredStates;
  readonly broker: Broker;
  readonly publisher: Publisher;
  readonly renders: Renders;
  readonly loop: Pick<Loop, "poke">;
  readonly clock: Clock;
  readonly log: Log;
  readonly telemetry: Telemetry;
  readonly signal: AbortSignal;
};

/** A fleet that returns makes few decisions for its comings, not one for each. */
const comingsEveryMs = 250;

/** What the hub makes of what an agent says: kept on the broker, folded into the view, and a reason to decide again. */
export function createListener(parts: ListenerParts): SessionHandler {
  const { view, receipts, desired, broker, publisher, loop, clock, log } = parts;
  const comesOrGoes = leading(() => loop.poke(), comingsEveryMs, clock, parts.signal);
  const acknowledged = new Map<ClusterId, { journal: string; sequence: bigint }>();

  /** A broker that lost a document gets back the one that the agent holds, byte for byte, with its bundles. */
  const putBack = async (cluster: ClusterId, bytes: Uint8Array): Promise<void> => {
    const { state } = desired.known(cluster)!;
    const targets = state.entries.flatMap((entry) => (entry.kind === "run" ? [{ ...entry, cluster }] : []));
    const missing: typeof targets = [];
    for (const target of targets) if (!(await broker.hasBlob(target.address, target.slices))) missing.push(target);
    await parts.renders.render(
      missing.map(({ application, environment, revision }) => ({ application, environment, revision, cluster })),
    );
    // A bundle with content that no rendering repeats came out under another address: that one is named from now on.
    for (const { address, slices } of missing) if (!(await broker.hasBlob(address, slices))) desired.lose(address);
    if ((await publisher.putBack(cluster, bytes)) !== "published") return;
    log.info({ cluster, generation: String(state.generation) }, "the broker has this cluster's document again");
  };

  const traceReceipt = (cluster: ClusterId, { application, environment, traceparent }: Event): void => {
    if (traceparent === "") return;
    const attributes = { cluster, application, environment };
    parts.telemetry.passed("hub.receipt", { attributes, parent: traceparent, fromMs: clock.now() });
  };

  return {
    async hello(cluster, hello) {
      view.hello(cluster, hello, clock.now());
      if (hello.envelope.length === 0) desired.learnEmpty(cluster);
      else if (desired.learn(cluster, hello.envelope) === "newer") await putBack(cluster, hello.envelope);
      comesOrGoes();
      const isKnown = receipts.knows(cluster) && reportHash(view.statuses(cluster)).equals(hello.reportHash);
      const last = acknowledged.get(cluster);
      const sequence = last?.journal === hello.journal ? last.sequence : 0n;
      return { sendFullReport: !isKnown, acknowledgedSequence: sequence };
    },
    async event(cluster, event, journal) {
      const { body } = event;
      if (body !== undefined) await broker.appendEvent(body.$case, cluster, Event.encode(event).finish());
      acknowledged.set(cluster, { journal, sequence: event.sequence });
      view.event(cluster, event, clock.now());
      if (body?.$case === "receipt") traceReceipt(cluster, event);
      if (body?.$case === "receipt" && receipts.take(cluster, event.application, event.environment, body.value))
        loop.poke();
    },
    async status(cluster, status) {
      view.status(cluster, status, clock.now());
      await broker.putStatus(cluster, applicationName(status.application), ApplicationStatus.encode(status).finish());
    },
    statusEnd(cluster, named) {
      view.keepOnly(cluster, named);
      return Promise.resolve();
    },
    heard: (cluster, atMs) => view.heard(cluster, atMs),
    gone(cluster, because) {
      view.gone(cluster);
      log.info({ cluster, because }, "agent gone");
      comesOrGoes();
    },
  };
}
