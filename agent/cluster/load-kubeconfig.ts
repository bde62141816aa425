import { KubeConfig } from "@kubernetes/client-node";

/** A kubeconfig file with its current context, or the one that is named. Throws when it cannot be read. */
export function loadKubeconfig(path: string, context: string | undefined): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(path);
  if (context !== undefined) config.setCurrentContext(context);
  return config;
}
