import { ask } from "#cli/client.ts";
import type { CliConfig } from "#cli/config.ts";
import { plain, print, shortRevision, symbol, table, type Format } from "#cli/output.ts";
import { counted } from "#lib/counted.ts";
import type { HealthWord, StatusAnswer, StatusRow } from "#proto/api.ts";

const shownWords: readonly HealthWord[] = ["Failed", "NotFound", "Unknown", "Terminating", "InProgress"];

const shownDoubts = 5;

/** `plumb status`: every environment and application, worst first. */
export async function status(config: CliConfig, options: { output: Format; all?: boolean }): Promise<void> {
  const answer = await ask<StatusAnswer>(config, "GET", "/api/v1/status");
  const wide = options.output === "wide";
  print(
    options.output,
    answer,
    () => text(config, answer, wide || options.all === true, wide),
    () => answer.rows.map(({ environment, application }) => `application/${environment}/${application}`),
  );
}

function text(config: CliConfig, answer: StatusAnswer, all: boolean, wide: boolean): string {
  const { environments, applications, clusters, heard, fleetCommit } = answer;
  const top = `FLEET  ${counted(environments, "environment")} · ${counted(applications, "application")} · ${counted(clusters, "cluster")}   heard ${heard} of ${clusters} · main ${shortRevision(fleetCommit)}\n`;
  if (answer.rows.length === 0)
    return `${top}nothing is declared yet: commit an Environment and an Application into the fleet repository\n`;
  const shown = all ? answer.rows : answer.rows.filter((row, index) => index < 30 || !isQuiet(row));
  const rows = shown.map((row) => [
    row.environment,
    row.application,
    row.revisions.map(({ revision }) => shortRevision(revision)).join(" ← ") || "-",
    `${row.settled}/${row.clusters}`,
    healthOf(config, row),
    row.drifted === 0 ? "-" : symbol(config, "Drifted", String(row.drifted)),
    ...(wide ? [row.rendered || "-"] : []),
    row.reasons[0] ?? "",
  ]);
  const hidden = answer.rows.length - shown.length;
  const more = hidden > 0 ? `${hidden} more with nothing to say (plumb status --all)\n` : "";
  const warnings = [...answer.problems, ...answer.alarms].map((line) => `! ${plain(line)}\n`).join("");
  const doubts = doubtsText(answer.rows, all);
  const head = [
    "ENVIRONMENT",
    "APPLICATION",
    "REVISION",
    "CLUSTERS",
    "HEALTH",
    "DRIFT",
    ...(wide ? ["RENDERED BY"] : []),
    "REASON",
  ];
  return `${top}${table(head, rows, all ? undefined : config.width)}${more}${warnings}${doubts}${nextText(answer.rows)}`;
}

/** What is run although it is probably a mistake: one line each, and few unless all are asked for. */
function doubtsText(rows: readonly StatusRow[], all: boolean): string {
  const lines = [
    ...new Set(rows.flatMap(({ application, warnings }) => warnings.map((warning) => `${application}: ${warning}`))),
  ];
  const shown = all ? lines : lines.slice(0, shownDoubts);
  const more = lines.length - shown.length;
  return [
    ...shown.map((line) => `warning: ${plain(line)}\n`),
    ...(more > 0 ? [`${counted(more, "more warning")} (plumb status --all)\n`] : []),
  ].join("");
}

/** The question to ask next about the row that is worst off. */
function nextText(rows: readonly StatusRow[]): string {
  const worst = rows.find((row) => !isQuiet(row));
  return worst === undefined ? "" : `\nnext: plumb why ${worst.environment}/${worst.application}\n`;
}

const isQuiet = (row: StatusRow): boolean =>
  row.settled === row.clusters && row.drifted === 0 && row.reasons.length === 0;

function healthOf(config: CliConfig, row: StatusRow): string {
  const bad = shownWords
    .filter((word) => row.health[word] > 0)
    .map((word) => symbol(config, word, String(row.health[word])));
  if (bad.length > 0) return bad.join("  ");
  return row.clusters === 0 ? "-" : symbol(config, "Current");
}
