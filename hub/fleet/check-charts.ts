import type { FleetDocument } from "./document.ts";
import type { FieldPath } from "./problem.ts";

type Problem = { readonly document: FleetDocument; readonly path: FieldPath; readonly message: string };

/** An Application that looks for a folder where charts are published, or for a published chart in Git. */
export function chartsOfAnotherKind(documents: readonly FleetDocument[]): Problem[] {
  const types = new Map(
    documents.flatMap((document) =>
      document.kind === "Repository" ? [[document.value.name, document.value.type] as const] : [],
    ),
  );
  return documents.flatMap((document) => {
    if (document.kind !== "Application") return [];
    const { repository, helm } = document.value.source;
    const own = repository === null ? undefined : types.get(repository);
    const chart = helm.chart?.repository ? types.get(helm.chart.repository) : undefined;
    const problems: Problem[] = [];
    if (own !== undefined && own !== "git")
      problems.push({
        document,
        path: ["spec", "source", "repository"],
        message: `names a Repository of type ${own}: its charts go into helm.chart`,
      });
    const path = ["spec", "source", "helm", "chart", "repository"];
    if (chart !== undefined && helm.chart?.from === "archive" && chart === "git")
      problems.push({
        document,
        path,
        message: "names a Git repository: say path and revision instead of name and version",
      });
    if (chart !== undefined && helm.chart?.from === "git" && chart !== "git")
      problems.push({
        document,
        path,
        message: `names a Repository of type ${chart}: say name and version instead of path`,
      });
    return problems;
  });
}
