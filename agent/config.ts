import type { Authority } from "#agent/authority/authority.ts";

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
  /** What this cluster's own people let the fleet do here. */
  readonly authority: Authority;
  readonly join: { hub: string; token: string; caPin: string; root: string } | undefined;
  readonly otlpEndpoint: string | undefined;
  readonly logLevel: string;
};

export const defaultNamespace = "plumbline-agent";

export class ConfigProblem extends Error {
  override readonly name = "ConfigProblem";
}

type Given = { readonly [Option in keyof AgentOptions]?: AgentOptions[Option] | undefined };
/** As they stand on the command line; lists are separated by commas. */
export type AgentOptions = {
  namespace: string;
  kubeconfig: string;
  context: string;
  profile: string;
  defaultServiceAccount: string;
  allowKinds: string;
  allowNamespaces: string;
};

/** `given` (from the command line) goes before the environment. Throws ConfigProblem. */
export function readConfig(env: NodeJS.ProcessEnv, given: Given = {}): AgentConfig {
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
    authority: authorityOf(text, given),
    join: joinOf(text),
    otlpEndpoint: text("OTEL_EXPORTER_OTLP_ENDPOINT"),
    logLevel: text("PLUMBLINE_LOG_LEVEL") ?? "info",
  };
}

function authorityOf(text: (name: string) => string | undefined, given: Given): Authority {
  const profile = given.profile ?? text("PLUMBLINE_PROFILE") ?? "admin";
  if (profile !== "admin" && profile !== "tenant")
    throw new ConfigProblem(`--profile (PLUMBLINE_PROFILE) is ${profile}: it is admin or tenant`);
  const defaultServiceAccount = given.defaultServiceAccount ?? text("PLUMBLINE_DEFAULT_SERVICE_ACCOUNT") ?? "";
  if (defaultServiceAccount !== "" && !/^[^/]+\/[^/]+$/.test(defaultServiceAccount))
    throw new ConfigProblem(
      `--default-service-account (PLUMBLINE_DEFAULT_SERVICE_ACCOUNT) is ${defaultServiceAccount}: it is written namespace/name`,
    );
  return {
    profile,
    defaultServiceAccount,
    limits: {
      kinds: listOf(given.allowKinds ?? text("PLUMBLINE_ALLOW_KINDS")),
      namespaces: listOf(given.allowNamespaces ?? text("PLUMBLINE_ALLOW_NAMESPACES")),
    },
  };
}

/** Without a list anything is allowed; a list of commas alone allows nothing. */
const listOf = (list: string | undefined): readonly string[] | "any" =>
  list === undefined
    ? "any"
    : list
        .split(",")
        .map((one) => one.trim())
        .filter((one) => one !== "");

function joinOf(text: (name: string) => string | undefined): AgentConfig["join"] {
  const [hub, token, caPin, root] = ["HUB", "TOKEN", "CA_PIN", "ROOT"].map((name) => text(`PLUMBLINE_JOIN_${name}`));
  return hub && token && caPin && root ? { hub, token, caPin, root } : undefined;
}
