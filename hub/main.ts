import { join } from "node:path";
import type { HubConfig } from "#hub/config.ts";
import { loadIdentity } from "#hub/identity/identity.ts";
import { LeaseLost } from "#hub/loop/loop.ts";
import { superviseNats, type SupervisedNats } from "#hub/publish/supervise.ts";
import { serverNames } from "#hub/term/addresses.ts";
import { lead, type Ports } from "#hub/term/lead.ts";
import type { HubParts } from "#hub/term/term.ts";
import { systemClock } from "#lib/clock.ts";
import { createLog } from "#lib/log.ts";
import { openTelemetry } from "#lib/telemetry.ts";

/** Runs a hub until the signal. It leads while it holds the lease; without it, it waits for its turn. */
export async function hubProcess(
  config: HubConfig,
  signal: AbortSignal,
  onReady: (ports: Ports) => void = () => undefined,
): Promise<void> {
  const log = createLog("hub", config.logLevel);
  const identity = await loadIdentity(config.identity);
  await using telemetry = await openTelemetry("plumbline-hub", config.otlpEndpoint);
  const parts: HubParts = { config, identity, clock: systemClock, log, telemetry };
  await using nats = config.natsUrl.length > 0 ? undefined : await ownNats(parts, signal);
  const natsUrls = nats === undefined ? config.natsUrl : [nats.url];
  while (!signal.aborted) {
    try {
      await lead({ ...parts, natsUrls, signal, onReady });
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof LeaseLost)) throw error;
      log.warn({ because: error.message }, "no longer leading; waiting for the lease");
    }
  }
}

/** Without a NATS of its owner's the hub starts one, under the hub's own certificate. */
async function ownNats(parts: HubParts, signal: AbortSignal): Promise<SupervisedNats> {
  const { config, identity, clock, log } = parts;
  const options = {
    binary: config.natsServer,
    directory: join(config.data, "nats"),
    identity: identity.nats,
    listen: config.listenNats,
    tls: await identity.authority.issueServer(serverNames(config), clock.now()),
  };
  return superviseNats(options, { clock, log, signal });
}
