import { kubeconfigAccess } from "#agent/cluster/access.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { ConfigProblem, readConfig, type AgentConfig, type AgentOptions } from "#agent/config.ts";
import { agentProcess } from "#agent/main.ts";
import { EnrolmentRefused, WrongHub } from "#agent/enrol/hub-client.ts";
import { join } from "#agent/enrol/join.ts";
import { CliError, exitCode, usage } from "#cli/errors.ts";
import { hint } from "#cli/output.ts";
import { openTelemetry } from "#lib/telemetry.ts";

export type MemberOptions = Partial<AgentOptions> & { kubeconfig: string };
export type JoinOptions = MemberOptions & {
  hub: string;
  token: string;
  caPin: string;
  root: string;
  enrolOnly?: boolean;
};

/** `plumb agent join`: puts this cluster's keys on record, and runs its agent here until it is stopped. */
export async function joinHub(options: JoinOptions, signal: AbortSignal): Promise<void> {
  const config = settingsOf(options);
  {
    await using cluster = openKubernetes(await kubeconfigAccess(options.kubeconfig, options.context));
    await using telemetry = await openTelemetry("plumbline-agent", config.otlpEndpoint);
    try {
      const keys = await telemetry.traced("agent.enrol", {}, () => join(cluster, config.namespace, options));
      hint(`${keys.cluster} has joined ${options.hub}; its keys are in Secret ${config.namespace}/plumbline-keys`);
    } catch (error) {
      if (error instanceof EnrolmentRefused)
        throw new CliError(exitCode.notAllowed, error.message, "plumb cluster register prints a fresh line");
      if (error instanceof WrongHub)
        throw new CliError(exitCode.notAllowed, error.message, "compare the line with what the hub prints");
      throw error;
    }
  }
  if (options.enrolOnly === true) return;
  await agentProcess(config, signal);
}

/** `plumb agent run`: runs the agent of a cluster that has joined. */
export const runAgent = (options: MemberOptions, signal: AbortSignal): Promise<void> =>
  agentProcess(settingsOf(options), signal);

function settingsOf(options: MemberOptions): AgentConfig {
  try {
    return readConfig(process.env, options);
  } catch (error) {
    if (error instanceof ConfigProblem) throw usage(error.message);
    throw error;
  }
}
