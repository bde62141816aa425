import { keyOf, type SeenReceipt } from "#hub/decide/inputs.ts";
import type { Receipt } from "#proto/gen/plumbline/agent/v1/agent.ts";
import { applicationName, bundleDigest, environmentName, type ClusterId } from "#proto/ids.ts";

/**
 * The newest receipt of each cluster and entry. Enough: a gate asks for the digest that is signed now, and an agent says
 * its receipts again to a hub that lost them.
 */
export class Receipts {
  readonly #newest = new Map<ClusterId, Map<string, SeenReceipt>>();

  /** True when it says something new to a gate. */
  take(cluster: ClusterId, application: string, environment: string, receipt: Receipt): boolean {
    const seen: SeenReceipt = {
      cluster,
      application: applicationName(application),
      environment: environmentName(environment),
      digest: bundleDigest(Buffer.from(receipt.digest).toString("hex")),
      healthy: receipt.healthy,
      healthyForMs: Number(receipt.healthyForMs),
    };
    const own = this.#newest.get(cluster) ?? new Map<string, SeenReceipt>();
    this.#newest.set(cluster, own);
    const before = own.get(keyOf(seen));
    own.set(keyOf(seen), seen);
    return (
      before?.digest !== seen.digest || before.healthy !== seen.healthy || before.healthyForMs !== seen.healthyForMs
    );
  }

  all(): SeenReceipt[] {
    return [...this.#newest.values()].flatMap((own) => [...own.values()]);
  }

  /** Whether anything was ever heard of a cluster by this process. */
  knows(cluster: ClusterId): boolean {
    return this.#newest.has(cluster);
  }

  forget(cluster: ClusterId): void {
    this.#newest.delete(cluster);
  }
}
