import type { DesiredStates, Draft } from "#hub/loop/desired.ts";
import type { Broker } from "#hub/publish/broker.ts";
import type { Lease } from "#hub/publish/held-lease.ts";
import { serial } from "#lib/serial.ts";
import type { ClusterId } from "#proto/ids.ts";

export type TracedDraft = { readonly draft: Draft; readonly traceparent: string };

/**
 * The one way of documents to the broker, which holds the last that came: one batch after the other, so that an older
 * document never comes after a newer one.
 */
export type Publisher = {
  /** What is published is from then on what is known of its cluster. Fenced: another hub leads. */
  publish(drafts: readonly TracedDraft[]): Promise<"published" | "fenced">;
  /** A broker that lost a document gets it again; none when a newer one is known by then. */
  putBack(cluster: ClusterId, bytes: Uint8Array): Promise<"published" | "fenced" | "older">;
};

export function createPublisher(
  broker: Pick<Broker, "publish">,
  lease: Lease,
  desired: Pick<DesiredStates, "known" | "published">,
): Publisher {
  const alone = serial();
  return {
    publish: (drafts) =>
      alone(async () => {
        const documents = drafts.map(({ draft: { cluster, envelope }, traceparent }) => ({
          cluster,
          envelope,
          traceparent,
        }));
        const outcome = await broker.publish(documents, lease);
        if (outcome === "published") for (const { draft } of drafts) desired.published(draft);
        return outcome;
      }),
    putBack: (cluster, bytes) =>
      alone(async () =>
        desired.known(cluster)?.bytes === bytes ? broker.publish([{ cluster, envelope: bytes }], lease) : "older",
      ),
  };
}
