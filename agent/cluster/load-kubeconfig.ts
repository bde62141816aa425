import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { KubeConfig, loadYaml } from "@kubernetes/client-node";

export type Kubeconfig = {
  readonly config: KubeConfig;
  /** Where the user's token lies, which may be another at any time; undefined when the user has none in a file. */
  readonly tokenFile: string | undefined;
};

/** A kubeconfig file with its current context, or the one that is named. Throws when it cannot be read. */
export function loadKubeconfig(path: string, context: string | undefined): Kubeconfig {
  const config = new KubeConfig();
  try {
    config.loadFromFile(path);
  } catch (cause) {
    throw new Error(`the kubeconfig ${path} is none: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  if (context !== undefined) config.setCurrentContext(context);
  return { config, tokenFile: tokenFileOf(path, config.getCurrentUser()?.name) };
}

type Written = { users?: { name?: string; user?: { tokenFile?: string } | null }[] | null } | null;

/** `tokenFile`, which the library does not know (it looks for `token-file`, which nobody writes). Relative to the kubeconfig, as kubectl takes it. */
function tokenFileOf(path: string, user: string | undefined): string | undefined {
  const written = loadYaml<Written>(readFileSync(path, "utf8"));
  const file = written?.users?.find(({ name }) => name === user)?.user?.tokenFile;
  return file === undefined || file === "" ? undefined : resolve(dirname(path), file);
}
