/** Who asked, and why, as the hub wrote it at the end of a commit of its own. Empty where nothing is said. */
export const trailersOf = (body: string): { actor: string; reason: string } => ({
  actor: trailer(body, "Plumbline-Actor"),
  reason: trailer(body, "Plumbline-Reason"),
});

const trailer = (body: string, name: string): string =>
  body
    .split("\n")
    .findLast((line) => line.startsWith(`${name}: `))
    ?.slice(name.length + 2)
    .trim() ?? "";
