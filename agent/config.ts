/** Everything that the agent takes from its environment; the one file that reads it. */
export type AgentConfig = {
  /** Where its Secrets lie, and where nothing else is applied. */
  readonly namespace: string;
  /** Undefined inside a cluster. */
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  /** Address of the API server inside a cluster. */
  readonly inCluster: { readonly host: string; readonly port: string } | undefined;
  /** Another folder than Kubernetes' own for the service account's token and CA. */
  readonly serviceAccountFolder: string | undefined;
  readonly join: { hub: string; token: string; caPin: string; root: string } | undefined;
  readonly otlpEndpoint: string | undefined;
  readonly logLevel: string;
};

export const defaultNamespace = "plumbline-agent";

export class ConfigProblem extends Error {
  override readonly name = "ConfigProblem";
}

/** `given` (from the command line) goes before the environment. Throws ConfigProblem. */
export function readConfig(
  env: NodeJS.ProcessEnv,
  given: { namespace?: string | undefined; kubeconfig?: string | undefined; context?: string | undefined } = {},
): AgentConfig {
  const text = (name: string): string | undefined => env[name] || undefined;
  const host = text("KUBERNETES_SERVICE_HOST");
  const port = text("KUBERNETES_SERVICE_PORT") ?? "443";
  const kubeconfig = given.kubeconfig ?? text("PLUMBLINE_KUBECONFIG");
  if (kubeconfig === undefined && host === undefined)
    throw new ConfigProblem("not in a cluster: name a cluster by --kubeconfig FILE");
  return {
    namespace: given.namespace ?? text("PLUMBLINE_NAMESPACE") ?? defaultNamespace,
    kubeconfig,
    context: given.context ?? text("PLUMBLINE_CONTEXT"),
    inCluster: host === undefined ? undefined : { host, port },
    serviceAccountFolder: text("PLUMBLINE_SERVICE_ACCOUNT_FOLDER"),
    join: joinOf(text),
    otlpEndpoint: text("OTEL_EXPORTER_OTLP_ENDPOINT"),
    logLevel: text("PLUMBLINE_LOG_LEVEL") ?? "info",
  };
}

function joinOf(text: (name: string) => string | undefined): AgentConfig["join"] {
  const [hub, token, caPin, root] = ["HUB", "TOKEN", "CA_PIN", "ROOT"].map((name) => text(`PLUMBLINE_JOIN_${name}`));
  return hub && token && caPin && root ? { hub, token, caPin, root } : undefined;
}
