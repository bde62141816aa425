import { afterAll, beforeAll, expect, test } from "vitest";
import type { Entry } from "#test/hostile/forge.ts";
import { applicationOf, hubMegabytes } from "#test/hostile/hub.ts";
import { openHostileTable, type HostileTable } from "#test/hostile/table.ts";
import { rows } from "#test/hostile/rows.ts";

let opened: HostileTable;
let hub: HostileTable["hub"];
let table: string[];
beforeAll(async () => {
  opened = await openHostileTable();
  ({ hub, table } = opened);
});
afterAll(() => opened?.[Symbol.asyncDispose]());

const filesOf = (name: string, entries: readonly Entry[]): Entry[] =>
  entries.map((entry) => ({ ...entry, path: `apps/${name}/${entry.path}` }));

test.each(rows.map((row, n) => ({ ...row, name: `bad-${n}` })))(
  "$row $what: one clear reason, and the others go on",
  async ({ row, what, name, entries, because }) => {
    const { peak, world } = hub;
    await peak.reset();
    await hub.commit([...filesOf(name, entries), { path: `fleet/${name}.yaml`, content: applicationOf(name) }]);
    const reasons = await hub.told(name);
    const publishedMs = await hub.publish();
    const megabytes = await peak.megabytes();
    table.push(
      `| ${row} | ${what} | ${reasons.join(" / ").slice(0, 160)} | ${megabytes} MB | ${Math.round(publishedMs)} ms |`,
    );
    await world.git.commit("fleet", "main", { [`apps/${name}`]: null, [`fleet/${name}.yaml`]: null }, "gone again");
    expect(reasons).toHaveLength(1);
    expect(reasons[0]).toMatch(because);
    expect(reasons[0]!.length).toBeLessThan(1_500);
    expect(megabytes).toBeLessThan(hubMegabytes);
  },
);

test("all of them at once: each has its reason, the others go on, and the hub's memory holds", async () => {
  await hub.peak.reset();
  const all = rows.map((row, n) => ({ ...row, name: `all-${n}` }));
  await hub.commit(
    all.flatMap(({ name, entries }) => [
      ...filesOf(name, entries),
      { path: `fleet/${name}.yaml`, content: applicationOf(name) },
    ]),
  );
  const publishedMs = [await hub.publish(), await hub.publish()];
  for (const { name, because } of all) expect((await hub.told(name)).join()).toMatch(because);
  publishedMs.push(await hub.publish());
  const megabytes = await hub.peak.megabytes();
  table.push(`| all | ${rows.length} at once | | ${megabytes} MB | ${publishedMs.map(Math.round).join(", ")} ms |`);
  expect(megabytes).toBeLessThan(hubMegabytes);
});
