import { kubeconfigAccess } from "#agent/cluster/access.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { b1000 } from "#test/bench/b1000.ts";

// The floor of an apply: B1000 by a bare loop, in a process as fresh as the agent's. Prints the milliseconds from the first
// request to the last answer. usage: node raw-loop.ts KUBECONFIG

/** Of 4, 8 and 16 the quickest. */
const inFlight = 8;

await using cluster = openKubernetes(await kubeconfigAccess(process.argv[2]!));
await cluster.version();
const objects = b1000();
const started = performance.now();
const namespaces = objects.filter(({ kind }) => kind === "Namespace");
for (const batch of [namespaces, objects.slice(namespaces.length)]) {
  const queue = batch.values();
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      for (const object of queue) await cluster.apply(object);
    }),
  );
}
process.stdout.write(`${performance.now() - started}\n`);
