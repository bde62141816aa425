// The steps of the fast gate and how they are run: each is one command, its output shown only when it fails.
import { spawnSync } from "node:child_process";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, "node_modules", ".bin");

/** The environment in which the pinned Node 24 and the pinned tools come first. */
export const environment = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` };

export const staticSteps = [
  ["generated code is up to date", "node", [join(root, "tools/check-generated.js")]],
  ["protocol lint", "buf", ["lint"]],
  ["protocol breaks no released message", "buf", ["breaking", "--against", "test/corpus/protocol"]],
  ["types", "tsc", ["-p", "."]],
  ["lint", "oxlint", ["--type-aware", "--deny-warnings", "."]],
  ["format", "oxfmt", ["--check", "."]],
  ["import boundaries", "node", [join(root, "tools/check-boundaries.js")]],
];

/** Runs the steps in order; true when all passed. */
export function runSteps(steps) {
  return steps.map(runStep).every(Boolean);
}

function runStep([title, command, arguments_]) {
  const started = Date.now();
  const { status, stdout, stderr } = spawnSync(command, arguments_, { cwd: root, env: environment, encoding: "utf8" });
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  process.stdout.write(`${status === 0 ? "ok  " : "FAIL"} ${title} (${seconds} s)\n`);
  if (status !== 0) process.stdout.write(`${stdout ?? ""}${stderr ?? ""}`);
  return status === 0;
}
