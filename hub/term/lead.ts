import { LeaseLost } from "#hub/loop/loop.ts";
import { openBroker } from "#hub/publish/broker.ts";
import { reasonOf } from "#lib/log.ts";
import { serveClusters } from "./clusters.ts";
import { startDeciding } from "./deciding.ts";
import { followGit } from "./git.ts";
import { servePeople } from "./people.ts";
import { openRendering } from "./rendering.ts";
import { openTerm, type HubParts, type Term } from "./term.ts";

/** Where a hub that leads listens. */
export type Ports = { readonly http: number; readonly grpc: number; readonly nats: string };

type Leading = HubParts & {
  readonly natsUrls: readonly string[];
  readonly signal: AbortSignal;
  /** Told once the hub leads and listens. */
  readonly onReady: (ports: Ports) => void;
};

/**
 * One term: from taking the lease to losing it, which throws LeaseLost. Nothing of a term outlives it. Git is followed →
 * rendered → decided and published; clusters are heard; people look, and act by commits.
 */
export async function lead(parts: Leading): Promise<void> {
  const { log, natsUrls } = parts;
  await using stack = new AsyncDisposableStack();
  const over = new AbortController();
  const term = await takeLease(parts, stack, over);
  const git = await followGit(term);
  const rendering = await openRendering(term, git);
  const deciding = await startDeciding(term, git, rendering);
  const clusters = await serveClusters(term, git, rendering, deciding);
  const people = await servePeople(term, git, rendering, deciding, clusters);

  const ports = { http: people.port, grpc: clusters.agents.port, nats: natsUrls[0] ?? "" };
  log.info({ ...ports, nats: natsUrls }, "hub ready");
  parts.onReady(ports);
  try {
    await deciding.loop.ended;
  } finally {
    over.abort();
    await Promise.allSettled(git.sources.all().map((source) => source.following.ended));
  }
  term.lease.lost.throwIfAborted();
}

async function takeLease(parts: Leading, stack: AsyncDisposableStack, over: AbortController): Promise<Term> {
  const { config, identity, clock, log, natsUrls } = parts;
  const signal = AbortSignal.any([parts.signal, over.signal]);
  const broker = stack.use(
    await openBroker({
      url: natsUrls,
      identity: identity.nats,
      ca: config.natsUrl.length > 0 ? undefined : identity.authority.certificatePem,
      clock,
      signal,
      failed: (error) => log.warn({ because: reasonOf(error) }, "the broker is not reachable"),
    }),
  );
  await broker.ensureStreams();
  const lease = stack.use(await broker.lease(`hub-${process.pid}`, { signal, periodMs: config.leasePeriodMs }));
  lease.lost.addEventListener("abort", () => over.abort(new LeaseLost("the lease is lost")), { once: true });
  return openTerm({ ...parts, broker, lease, signal, use: (part) => stack.use(part) });
}
