import { afterAll, beforeAll, expect, test } from "vitest";
import type { GitServer } from "#test/harness/git-server.ts";
import { namespace } from "#test/harness/manifests.ts";
import { forge, forgeDeltaBomb, forgeNoise, forgeZeros } from "#test/hostile/forge.ts";
import { hubMegabytes } from "#test/hostile/hub.ts";
import { openHostileTable, type HostileTable } from "#test/hostile/table.ts";

const [megabyte, gibibyte] = [1_000_000, 2 ** 30];

type Row = {
  readonly row: string;
  readonly what: string;
  /** Fills a repository of this name, whose Application reads apps/NAME. */
  readonly fill: (server: GitServer, name: string) => Promise<unknown>;
  /** Said of the repository when it cannot be fetched, otherwise of its Application. */
  readonly by: "alarm" | "reason";
  readonly because: RegExp;
};

// At full size, against the limits that the hub is run with.
const rows: readonly Row[] = [
  {
    row: "G6",
    what: "a delta of 1 KB that unpacks to 3 GiB",
    fill: (server, name) => forgeDeltaBomb(server, name, 3 * gibibyte),
    by: "alarm",
    because: /it needs more than 2048 MiB of memory/,
  },
  {
    row: "G6",
    what: "a pack of 4.5 GB",
    fill: (server, name) => forgeNoise(server, name, 45, 100 * megabyte),
    by: "alarm",
    // Whichever is reached first on this machine.
    because: /it holds more than 4096 MiB|not fetched within 120 s/,
  },
  {
    row: "G6",
    what: "a file of 4 GiB that packs to 4 MB",
    fill: (server, name) => forgeZeros(server, name, 4 * gibibyte),
    by: "reason",
    because: /zeros\.yaml is 4294967296 bytes, at most 1 MiB is read/,
  },
  {
    row: "G5",
    what: "three files of 100 MB",
    fill: (server, name) => forgeNoise(server, name, 3, 100 * megabyte),
    by: "reason",
    because: /\d\.bin is 100000000 bytes, at most 1 MiB is read/,
  },
  {
    row: "G5",
    what: "100,000 files in the Application's folder",
    fill: (server, name) => forge(server, name, many(`apps/${name}`)),
    by: "reason",
    because: /holds (100000 files, at most 10000 are read|more files, or longer names, than are read)/,
  },
  {
    row: "G5",
    what: "folders 10,000 deep",
    fill: (server, name) =>
      forge(server, name, [{ path: `apps/${name}/${"d/".repeat(10_000)}a.yaml`, content: "x: 1" }]),
    by: "reason",
    because: /its path is \d+ bytes long|maximum allowed tree depth/,
  },
];

const many = (folder: string) =>
  Array.from({ length: 100_000 }, (_, n) => ({ path: `${folder}/${n % 1_000}/${n}.yaml`, content: `n: ${n}\n` }));

let opened: HostileTable;
let hub: HostileTable["hub"];
let table: string[];
beforeAll(async () => {
  opened = await openHostileTable();
  ({ hub, table } = opened);
});
afterAll(() => opened?.[Symbol.asyncDispose]());

/** Longer than the hub fetches, and so than one wait of the world is. */
const waits = 4;

async function sayingOf({ by }: Row, name: string): Promise<readonly string[]> {
  for (let n = 1; ; n += 1)
    try {
      return by === "alarm" ? [await hub.alarm(name)] : await hub.told(name);
    } catch (error) {
      if (n === waits) throw error;
    }
}

test.each(rows.map((row, n) => ({ ...row, name: `full-${n}` })))(
  "$row $what: one clear error, and the others go on meanwhile and afterwards",
  async ({ name, ...row }) => {
    const { world, peak } = hub;
    const url = await world.git.createRepository(name);
    await row.fill(world.git, name);
    await peak.reset();
    await hub.declare(name, url);
    const meanwhileMs = await hub.publish();
    const said = await sayingOf(row, name);
    const afterwardsMs = await hub.publish();
    const megabytes = await peak.megabytes();
    const times = [meanwhileMs, afterwardsMs].map(Math.round).join(", ");
    table.push(`| ${row.row} | ${row.what} | ${said.join(" / ").slice(0, 200)} | ${megabytes} MB | ${times} ms |`);
    await hub.undeclare(name);
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(row.because);
    expect(said[0]!.length).toBeLessThan(1_500);
    expect(megabytes).toBeLessThan(hubMegabytes);
  },
);

test("G5 a folder beside 100,000 files is published, and each change to it", async () => {
  const { world, peak } = hub;
  const url = await world.git.createRepository("beside");
  await forge(world.git, "beside", [
    ...many("data"),
    { path: "apps/beside/namespace.yaml", content: namespace("beside") },
  ]);
  await peak.reset();
  await hub.declare("beside", url);
  const times = [await hub.publish("beside", "beside"), await hub.publish("beside", "beside")].map(Math.round);
  const megabytes = await peak.megabytes();
  table.push(`| G5 | a folder beside 100,000 files | published | ${megabytes} MB | ${times.join(", ")} ms |`);
  expect(megabytes).toBeLessThan(hubMegabytes);
});

test("all of them at once: each has its error, the others go on, and the hub's memory holds", async () => {
  const { peak, world } = hub;
  await peak.reset();
  const all = rows.map((row, n) => ({ ...row, name: `full-${n}` }));
  for (const { name } of all) await hub.declare(name, world.fleetUrl.replace("fleet.git", `${name}.git`));
  const times = [await hub.publish()];
  for (const { name, because, ...row } of all)
    expect((await sayingOf({ ...row, because }, name)).join()).toMatch(because);
  times.push(await hub.publish(), await hub.publish("beside", "beside"));
  const megabytes = await peak.megabytes();
  table.push(`| all | ${rows.length} at once | | ${megabytes} MB | ${times.map(Math.round).join(", ")} ms |`);
  expect(megabytes).toBeLessThan(hubMegabytes);
});
