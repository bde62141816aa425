import { ChartUnavailable } from "#hub/charts/download.ts";
import { GitFailed } from "#hub/git/command.ts";
import { ContentRefused } from "#hub/git/contents.ts";
import type { FailureKind } from "#hub/loop/kept-failures.ts";
import { YamlProblem } from "#hub/render/kube-yaml.ts";
import { RenderOverrun, RenderRefused, RenderUnfinished } from "#hub/render/render-problem.ts";
import { PathRefused } from "#hub/render/workplace.ts";

/** Why a rendering gave nothing, and what it takes to try again. */
export type Cause =
  /** The files are at fault, or what they ask for. */
  | { readonly kind: FailureKind; readonly because: string }
  /** A commit is not here, and may be fetched yet. */
  | { readonly kind: "absent"; readonly because: string }
  /** Something else than the files stood in the way: another try may find it gone. `unforeseen`: nobody knows what. */
  | { readonly kind: "passing" | "unforeseen"; readonly because: string };

/** What went wrong, for people. The message says it all; a cause would say it twice. */
export function causeOf(error: unknown, folder: string, revision: string): Cause {
  const place = folder || "its folder";
  if (isUnknownRevision(error)) return { kind: "absent", because: `no branch of its repository holds ${revision}` };
  if (error instanceof RenderUnfinished) return { kind: "passing", because: error.message };
  if (error instanceof RenderOverrun) return { kind: "overrun", because: error.message };
  if (problems.some((kind) => error instanceof kind)) return { kind: "fault", because: (error as Error).message };
  if (error instanceof ChartUnavailable)
    return { kind: "passing", because: `spec.source.helm.chart: ${error.message}` };
  if (error instanceof GitFailed)
    return { kind: "passing", because: `${place} cannot be read from Git: ${error.message}` };
  const { code, name } = error as NodeJS.ErrnoException;
  return { kind: "unforeseen", because: `${place} could not be rendered (${code ?? name}); the hub's log says more` };
}

/** What is wrong with the files, and not with the hub. */
const problems = [ContentRefused, RenderRefused, PathRefused, YamlProblem];

/** A Promotion may name a commit that no branch here has, or has yet. */
const isUnknownRevision = (error: unknown): boolean =>
  error instanceof GitFailed &&
  /not a tree object|bad object|not a valid object|could not get object/i.test(error.message);
