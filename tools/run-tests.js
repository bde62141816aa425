// Runs vitest under the pinned Node and counts what it says in its JSON report.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { environment, root } from "./gate.js";

/** Resolves to {passed, failed, skipped}; a run that ended without a report, or outside any test, counts as failed. */
export async function runTests(arguments_) {
  const folder = mkdtempSync(join(tmpdir(), "plumbline-tests-"));
  try {
    const report = join(folder, "report.json");
    const code = await vitest([
      "run",
      ...arguments_,
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${report}`,
    ]);
    return count(report, code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function vitest(arguments_) {
  return new Promise((resolve, reject) => {
    const child = spawn("vitest", arguments_, { cwd: root, env: environment, stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 1));
  });
}

function count(report, code) {
  let said;
  try {
    said = JSON.parse(readFileSync(report, "utf8"));
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const failed = said.numFailedTests + (code !== 0 && said.numFailedTests === 0 ? 1 : 0);
  return { passed: said.numPassedTests, failed, skipped: said.numPendingTests + said.numTodoTests };
}
