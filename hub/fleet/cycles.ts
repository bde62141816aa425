/** For each node that lies on a cycle, one cycle through it: `[a, b, a]`. `next` may name nodes that do not exist. */
export function cyclesOf(next: ReadonlyMap<string, readonly string[]>): Map<string, string[]> {
  const cycles = new Map<string, string[]>();
  for (const start of next.keys()) {
    const back = pathBack(start, next);
    if (back) cycles.set(start, back);
  }
  return cycles;
}

/** Breadth first, so that the shortest cycle is shown. */
function pathBack(start: string, next: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const from = new Map<string, string>();
  const queue = [start];
  for (const node of queue)
    for (const neighbour of next.get(node) ?? []) {
      if (neighbour === start) return [...trace(node, start, from), start];
      if (from.has(neighbour)) continue;
      from.set(neighbour, node);
      queue.push(neighbour);
    }
  return undefined;
}

function trace(node: string, start: string, from: ReadonlyMap<string, string>): string[] {
  const path = [node];
  while (path.at(-1) !== start) path.push(from.get(path.at(-1)!)!);
  return path.reverse();
}
