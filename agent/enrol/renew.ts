import { sign } from "node:crypto";
import { renew } from "#agent/enrol/hub-client.ts";
import type { AgentKeys } from "#agent/enrol/keys.ts";
import type { Clock } from "#lib/clock.ts";
import { backoffMs } from "#lib/retry.ts";
import { reasonOf, type Log } from "#lib/log.ts";
import type { Credentials } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { renewalText } from "#proto/renewal.ts";

const retries = { firstMs: 5_000, capMs: 10 * 60_000 };
/** A certificate of seven days is asked for again after three and a half: days remain for a hub that is away. */
const renewAtShare = 0.5;
const lifeMs = 7 * 86_400_000;

/** Asks for new credentials by proof of the recorded key, which works also when the certificate has ended. */
export function renewCredentials(keys: AgentKeys, nowMs: number): Promise<Credentials> {
  const atMs = BigInt(Math.round(nowMs));
  const proof = sign("sha256", renewalText(keys.cluster, atMs, keys.csrPem), keys.tlsKeyPem);
  return renew(keys.hub, keys.caPem, { cluster: keys.cluster, csrPem: keys.csrPem, atMs, proof });
}

/** Keeps credentials fresh by the agent's own clock, for ever: `ask` gets them, `renewed` keeps them. Ends with the signal. */
export async function keepRenewed(
  current: () => AgentKeys,
  ask: (keys: AgentKeys) => Promise<Credentials>,
  renewed: (credentials: Credentials) => Promise<void>,
  { clock, log, signal }: { clock: Clock; log: Log; signal: AbortSignal },
): Promise<void> {
  for (let failures = 0; !signal.aborted;) {
    const due = current().notAfterMs - lifeMs * (1 - renewAtShare) - clock.now();
    await clock.sleep(failures > 0 ? backoffMs(retries, failures) : Math.max(0, due), { signal });
    try {
      await renewed(await ask(current()));
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      failures += 1;
      log.warn({ because: reasonOf(error) }, "credentials not renewed; it is tried again");
    }
  }
}
