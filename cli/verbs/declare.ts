import { Option, type Command } from "commander";
import type { GlobalOptions, OfflineConfig } from "#cli/config.ts";
import { parseFormat, type Format } from "#cli/output.ts";

/** What a verb's action is given beside its own words. */
export type Run = {
  /** The environment's settings under the options that were given. */
  readonly config: (given: GlobalOptions) => Promise<OfflineConfig>;
  readonly signal: AbortSignal;
};

/** Options of every verb that asks the hub. */
export type Asked = GlobalOptions & { output: Format };

/** How `plumb --help` sorts the verbs. */
export const group = {
  look: "What runs:",
  change: "Changing it, by commits:",
  author: "Before a push:",
  process: "Running it:",
} as const;

export const output = (command: Command): Command =>
  command
    .addOption(
      new Option("-o, --output <format>", "table, wide, json, yaml or name")
        .default("table")
        .argParser(parseFormat)
        .helpGroup("Output:"),
    )
    .addOption(new Option("--no-color", "no colours, as NO_COLOR does").helpGroup("Output:"));

export const hubAddress = (command: Command): Command =>
  command
    .addOption(
      new Option("--hub <url>", "the hub's HTTP address (PLUMBLINE_HUB; http://127.0.0.1:8080)").helpGroup("Hub:"),
    )
    .addOption(
      new Option(
        "--token-file <file>",
        "a file that holds your token (PLUMBLINE_TOKEN_FILE, or PLUMBLINE_TOKEN itself)",
      ).helpGroup("Hub:"),
    );

/** A verb that asks the hub and prints what it answers: last, so that its own options stand first in its help. */
export const asksHub = (command: Command): Command => hubAddress(output(command));

export const examples = (...lines: string[]): string => `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`;

/** An option that may be given several times. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value];
