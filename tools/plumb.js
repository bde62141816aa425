#!/usr/bin/env node
// Runs the command line with the project's own Node, whichever Node >= 20 started this.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const node = join(root, "node_modules", ".bin", "node");
if (existsSync(node)) {
  const child = spawn(node, [join(root, "cli", "main.ts"), ...process.argv.slice(2)], { stdio: "inherit" });
  // Ctrl-C reaches the child by itself; what is sent to this process alone is passed on.
  for (const name of ["SIGTERM", "SIGHUP"]) process.on(name, () => child.kill(name));
  process.on("SIGINT", () => undefined);
  child.on("exit", (code, signal) => (process.exitCode = signal === null ? code : 128 + 15));
} else {
  process.stderr.write("plumb: the packages are not installed: run npm ci --ignore-scripts\n");
  process.exitCode = 1;
}
