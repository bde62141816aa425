import { posix } from "node:path";
import { kustomizationNames } from "#hub/render/kustomization.ts";
import { RenderRefused } from "#hub/render/render-problem.ts";

export type RendererName = "plain" | "kustomize" | "helm";
export type Choice = { readonly renderer: RendererName; /** For people. */ readonly because: string };

/**
 * How a folder is rendered when `render: auto` leaves it to its files: what lies in the folder itself decides. A tool's
 * files further down are refused: applied as they are, they would be objects of a kind that no server has.
 */
export function chooseRenderer(wanted: RendererName | "auto", folder: string, paths: readonly string[]): Choice {
  if (wanted !== "auto") return { renderer: wanted, because: `render: ${wanted}` };
  const marks = paths.filter((path) => toolOf(path) !== undefined);
  const own = marks.filter((path) => posix.dirname(path) === (folder === "" ? "." : folder));
  const tools = new Set(own.map(toolOf));
  if (tools.size > 1)
    throw new RenderRefused(`${folder || "."} holds ${own.join(" and ")}: say render: kustomize, or render: helm`);
  const [first] = own;
  if (first !== undefined) return { renderer: toolOf(first)!, because: `render: auto found ${first}` };
  const [below] = marks;
  if (below !== undefined)
    throw new RenderRefused(
      `${folder || "."} has plain manifests and ${below} below them: give ${posix.dirname(below)} an Application of its own, or say render: plain`,
    );
  return { renderer: "plain", because: "render: auto found neither a kustomization nor a Chart.yaml" };
}

function toolOf(path: string): "kustomize" | "helm" | undefined {
  const name = posix.basename(path);
  if (kustomizationNames.includes(name)) return "kustomize";
  return name === "Chart.yaml" ? "helm" : undefined;
}
