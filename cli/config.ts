import { readFile } from "node:fs/promises";
import { programIn } from "#hub/config.ts";
import { usage } from "#cli/errors.ts";

/** Everything that the command line takes from its environment; the one file that reads it. */
export type CliConfig = {
  readonly hub: string;
  readonly token: string | undefined;
  readonly colour: boolean;
  readonly unicode: boolean;
  /** Undefined on a pipe: nothing is cut off there. */
  readonly width: number | undefined;
};

/** For what works without a hub. */
export type OfflineConfig = CliConfig & {
  /** The PATH in which git is found. */
  readonly searchPath: string;
  /** What renders offline, and what fences it in. */
  readonly tools: RenderTools;
};

export type RenderTools = Readonly<Record<"helm" | "kustomize" | "prlimit" | "unshare", string>>;

export type GlobalOptions = { hub?: string; tokenFile?: string; color?: boolean };

export async function readConfig(env: NodeJS.ProcessEnv, given: GlobalOptions): Promise<OfflineConfig> {
  const { isTTY, columns } = process.stdout;
  const file = given.tokenFile ?? (env["PLUMBLINE_TOKEN_FILE"] || undefined);
  const token = file === undefined ? env["PLUMBLINE_TOKEN"] : await readToken(file);
  const locale = env["LC_ALL"] || env["LC_CTYPE"] || env["LANG"] || "";
  return {
    hub: (given.hub ?? (env["PLUMBLINE_HUB"] || "http://127.0.0.1:8080")).replace(/\/$/, ""),
    token: token || undefined,
    colour: isTTY && given.color !== false && !env["NO_COLOR"],
    unicode: /utf-?8/i.test(locale),
    width: isTTY ? columns : undefined,
    searchPath: env["PATH"] ?? "",
    tools: {
      helm: programIn(env, "helm"),
      kustomize: programIn(env, "kustomize"),
      prlimit: programIn(env, "prlimit"),
      unshare: programIn(env, "unshare"),
    },
  };
}

async function readToken(file: string): Promise<string> {
  try {
    return (await readFile(file, "utf8")).trim();
  } catch {
    throw usage(`the token file ${file} cannot be read`);
  }
}
