// npm run check: the fast gate. Generated code, types, lint, format, boundaries, unit tests.
import { ensurePackages, ensureServers, explain } from "./setup.js";
import { runSteps, staticSteps } from "./gate.js";
import { runTests } from "./run-tests.js";

await explain(async () => {
  await ensurePackages();
  await ensureServers(["nats-server"]);
  const clean = runSteps(staticSteps);
  const tested = await runTests(["--project", "unit"]);
  if (!clean || tested.failed > 0) process.exitCode = 1;
});
