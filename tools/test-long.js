// npm run test:long: what takes longer than anyone waits for before each commit.
import { ensurePackages, ensureServers, explain, servers } from "./setup.js";
import { runTests } from "./run-tests.js";

await explain(async () => {
  await ensurePackages();
  await ensureServers(servers.map(({ name }) => name));
  const { passed, failed, skipped } = await runTests(["--project", "long", ...process.argv.slice(2)]);
  process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped\n`);
  if (failed > 0) process.exitCode = 1;
});
