import { KubeConfig } from "@kubernetes/client-node";

/** A kubeconfig file with its current context, or the one that is named. Throws when it cannot be read. */
export function loadKubeconfig(path: string, context: string | undefined): KubeConfig {
  const config = new KubeConfig();
  try {
    config.loadFromFile(path);
  } catch (cause) {
    throw new Error(`the kubeconfig ${path} is none: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  if (context !== undefined) config.setCurrentContext(context);
  return config;
}
