import type { CliConfig } from "#cli/config.ts";
import { CliError, exitCode } from "#cli/errors.ts";
import { status } from "#cli/status.ts";

/** `plumb` alone: the status or, without a hub, how to start. */
export async function start(config: CliConfig): Promise<void> {
  try {
    await status(config, { output: "table" });
  } catch (error) {
    if (!(error instanceof CliError) || error.code !== exitCode.unreachable) throw error;
    process.stdout.write(`No hub answers at ${config.hub}.

  plumb demo                                 a whole fleet on this machine, to look at
  plumb init                                 the keys of a hub of your own, once
  plumb hub --fleet https://host/fleet.git   run it
  plumb status --hub https://host:8080       ask one that runs (or PLUMBLINE_HUB, PLUMBLINE_TOKEN_FILE)

plumb --help lists every command.
`);
  }
}
