// `npm run demo`: sets up what the demo needs, and plays it with the project's own Node.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { ensurePackages, ensureServers, explain, root } from "./setup.js";

const wanted = process.argv.includes("--kubernetes")
  ? ["nats-server", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "helm"]
  : ["nats-server"];

await explain(async () => {
  await ensurePackages();
  await ensureServers(wanted);
  const node = join(root, "node_modules", ".bin", "node");
  const child = spawn(node, [join(root, "cli", "main.ts"), "demo", ...process.argv.slice(2)], { stdio: "inherit" });
  // Ctrl-C reaches the child by itself, which then ends everything that it started.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  await new Promise((resolve) => child.on("exit", (code) => resolve((process.exitCode = code ?? 1))));
});
