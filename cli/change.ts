import { setTimeout as sleep } from "node:timers/promises";
import { ask } from "#cli/client.ts";
import type { CliConfig } from "#cli/config.ts";
import { CliError, exitCode, usage } from "#cli/errors.ts";
import { age, hint, plain, print, shortRevision, table, type Format } from "#cli/output.ts";
import type { ChangeAnswer, RewriteAnswer, HistoryAnswer, StatusAnswer, StatusRow } from "#proto/api.ts";

const pollMs = 1_000;

export type PromoteOptions = { reason: string; allowPrune?: string; wait?: boolean };
export type RemoveOptions = { environment?: string; cluster?: string; orphan?: boolean; reason: string };
export type AcceptOptions = { to?: string; reason: string };

/** `plumb promote ENVIRONMENT APPLICATION [REVISION]`: a commit on main that asks for a revision. */
export async function promote(
  config: CliConfig,
  environment: string,
  application: string,
  revision: string | undefined,
  options: PromoteOptions & { output: Format },
  signal: AbortSignal,
): Promise<void> {
  const body = {
    environment,
    application,
    reason: options.reason,
    ...(revision && { revision }),
    ...(options.allowPrune && { allowPrune: options.allowPrune }),
  };
  const answer = await ask<ChangeAnswer & { revision: string }>(config, "POST", "/api/v1/promotions", body);
  print(
    options.output,
    answer,
    () =>
      `promoted ${application} ${shortRevision(answer.revision)} to ${environment} in ${answer.file} (commit ${shortRevision(answer.commit)})\n${options.wait === true ? "" : `next: plumb why ${environment}/${application}\n`}`,
    () => [`application/${environment}/${application}`],
  );
  if (options.wait === true) await waitFor(config, environment, application, answer.revision, signal);
}

/** Until every cluster runs the revision and is healthy. Says why it waits, whenever that changes. */
async function waitFor(
  config: CliConfig,
  environment: string,
  application: string,
  revision: string,
  signal: AbortSignal,
): Promise<void> {
  const started = Date.now();
  let said = "";
  while (!signal.aborted) {
    const { rows } = await ask<StatusAnswer>(config, "GET", "/api/v1/status");
    const row = rows.find((row) => row.environment === environment && row.application === application);
    if (row !== undefined && isThere(row, revision))
      return hint(
        `${environment}/${application} runs ${shortRevision(revision)} on ${row.clusters} of ${row.clusters} clusters after ${age(Date.now() - started)}`,
      );
    const why =
      row === undefined ? "not seen yet" : (row.reasons[0] ?? `${row.settled} of ${row.clusters} clusters settled`);
    if (why !== said) hint(`${age(Date.now() - started)}  ${plain(why)}`);
    said = why;
    await sleep(pollMs, undefined, { signal }).catch(() => undefined);
  }
  throw new CliError(exitCode.interrupted, "stopped waiting; the promotion goes on");
}

const isThere = (row: StatusRow, revision: string): boolean =>
  row.settled === row.clusters && row.revisions.length === 1 && row.revisions[0]!.revision === revision;

/** `plumb remove APPLICATION --environment E | --cluster C [--orphan]`: the only way to take things away. */
export async function remove(
  config: CliConfig,
  application: string,
  options: RemoveOptions & { output: Format },
): Promise<void> {
  const { environment, cluster } = options;
  if ((environment === undefined) === (cluster === undefined)) throw usage("name either --environment or --cluster");
  const mode = options.orphan === true ? "orphan" : "delete";
  const scope = environment === undefined ? { cluster } : { environment };
  const answer = await ask<ChangeAnswer>(config, "POST", "/api/v1/removals", {
    application,
    ...scope,
    mode,
    reason: options.reason,
  });
  const what = mode === "delete" ? "its inventory is deleted there" : "its objects stay, and are nobody's";
  print(
    options.output,
    answer,
    () =>
      `removed ${application} from ${environment ?? cluster} in ${answer.file} (commit ${shortRevision(answer.commit)}): ${what}\n`,
    () => [`application/${environment ?? cluster}/${application}`],
  );
}

/** `plumb accept-rewrite REPOSITORY [BRANCH]`: the branch goes on from the history that it shows now. */
export async function acceptRewrite(
  config: CliConfig,
  repository: string,
  branch: string | undefined,
  options: AcceptOptions & { output: Format },
): Promise<void> {
  const { to, reason } = options;
  const body = { repository, reason, ...(branch && { branch }), ...(to && { to }) };
  const answer = await ask<RewriteAnswer>(config, "POST", "/api/v1/rewrites", body);
  print(
    options.output,
    answer,
    () =>
      `${answer.branch} of ${repository} goes on from ${shortRevision(answer.to) || "nothing"}, and no longer from ${shortRevision(answer.from)} (${answer.file}, commit ${shortRevision(answer.commit)})\n`,
    () => [`repository/${repository}`],
  );
}

/** `plumb history`: what was asked for, and what came of it. */
export async function history(config: CliConfig, options: { output: Format }): Promise<void> {
  const answer = await ask<HistoryAnswer>(config, "GET", "/api/v1/history");
  print(
    options.output,
    answer,
    () => historyText(config, answer),
    () => answer.commits.map(({ commit }) => `commit/${commit}`),
  );
}

function historyText(config: CliConfig, answer: HistoryAnswer): string {
  const now = Date.now();
  const commits = answer.commits.slice(0, 20).map(({ commit, at, promoter, subject }) => [
    age(now - Date.parse(at)),
    shortRevision(commit),
    // In question what nobody has proved.
    promoter.kind === "known" ? promoter.name : `${promoter.claims.replace(/ <.*/, "")}?`,
    subject,
  ]);
  const events = answer.events
    .slice(0, 50)
    .map(({ at, cluster, environment, application, what, text }) => [
      age(now - Date.parse(at)),
      cluster,
      `${environment}/${application}`,
      what,
      text,
    ]);
  return `${table(["AGE", "COMMIT", "BY", "WHAT"], commits, config.width)}\n${table(["AGE", "CLUSTER", "APPLICATION", "EVENT", "WHAT"], events, config.width)}`;
}
