import { setFlagsFromString } from "node:v8";
import { ConfigProblem, readConfig } from "#agent/config.ts";
import { agentProcess } from "#agent/main.ts";
import { reasonOf } from "#lib/log.ts";

// The agent as a process of its own, as it runs in a cluster: everything it is told comes from its environment.
// Node's optimising compiler alone keeps 6 MB of its program in memory; the one before it is quick enough for an agent.
setFlagsFromString("--no-opt");
// An apply comes after hours of rest: what it needs is to be compiled at its first objects, and not at its last ones.
setFlagsFromString("--no-lazy-feedback-allocation");
const stop = new AbortController();
// The first signal ends it in order; a second one ends it as usual.
for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => stop.abort(new Error(`got ${name}`)));
try {
  await agentProcess(readConfig(process.env), stop.signal);
} catch (error) {
  if (!stop.signal.aborted) {
    process.stderr.write(`plumbline-agent: ${reasonOf(error)}\n`);
    process.exitCode = error instanceof ConfigProblem ? 2 : 1;
  }
}
