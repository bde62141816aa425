import { relative } from "node:path";
import type { OfflineConfig } from "#cli/config.ts";
import { CliError, exitCode } from "#cli/errors.ts";
import { chartsElsewhere, isElsewhere, labelOf } from "#cli/offline/charts.ts";
import { openKitchen, type Wish } from "#cli/offline/kitchen.ts";
import { openFleetTree, type FleetTree } from "#cli/offline/tree.ts";
import { wishesOf } from "#cli/offline/wish.ts";
import { hint, render } from "#cli/output.ts";
import { counted } from "#lib/counted.ts";
import { describeProblem, type FleetProblem } from "#hub/fleet/problem.ts";

export type ValidateFormat = "table" | "json" | "yaml" | "github";
export type ValidateOptions = { output: ValidateFormat; render: boolean };

/** `plumb validate [FOLDER]`: reads a checkout's fleet documents as the hub would, and renders each Application once. */
export async function validate(
  config: OfflineConfig,
  folder: string,
  options: ValidateOptions,
  signal: AbortSignal,
): Promise<void> {
  const tree = await openFleetTree(folder, config.searchPath);
  const rendered = options.render ? await renderAll(config, tree, signal) : { problems: [], warnings: [], count: 0 };
  const problems = [...tree.problems, ...rendered.problems];
  const { warnings } = rendered;
  const { clusters, environments, applications } = tree.fleet;
  const counts = `${counted(clusters.size, "cluster")}, ${counted(environments.size, "environment")}, ${counted(applications.size, "application")}, ${counted(rendered.count, "rendering")}`;
  process.stdout.write(
    options.output === "github"
      ? [
          ...problems.map((problem) => annotation("error", problem)),
          ...warnings.map((warning) => annotation("warning", warning)),
        ].join("")
      : render(
          options.output,
          { folder, files: tree.documents, rendered: rendered.count, problems, warnings },
          () =>
            [
              ...problems.map((problem) => `${describeProblem(problem)}\n`),
              ...warnings.map((warning) => `warning: ${describeProblem(warning)}\n`),
              ...(problems.length === 0 ? [`${folder} is valid: ${counts}\n`] : []),
            ].join(""),
          () => [],
        ),
  );
  if (problems.length > 0) throw new CliError(exitCode.no, `${counted(problems.length, "problem")} in ${folder}`);
}

/** Every way in which an Application would be rendered; equal renderings give one problem. */
async function renderAll(
  config: OfflineConfig,
  { fleet, files, checkout }: FleetTree,
  signal: AbortSignal,
): Promise<{ problems: FleetProblem[]; warnings: FleetProblem[]; count: number }> {
  await using kitchen = await openKitchen(config.tools, chartsElsewhere(config), signal);
  const problems = new Map<string, FleetProblem>();
  const warnings = new Map<string, FleetProblem>();
  const note = (found: Map<string, FleetProblem>, text: string, declared: DeclaredAt, wish: Wish): void => {
    const key = `${declared.name} ${text}`;
    if (!found.has(key)) found.set(key, problemOf(text, declared, `${wish.environment}, ${wish.cluster}`));
  };
  let count = 0;
  for (const declared of fleet.applications.values()) {
    if (declared.source.repository !== null) {
      hint(`${declared.name} is not rendered: it comes from the Repository ${declared.source.repository}`);
      continue;
    }
    const { chart } = declared.source.helm;
    if (chart !== null && isElsewhere(chart)) {
      hint(
        `${declared.name} is not rendered: its chart, ${labelOf(chart)}, lies elsewhere: plumb render ${declared.name} asks the hub for it, or takes a copy by --chart`,
      );
      continue;
    }
    for (const wish of wishesOf(fleet, declared.name)) {
      const dish = await kitchen.cook(fleet, files, wish);
      count += 1;
      if (!dish.ok) note(problems, dish.because, declared, wish);
      else for (const warning of dish.warnings) note(warnings, warning, declared, wish);
    }
  }
  hint(`rendered ${counted(count, "time")} from ${relative(".", checkout.root) || "."}`);
  return { problems: [...problems.values()], warnings: [...warnings.values()], count };
}

type DeclaredAt = { readonly file: string; readonly line: number; readonly name: string };

/** At the file and line that the message begins with, or at the Application's document. */
function problemOf(because: string, { file, line, name }: DeclaredAt, where: string): FleetProblem {
  const placed = /^([^\s:]+):(\d+): (.*)$/s.exec(because);
  const message = `${placed?.[3] ?? because} (Application ${name} for ${where})`;
  return placed === null
    ? { file, line, field: "", message }
    : { file: placed[1]!, line: Number(placed[2]), field: "", message };
}

/** One line a problem, as GitHub Actions turns it into a remark beside the line. */
function annotation(level: "error" | "warning", { file, line, field, message }: FleetProblem): string {
  const text = `${field === "" ? "" : `${field} `}${message}`;
  return `::${level} file=${property(file)},line=${line},title=plumb validate::${escaped(text)}\n`;
}

const escaped = (text: string): string => text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
const property = (text: string): string => escaped(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
