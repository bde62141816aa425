// npm test: everything. Builds what is missing, runs the gate's static steps and every test on real servers.
import { ensurePackages, ensureServers, explain, servers } from "./setup.js";
import { runSteps, staticSteps } from "./gate.js";
import { runTests } from "./run-tests.js";

await explain(async () => {
  await ensurePackages();
  await ensureServers(servers.map(({ name }) => name));
  const clean = runSteps(staticSteps);
  const { passed, failed, skipped } = await runTests([
    "--project",
    "unit",
    "--project",
    "journeys",
    ...process.argv.slice(2),
  ]);
  process.stdout.write(`\n${passed} passed, ${failed + (clean ? 0 : 1)} failed, ${skipped} skipped\n`);
  if (!clean || failed > 0) process.exitCode = 1;
});
