import { ConfigProblem, readConfig } from "#hub/config.ts";
import { hubProcess } from "#hub/main.ts";
import { reasonOf } from "#lib/log.ts";

// The hub as a process of its own: everything it is told comes from its environment.
const stop = new AbortController();
for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => stop.abort(new Error(`got ${name}`)));
try {
  await hubProcess(readConfig(process.env), stop.signal);
} catch (error) {
  if (!stop.signal.aborted) {
    process.stderr.write(`plumbline-hub: ${reasonOf(error)}\n`);
    process.exitCode = error instanceof ConfigProblem ? 2 : 1;
  }
}
