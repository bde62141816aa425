// `npm run bench -- NAME`: sets up what a benchmark needs, and runs it with the project's own Node.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { ensurePackages, ensureServers, explain, root } from "./setup.js";

/** What some benchmarks measure against, or need besides. */
const besides = {
  apply: ["kubectl"],
  corpus: ["kube-controller-manager", "kube-scheduler", "kwok", "kubectl", "helm", "kustomize"],
  "drift-cases": ["kube-controller-manager"],
  render: ["helm", "kustomize"],
};

await explain(async () => {
  await ensurePackages();
  await ensureServers(["nats-server", "etcd", "kube-apiserver", ...(besides[process.argv[2]] ?? [])]);
  const node = join(root, "node_modules", ".bin", "node");
  const child = spawn(node, [join(root, "test/bench/main.ts"), ...process.argv.slice(2)], { stdio: "inherit" });
  await new Promise((resolve) => child.on("exit", (code) => resolve((process.exitCode = code ?? 1))));
});
