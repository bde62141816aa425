import { ask } from "#cli/client.ts";
import type { CliConfig } from "#cli/config.ts";
import type { Agents } from "#cli/demo/agents.ts";
import type { Shop } from "#cli/demo/fleet.ts";
import type { Member } from "#cli/demo/members.ts";
import type { DemoRepository } from "#cli/demo/repository.ts";
import { CliError, exitCode } from "#cli/errors.ts";
import { systemClock } from "#lib/clock.ts";
import type { StatusAnswer, StatusRow } from "#proto/api.ts";

/** Longer than any step takes; a step that is not seen by then is not coming. */
const stepLimitMs = 60_000;
const lookEveryMs = 50;

/** Everything that the story is played with. */
export type Stage = {
  readonly config: CliConfig;
  readonly repository: DemoRepository;
  readonly members: readonly Member[];
  readonly agents: Agents;
  readonly shop: Shop;
  /** Rejects when the hub or an agent ends before the demo does. */
  readonly failed: Promise<never>;
};

export const status = (config: CliConfig): Promise<StatusAnswer> => ask(config, "GET", "/api/v1/status");

export async function rowOf(
  { config }: Stage,
  environment: string,
  application = "shop",
): Promise<StatusRow | undefined> {
  return (await status(config)).rows.find((row) => row.environment === environment && row.application === application);
}

export const runningRevision = async (stage: Stage, environment: string, application = "shop"): Promise<string> =>
  (await rowOf(stage, environment, application))?.revisions[0]?.revision ?? "";

/** Asked for at once: the gate waits for the receipts by itself. */
export const promote = (
  { config }: Stage,
  environment: string,
  revision: string,
  reason: string,
  application = "shop",
): Promise<unknown> => ask(config, "POST", "/api/v1/promotions", { environment, application, revision, reason });

/** With a revision: of that one. Healthy is also what a cluster said of the one before. */
export const settled = (
  stage: Stage,
  environment: string,
  { application = "shop", revision = "" }: { readonly application?: string; readonly revision?: string } = {},
): Promise<void> =>
  until(stage, `${application} to be healthy in ${environment}`, async () => {
    const row = await rowOf(stage, environment, application);
    if (row === undefined || row.clusters === 0 || row.settled !== row.clusters) return false;
    return revision === "" || (row.revisions.length === 1 && row.revisions[0]!.revision === revision);
  });

export async function until({ failed }: Stage, what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + stepLimitMs;
  while (!(await Promise.race([holds(), failed]))) {
    if (Date.now() > deadline) throw new CliError(exitCode.failed, `waited ${stepLimitMs / 1000} s for ${what}`);
    await systemClock.sleep(lookEveryMs);
  }
}

export type Telling = { step(text: string, work: () => Promise<string | void>): Promise<void> };

/** One line a step, with the time it took; what its work gives is said instead of the text. */
export function createTelling(): Telling {
  return {
    async step(text, work) {
      const started = performance.now();
      const said = (await work()) ?? text;
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      process.stdout.write(`✔ ${said}  ${seconds} s\n`);
    },
  };
}
