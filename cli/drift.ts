import { ask, follow } from "#cli/client.ts";
import type { CliConfig } from "#cli/config.ts";
import { CliError, exitCode, usage } from "#cli/errors.ts";
import { age, plain, print, table, type Format } from "#cli/output.ts";
import type { DriftRow } from "#proto/api.ts";

export type DriftOptions = { output: Format; since?: string; watch?: boolean; exitCode?: boolean };

/** `plumb drift`: what differed, where, by which tool, and how it ended. */
export async function drift(config: CliConfig, options: DriftOptions, signal: AbortSignal): Promise<void> {
  const sinceMs = options.since === undefined ? 0 : Date.now() - durationMs(options.since);
  const rows = await ask<DriftRow[]>(config, "GET", `/api/v1/drift?sinceMs=${sinceMs}`);
  if (options.output !== "table" && options.output !== "wide")
    print(
      options.output,
      rows,
      () => "",
      () => rows.map(({ episode }) => `drift/${episode}`),
    );
  else
    process.stdout.write(
      rows.length === 0
        ? "nothing differs\n"
        : table(head, rows.map(cells), options.output === "wide" ? undefined : config.width),
    );
  if (options.watch === true) {
    for await (const row of follow<DriftRow>(config, "/api/v1/drift/watch", signal))
      process.stdout.write(
        options.output === "json" ? `${JSON.stringify(row)}\n` : `${cells(row).map(plain).join("  ")}\n`,
      );
  }
  if (options.exitCode === true && rows.some(({ state }) => state === "seen" || state === "contested"))
    throw new CliError(exitCode.no, "something differs now");
}

const head = ["FIRST SEEN", "CLUSTER", "APPLICATION", "OBJECT", "FIELD", "TOOL", "STATE"];

const cells = (row: DriftRow): string[] => [
  age(Date.now() - Date.parse(row.seenAt)),
  row.cluster,
  row.application,
  row.object,
  fieldText(row),
  row.tool || "unknown",
  stateText(row),
];

function fieldText({ fields, kind }: DriftRow): string {
  const [first] = fields;
  if (first === undefined) return kind === "changed" ? "-" : kind;
  const more = fields.length > 1 ? ` (+${fields.length - 1})` : "";
  return `${first.path}  ${first.before || "(none)"} → ${first.after || "(none)"}${more}`;
}

function stateText(row: DriftRow): string {
  if (row.state === "healed") return `healed in ${row.healedInMs ?? 0}ms`;
  return row.reason === "" ? row.state : `${row.state}: ${row.reason}`;
}

export function durationMs(text: string): number {
  const found = /^(\d+)(s|m|h|d)$/.exec(text);
  if (found === null) throw usage(`${text} is no duration: write 30s, 15m, 24h or 7d`);
  return Number(found[1]) * { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[found[2] as "s" | "m" | "h" | "d"];
}
