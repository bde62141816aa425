import { runAgent } from "#agent/main.ts";
import { createSimulatedCluster, type SimulatedCluster } from "#agent/cluster/simulated/simulated.ts";
import { systemClock } from "#lib/clock.ts";
import { silentLog } from "#lib/log.ts";
import { openTelemetry } from "#lib/telemetry.ts";
import type { World } from "#test/harness/world.ts";

/** A cluster in memory whose agent runs in the test's own process: somewhere for a hub to publish to. */
export type Member = AsyncDisposable & {
  readonly cluster: SimulatedCluster;
  /** Ends its agent; `start` runs another. */
  stop(): Promise<void>;
  start(): Promise<void>;
};

export async function joinSimulated(
  world: World,
  name: string,
  labels: Readonly<Record<string, string>>,
): Promise<Member> {
  const answer = await world.register(name, labels);
  const flag = (flag: string): string => new RegExp(`--${flag} (\\S+)`).exec(answer.joinCommand)?.[1] ?? "";
  const cluster = createSimulatedCluster({ controllers: true });
  const join = { hub: flag("hub"), token: flag("token"), caPin: flag("ca-pin"), root: flag("root") };
  let end = await runMember(cluster, join);
  return {
    cluster,
    stop: () => end(),
    async start() {
      end = await runMember(cluster, undefined);
    },
    [Symbol.asyncDispose]: () => end(),
  };
}

/** Gives what ends it. */
async function runMember(
  cluster: SimulatedCluster,
  join: Parameters<typeof runAgent>[0]["join"],
): Promise<() => Promise<void>> {
  const stop = new AbortController();
  const telemetry = await openTelemetry("test", undefined);
  const running = runAgent({
    cluster: cluster.connect(),
    namespace: "plumbline-agent",
    join,
    clock: systemClock,
    log: silentLog,
    telemetry,
    signal: stop.signal,
  });
  // Its end is awaited below, and told by what never arrives before.
  running.catch(() => undefined);
  return async () => {
    stop.abort(new Error("the test ends it"));
    await running.catch(() => undefined);
    await telemetry[Symbol.asyncDispose]();
  };
}
