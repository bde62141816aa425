import type { Agents } from "#hub/agents/agents.ts";
import type { HubConfig } from "#hub/config.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import { readFleet } from "#hub/fleet/read.ts";
import { createGitSigner, type GitSigner } from "#hub/git/sign.ts";
import type { Identity } from "#hub/identity/identity.ts";
import { DesiredStates } from "#hub/loop/desired.ts";
import type { Loop } from "#hub/loop/loop.ts";
import { createPublisher, type Publisher } from "#hub/loop/publisher.ts";
import { Receipts } from "#hub/loop/receipts.ts";
import { Traces } from "#hub/loop/traces.ts";
import type { Broker } from "#hub/publish/broker.ts";
import type { Lease } from "#hub/publish/held-lease.ts";
import { View } from "#hub/view/view.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import type { Telemetry } from "#lib/telemetry.ts";

/** What a hub is as long as its process runs. */
export type HubParts = {
  readonly config: HubConfig;
  readonly identity: Identity;
  readonly clock: Clock;
  readonly log: Log;
  readonly telemetry: Telemetry;
};

/** What each part of one term stands on. */
export type Term = HubParts & {
  readonly broker: Broker;
  readonly lease: Lease;
  readonly natsUrls: readonly string[];
  /** Ends with the process, or with the lease. */
  readonly signal: AbortSignal;
  /** Closes a part when the term is over. */
  readonly use: AsyncDisposableStack["use"];
  readonly signer: GitSigner;
  readonly desired: DesiredStates;
  readonly publisher: Publisher;
  readonly receipts: Receipts;
  readonly traces: Traces;
  readonly view: View;
  readonly later: Later;
};

/** Parts that earlier ones speak to once they are there: the flow is a circle. Each is set once. */
export type Later = { loop?: Loop; agents?: Agents; fetched?: () => void };

type Given = HubParts & Pick<Term, "broker" | "lease" | "natsUrls" | "signal" | "use">;

export function openTerm(given: Given): Term {
  const desired = new DesiredStates(given.identity);
  return {
    ...given,
    signer: createGitSigner(given.identity.gitKey),
    desired,
    publisher: createPublisher(given.broker, given.lease, desired),
    receipts: new Receipts(),
    traces: new Traces(given.telemetry),
    view: new View(),
    later: {},
  };
}

const nothing: Fleet = readFleet([]).fleet;

/** As it was read last; empty before it was. */
export const fleetOf = ({ later }: Term): Fleet => later.loop?.state().fleet ?? nothing;

/** From which the loop decides: what is rendered is for that, whatever is read meanwhile. */
export const decidingOf = ({ later }: Term): Fleet => later.loop?.deciding() ?? nothing;
