import { defaultNamespace } from "#agent/config.ts";
import { runAgent } from "#agent/main.ts";
import { ask } from "#cli/client.ts";
import type { CliConfig } from "#cli/config.ts";
import type { Member } from "#cli/demo/members.ts";
import { systemClock } from "#lib/clock.ts";
import { createLog } from "#lib/log.ts";
import { openTelemetry } from "#lib/telemetry.ts";
import type { RegisterAnswer } from "#proto/api.ts";

/** The demo's agents, in its own process. */
export type Agents = {
  /** Registers the cluster, and starts its agent by the line that the hub prints. */
  join(config: CliConfig, member: Member): Promise<void>;
  /** Ends a joined cluster's agent, and starts it again: it knows what its Secrets say. */
  restart(member: Member): Promise<void>;
  ended(): Promise<unknown>;
};

type Running = { readonly joinLine: string; readonly stop: AbortController; readonly ended: Promise<unknown> };

/** `failed` hears of an agent that ends by itself. */
export function createAgents(life: AbortSignal, failed: (error: unknown) => void): Agents {
  const all = new Map<string, Running>();
  const start = (member: Member, joinLine: string): void => {
    const stop = new AbortController();
    const ended = run(member, joinLine, AbortSignal.any([life, stop.signal])).catch((error: unknown) => {
      if (!stop.signal.aborted) failed(error);
    });
    all.set(member.name, { joinLine, stop, ended });
  };
  return {
    async join(config, member) {
      const { name, labels } = member;
      start(member, (await ask<RegisterAnswer>(config, "POST", "/api/v1/clusters", { name, labels })).joinCommand);
    },
    async restart(member) {
      const { joinLine, stop, ended } = all.get(member.name)!;
      stop.abort(new Error("the agent starts again"));
      await ended;
      start(member, joinLine);
    },
    ended: () => Promise.all([...all.values()].map(({ ended }) => ended)),
  };
}

async function run(member: Member, joinLine: string, signal: AbortSignal): Promise<void> {
  const flag = (name: string): string => new RegExp(`--${name} (\\S+)`).exec(joinLine)?.[1] ?? "";
  await using telemetry = await openTelemetry("plumbline-agent", undefined);
  await runAgent({
    cluster: member.cluster,
    namespace: member.agentNamespace ?? defaultNamespace,
    join: { hub: flag("hub"), token: flag("token"), caPin: flag("ca-pin"), root: flag("root") },
    clock: systemClock,
    log: createLog(member.name, process.env["PLUMBLINE_LOG_LEVEL"] ?? "error"),
    telemetry,
    signal,
  });
}
