import { expect, test } from "vitest";
import { startWorld } from "#test/harness/world.ts";

test("a hub says at its start which fences this machine lacks, and serves all the same", async () => {
  await using world = await startWorld({ env: { PLUMBLINE_UNSHARE: "/nonexistent/unshare" } });
  await world.git.commit("fleet", "main", { "fleet/README.md": "" }, "empty");
  await world.startHub();
  const said = (): string[] =>
    world
      .hub()
      .log()
      .split("\n")
      .filter((line) => line.includes("without this fence"));
  // What a process has written is not yet read, although it answers elsewhere.
  await world.until("its word", () => Promise.resolve(said().length > 0));
  expect(said()).toEqual([expect.stringContaining("the network is not cut off: unshare --user --net is not there")]);
});
