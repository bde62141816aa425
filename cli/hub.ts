import { ConfigProblem, readConfig } from "#hub/config.ts";
import { hubProcess } from "#hub/main.ts";
import { CliError, exitCode } from "#cli/errors.ts";
import { hint } from "#cli/output.ts";

/** `plumb hub`: runs the hub in the foreground, with a broker of its own unless one is named. */
export async function runHub(options: Record<string, unknown>, signal: AbortSignal): Promise<void> {
  try {
    const config = readConfig(process.env, options);
    await hubProcess(config, signal, ({ http, grpc, nats }) =>
      hint(`hub ready: http port ${http}, gRPC port ${grpc}, broker ${nats}`),
    );
  } catch (error) {
    if (error instanceof ConfigProblem) throw new CliError(exitCode.usage, error.message, "see plumb hub --help");
    throw error;
  }
}
