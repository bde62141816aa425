import { existsSync } from "node:fs";
import { isAbsolute } from "node:path";
import { availableParallelism, tmpdir } from "node:os";
import type { Fence, FenceLimits } from "#hub/render/fence.ts";
import { atMost } from "#lib/at-most.ts";
import { RenderOverrun, RenderRefused, RenderUnfinished } from "#hub/render/render-problem.ts";

/** The versions that render. Another one could give other objects from the same commit. */
export const toolVersions = { kustomize: "5.8.1", helm: "4.3.1" } as const;
export type ToolName = keyof typeof toolVersions;

// Both are Go programs that live for a moment: collecting garbage costs them a third of it, and saves nothing before they
// come near their limit. kube-prometheus-stack makes 150 MB of it.
const env = { GOGC: "off", GOMEMLIMIT: "512MiB" };
/** kube-prometheus-stack takes 0.2 s, 300 MB of address space and 5 MB of output. */
const limits: FenceLimits = { timeMs: 60_000, cpuSeconds: 60, memoryBytes: 2 * 2 ** 30, outputBytes: 32 * 2 ** 20 };

const homes = { kustomize: "https://kubectl.docs.kubernetes.io/installation/kustomize", helm: "https://helm.sh/docs" };

const refusals = { verbose: RenderRefused, over: RenderOverrun, unfenced: RenderUnfinished };

/** The two renderers that are not ours, run behind the fence. */
export type Tools = {
  /** What it wrote to stdout. Throws RenderRefused with its complaint, or when it is missing or of another version. */
  run(tool: ToolName, arguments_: readonly string[], directory: string, signal?: AbortSignal): Promise<Buffer>;
};

export function openTools(fence: Fence, paths: Readonly<Record<ToolName, string>>): Tools {
  // A round may want a chart for a hundred clusters: each of their children takes memory.
  const limited = atMost(availableParallelism());
  const versions = new Map<ToolName, string>();
  const runOne = async (tool: ToolName, arguments_: readonly string[], directory: string, signal?: AbortSignal) => {
    const command = { binary: paths[tool], arguments: arguments_, directory, limits, env, signal };
    const outcome = await limited(() => fence.run(command));
    if (outcome.kind === "done") return outcome.output;
    if (outcome.kind === "failed") throw new RenderRefused(`${tool}: ${lastWords(outcome.complaint, directory)}`);
    throw new refusals[outcome.kind](`${tool} ${outcome.because}`);
  };
  const check = async (tool: ToolName): Promise<void> => {
    const wanted = toolVersions[tool];
    const how = `install it from ${homes[tool]}, name it with PLUMBLINE_${tool.toUpperCase()}, and start the hub again (in a clone: node tools/setup.js ${tool})`;
    if (!isAbsolute(paths[tool]) || !existsSync(paths[tool]))
      throw new RenderUnfinished(`this needs ${tool} ${wanted}, which the hub has not: ${how}`);
    if (!versions.has(tool)) versions.set(tool, (await runOne(tool, ["version"], tmpdir())).toString("utf8"));
    const found = /v?(\d+\.\d+(?:\.\d+)?(?:-[\w.]+)?)/.exec(versions.get(tool)!)?.[1] ?? "of no known version";
    if (found !== wanted) throw new RenderUnfinished(`this needs ${tool} ${wanted}, and the hub has ${found}: ${how}`);
  };
  return {
    async run(tool, arguments_, directory, signal) {
      await check(tool);
      return await runOne(tool, arguments_, directory, signal);
    },
  };
}

/** Its folder is ours and temporary: people know their files by the names in Git. */
const lastWords = (complaint: string, directory: string): string =>
  shortened(
    complaint.replaceAll(`${directory}/`, "").replaceAll(directory, ".").trim().split("\n").slice(-8).join(" "),
  ) || "failed without a word";

/** A template that includes itself complains a thousand times over: its beginning and its end say all. */
const shortened = (text: string): string => (text.length <= 700 ? text : `${text.slice(0, 400)} … ${text.slice(-250)}`);
