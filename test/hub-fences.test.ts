import { expect, test } from "vitest";
import { startWorld } from "#test/harness/world.ts";

test("a hub says at its start which fences this machine lacks, and serves all the same", async () => {
  await using world = await startWorld({ env: { PLUMBLINE_UNSHARE: "/nonexistent/unshare" } });
  await world.git.commit("fleet", "main", { "fleet/README.md": "" }, "empty");
  await world.startHub();
  const lines = world.hub().log().split("\n");
  const said = lines.filter((line) => line.includes("without this fence"));
  expect(said).toEqual([expect.stringContaining("the network is not cut off: unshare --user --net is not there")]);
});
