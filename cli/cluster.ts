import { setTimeout as sleep } from "node:timers/promises";
import { ask } from "#cli/client.ts";
import type { CliConfig } from "#cli/config.ts";
import { CliError, exitCode, usage } from "#cli/errors.ts";
import { age, hint, plain, print, shortRevision, symbol, table, type Format } from "#cli/output.ts";
import type { ChangeAnswer, ClusterAnswer, ClusterRow, ProblemRow, RegisterAnswer } from "#proto/api.ts";

const lookEveryMs = 1_000;

export async function listClusters(config: CliConfig, options: { output: Format }): Promise<void> {
  const rows = await ask<ClusterRow[]>(config, "GET", "/api/v1/clusters");
  print(
    options.output,
    rows,
    () =>
      rows.length === 0
        ? "no clusters yet: plumb cluster register NAME -l env=prod\n"
        : clusterTable(config, rows, options.output),
    () => rows.map(({ cluster }) => `cluster/${cluster}`),
  );
}

function clusterTable(config: CliConfig, rows: readonly ClusterRow[], format: Format): string {
  const wide = format === "wide";
  const head = [
    "CLUSTER",
    "STATE",
    "HEARD",
    "HEALTH",
    "DRIFT",
    "APPLICATIONS",
    "OBJECTS",
    ...(wide ? ["KUBERNETES", "AGENT"] : []),
    "LABELS",
  ];
  const lines = rows.map((row) => [
    row.cluster,
    row.state,
    row.heardAgoMs === null ? "-" : age(row.heardAgoMs),
    symbol(config, row.health),
    row.drifted === 0 ? "-" : symbol(config, "Drifted", String(row.drifted)),
    String(row.applications),
    String(row.objects),
    ...(wide ? [row.kubernetes || "-", row.agent || "-"] : []),
    labelText(row.labels),
  ]);
  return table(head, lines, wide ? undefined : config.width);
}

export async function showCluster(config: CliConfig, name: string, options: { output: Format }): Promise<void> {
  const cluster = await ask<ClusterAnswer>(config, "GET", `/api/v1/clusters/${encodeURIComponent(name)}`);
  print(
    options.output,
    cluster,
    () => clusterText(config, cluster),
    () => [`cluster/${cluster.cluster}`],
  );
}

function clusterText(config: CliConfig, cluster: ClusterAnswer): string {
  const heard = cluster.heardAgoMs === null ? "never by this hub" : `${age(cluster.heardAgoMs)} ago`;
  const top = [
    `${cluster.cluster}  ${cluster.state}  heard ${heard}`,
    `labels      ${labelText(cluster.labels) || "-"}`,
    `kubernetes  ${cluster.kubernetes || "unknown"}   agent ${cluster.agent || "unknown"}`,
    "",
  ].join("\n");
  const head = ["APPLICATION", "ENVIRONMENT", "REVISION", "PHASE", "HEALTH", "OBJECTS", "DRIFT", "REPORTED", "REASON"];
  const rows = cluster.running.map((row) => [
    row.application,
    row.environment,
    shortRevision(row.revision) || "-",
    row.phase,
    symbol(config, row.health),
    `${row.current}/${row.objects}`,
    row.drifted === 0 ? "-" : symbol(config, "Drifted", String(row.drifted)),
    age(row.reportedAgoMs),
    row.reason,
  ]);
  const problems = cluster.running.flatMap(({ problems }) => problems.map((problem) => problemLine(config, problem)));
  const exceptional = cluster.running.flatMap(({ exceptional }) =>
    exceptional.map(({ object, health, reason }) => `  ${symbol(config, health)} ${plain(`${object}: ${reason}`)}\n`),
  );
  return `${top}\n${rows.length === 0 ? "nothing is reported yet\n" : table(head, rows, config.width)}${problems.join("")}${exceptional.join("")}${nextText(cluster)}`;
}

/** The question to ask next about what is not well, worst first as the rows are. */
function nextText({ cluster, running }: ClusterAnswer): string {
  const worst = running.find(({ health, drifted, reason }) => health !== "Current" || drifted > 0 || reason !== "");
  return worst === undefined ? "" : `\nnext: plumb why ${cluster} ${worst.application}\n`;
}

function problemLine(config: CliConfig, { object, reason, message, nextTryInMs }: ProblemRow): string {
  const next =
    nextTryInMs === null
      ? "not tried again before another revision"
      : `tried again ${nextTryInMs === 0 ? "now" : `in ${age(nextTryInMs)}`}`;
  return `  ${symbol(config, "Failed")} ${plain(`${object}: ${reason}: ${message}`)}; ${next}\n`;
}

export type RegisterOptions = {
  label?: string[];
  wait?: boolean;
  profile?: string;
  namespaces?: string;
  kinds?: string;
  serviceAccount?: string[];
};

/** What the manifests of a tenant's agent allow it; undefined for those of an admin's. */
function tenantOf({ profile = "admin", namespaces, kinds, serviceAccount = [] }: RegisterOptions) {
  if (profile === "admin") {
    if (namespaces ?? kinds ?? serviceAccount[0])
      throw usage("--namespaces, --kinds and --service-account are for --profile tenant");
    return undefined;
  }
  if (profile !== "tenant") throw usage(`--profile ${profile} is none: it is admin or tenant`);
  const list = (text: string | undefined): string[] => (text ?? "").split(",").filter(Boolean);
  if (list(namespaces).length === 0 || list(kinds).length === 0)
    throw usage("--profile tenant needs --namespaces shop,... and --kinds apps/Deployment,ConfigMap,...");
  return { namespaces: list(namespaces), kinds: list(kinds), serviceAccounts: serviceAccount };
}

export async function registerCluster(
  config: CliConfig,
  name: string,
  options: RegisterOptions & { output: Format },
  signal: AbortSignal,
): Promise<void> {
  const labels = Object.fromEntries((options.label ?? []).map(parseLabel));
  const tenant = tenantOf(options);
  const answer = await ask<RegisterAnswer>(config, "POST", "/api/v1/clusters", {
    name,
    labels,
    ...(tenant && { tenant }),
  });
  print(
    options.output,
    answer,
    () =>
      // Ready for kubectl: rights are a matter of reading them first.
      tenant === undefined ? joinText(name, answer) : answer.paste,
    () => [`cluster/${name}`],
  );
  if (options.wait === true) await waitUntilJoined(config, name, signal);
}

const joinText = (name: string, answer: RegisterAnswer): string =>
  `declared ${name} in ${answer.file} (commit ${shortRevision(answer.commit)})
On a machine that can reach the new cluster, within 1 hour:

  ${answer.joinCommand}

  or, with nothing but kubectl there:
  plumb cluster register ${name} -o json | jq -r .paste | kubectl apply -f -
`;

async function waitUntilJoined(config: CliConfig, name: string, signal: AbortSignal): Promise<void> {
  const started = Date.now();
  hint(`waiting for ${name} …`);
  while (!signal.aborted) {
    const cluster = await ask<ClusterAnswer>(config, "GET", `/api/v1/clusters/${name}`);
    if (cluster.state === "Connected") return hint(`${name} joined after ${age(Date.now() - started)}`);
    if (Date.now() - started > 3_600_000)
      throw new CliError(exitCode.no, `${name} did not join within an hour`, "register it again");
    await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
  }
}

export async function revokeCluster(
  config: CliConfig,
  name: string,
  options: { reason: string; output: Format },
): Promise<void> {
  const answer = await ask<ChangeAnswer>(config, "POST", `/api/v1/clusters/${encodeURIComponent(name)}/revoke`, {
    reason: options.reason,
  });
  print(
    options.output,
    answer,
    () => `revoked ${name} (commit ${shortRevision(answer.commit)}); it keeps everything it runs\n`,
    () => [`cluster/${name}`],
  );
}

export function parseLabel(text: string): [string, string] {
  const at = text.indexOf("=");
  if (at <= 0) throw usage(`-l ${text} is no label: write name=value`);
  return [text.slice(0, at), text.slice(at + 1)];
}

const labelText = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(",");
