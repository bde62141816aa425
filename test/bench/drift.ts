import type { DriftRow } from "#proto/api.ts";
import type { KubeObject } from "#proto/object.ts";
import { b1000 } from "#test/bench/b1000.ts";
import { applyB1000 } from "#test/bench/fleet.ts";
import { figure, quantile, type BenchResult } from "#test/bench/figures.ts";
import { startReleased } from "#test/bench/release.ts";
import type { Trio } from "#test/harness/trio.ts";

/** Five edits a second: fast for people, and slow enough that each is measured alone. */
const editEveryMs = 200;
/** What was not healed by then is counted as that, and told by the figures. */
const limitMs = 10_000;

/** `changed`: the watcher saw the edit. Times as performance.now() has them. */
type Times = { edited?: number; changed?: boolean; seen?: number; healed?: number };

/** Hand edits of one object each: from the edit's answer to the report at the hub, and to the healed object. */
export async function drift(quick: boolean): Promise<Pick<BenchResult, "runs" | "figures">> {
  await using trio = await startReleased();
  await applyB1000(trio);
  const edits = quick ? 100 : 500;
  const kind = (await trio.people.dev.kindOf("v1", "ConfigMap"))!;
  const { items, resourceVersion } = await trio.people.dev.list(kind, { labelSelector: "app=b1000" });
  const desired = new Set(b1000().map(({ metadata }) => metadata.name));
  const objects = items.filter(({ metadata }) => desired.has(metadata.name)).slice(0, edits);
  const times = new Map<string, Times>(objects.map((object) => [nameOf(object), {}]));
  const stop = new AbortController();
  const watching = watchHealed(trio, kind, resourceVersion, times, stop.signal);
  const following = followReports(trio, times, stop.signal);
  await following.opened;
  for (const object of objects) {
    const changed = { ...object, data: { ...(object["data"] as object), a: "by hand" } } as KubeObject;
    await trio.people.dev.replace(changed);
    times.get(nameOf(object))!.edited = performance.now();
    await new Promise((resolve) => setTimeout(resolve, editEveryMs));
  }
  const deadline = performance.now() + limitMs;
  const isOver = ({ seen, healed }: Times): boolean => seen !== undefined && healed !== undefined;
  while (![...times.values()].every(isOver) && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 50));
  stop.abort();
  await Promise.all([watching, following.ended]);
  const after = (which: "seen" | "healed"): number[] =>
    // The event may overtake the answer of the edit itself.
    [...times.values()].map((time) => Math.max(0, (time[which] ?? deadline) - time.edited!)).sort((a, b) => a - b);
  const [seen, healed] = [after("seen"), after("healed")];
  return {
    runs: objects.length,
    figures: {
      seenP50Ms: figure(seen, "ms", 25),
      healedP50Ms: figure(healed, "ms", 50),
      healedP99Ms: figure([quantile(healed, 0.99)], "ms", 250),
    },
  };
}

const nameOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ""}/${metadata.name}`;

async function watchHealed(
  trio: Trio,
  kind: NonNullable<Awaited<ReturnType<Trio["people"]["dev"]["kindOf"]>>>,
  resourceVersion: string,
  times: ReadonlyMap<string, Times>,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const event of trio.people.dev.watch(kind, resourceVersion, { labelSelector: "app=b1000", signal })) {
      if (event.type !== "MODIFIED") continue;
      const time = times.get(nameOf(event.object));
      const { a } = event.object["data"] as { a?: string };
      if (time !== undefined && a !== "v0") time.changed = true;
      // The heal, too, may overtake the answer of the edit.
      if (time?.changed === true && a === "v0") time.healed ??= performance.now();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** The hub's own stream of drift, as `plumb drift --watch` reads it. */
function followReports({ world }: Trio, times: ReadonlyMap<string, Times>, signal: AbortSignal) {
  let ready = (): void => undefined;
  const opened = new Promise<void>((resolve) => (ready = resolve));
  const read = async (): Promise<void> => {
    const response = await world.request("/api/v1/drift/watch", signal);
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of response.body!) {
      ready();
      text += decoder.decode(chunk, { stream: true });
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        if (!line.startsWith("data: ")) continue;
        const { object } = JSON.parse(line.slice("data: ".length)) as DriftRow;
        const time = times.get(object.slice(object.indexOf(" ") + 1));
        if (time !== undefined) time.seen ??= performance.now();
      }
    }
  };
  const ended = read().catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
  return { opened, ended };
}
