import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import { z } from "zod";

/** Everything that the hub takes from its environment and command line; the one file of this side that reads it. */
export type HubConfig = z.infer<typeof schema>;

export class ConfigProblem extends Error {
  override readonly name = "ConfigProblem";
}

const port = z.coerce.number().int().min(0).max(65_535);
const address = z
  .string()
  .regex(/^(?:\[[0-9a-f:]+\]|[^:\s]+):\d{1,5}$/i, { error: "must be host:port" })
  .transform((text) => {
    const at = text.lastIndexOf(":");
    return { host: text.slice(0, at).replace(/^\[|\]$/g, ""), port: port.parse(text.slice(at + 1)) };
  });
const flag = z.union([z.boolean(), z.string().transform((text) => text === "true" || text === "1")]);

const githubApp = z
  .string()
  .regex(/^\d+\/\d+(?:@https:\/\/\S+)?$/, { error: "must be ID/INSTALLATION, or ID/INSTALLATION@https://HOST/api/v3" })
  .transform((text) => {
    const [app = "", api = "https://api.github.com"] = text.split("@");
    const [id = "", installation = ""] = app.split("/");
    return { id, installation, api };
  });

const schema = z.strictObject({
  /** Mirrors and the broker's store: may be deleted at any time. */
  data: z
    .string()
    .default("plumbline-data")
    .transform((path) => resolve(path)),
  /** The keys: must be kept, and backed up. */
  identity: z
    .string()
    .default("plumbline-identity.json")
    .transform((path) => resolve(path)),
  fleet: z.string({ error: "is missing: name the fleet repository" }),
  /** A file: "user:password" or a token, or over ssh a private key. */
  fleetCredentials: z.string().optional(),
  /** How a token is shown to the fleet repository's server. */
  fleetAuthorization: z.enum(["basic", "bearer"]).default("basic"),
  /** PEM: the authorities that its certificate may come from; and what the hub shows of itself there. */
  fleetCa: z.string().optional(),
  fleetClientCertificate: z.string().optional(),
  fleetClientKey: z.string().optional(),
  /** ID/INSTALLATION of a GitHub App, whose private key is then the file of fleetCredentials. */
  fleetGithubApp: githubApp.optional(),
  /** Where Kubernetes Secrets are mounted, as NAMESPACE/NAME/KEY: what documents name by secret is read there. */
  secretFolder: z
    .string()
    .transform((path) => resolve(path))
    .optional(),
  /** A known_hosts file: the only servers that are taken for the fleet repository's over ssh. */
  fleetHostKeys: z.string().optional(),
  fleetFolder: z.string().default("fleet"),
  fleetBranch: z.string().default("main"),
  webhookSecretFile: z.string().optional(),
  /** Hosts that are reached although they are internal: loopback, link-local and private addresses. */
  allowRepositoryHost: z.array(z.string()).default([]),
  pollMs: z.coerce.number().int().min(100).default(60_000),
  listenHttp: address.prefault("127.0.0.1:8080"),
  listenGrpc: address.prefault("127.0.0.1:8443"),
  listenNats: address.prefault("127.0.0.1:4222"),
  /** What agents and people are told to use; the listening address without it. */
  advertiseHttp: z.string().optional(),
  advertiseGrpc: z.string().optional(),
  advertiseNats: z.string().optional(),
  /** A broker of your own; without it the hub starts one. */
  natsUrl: z.array(z.string()).default([]),
  natsServer: z.string().default("nats-server"),
  helm: z.string().default("helm"),
  kustomize: z.string().default("kustomize"),
  /** The system's programs that fence renderers in; what is missing is said at start. */
  prlimit: z.string().default("prlimit"),
  unshare: z.string().default("unshare"),
  agentImage: z.string().default("ghcr.io/plumbline/agent:0.1.0"),
  /** The PATH in which git and ssh are found. */
  searchPath: z.string().default("/usr/local/bin:/usr/bin:/bin"),
  otlpEndpoint: z.string().optional(),
  /** A standby takes over when the lease stood still for three of these. */
  leasePeriodMs: z.coerce.number().int().min(100).default(5_000),
  logLevel: z.string().default("info"),
  quiet: flag.default(false),
});

type Given = Readonly<Record<string, unknown>>;

/** `given` (from the command line) goes before `PLUMBLINE_*` of the environment. Throws ConfigProblem, naming the setting. */
export function readConfig(env: NodeJS.ProcessEnv, given: Given = {}): HubConfig {
  const settings: Record<string, unknown> = {};
  for (const name of Object.keys(schema.shape)) {
    const variable = `PLUMBLINE_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
    const value = given[name] ?? env[variable];
    if (value === undefined || value === "") continue;
    const isList = name === "allowRepositoryHost" || name === "natsUrl";
    settings[name] = isList && typeof value === "string" ? value.split(",") : value;
  }
  settings["otlpEndpoint"] ??= env["OTEL_EXPORTER_OTLP_ENDPOINT"] || undefined;
  settings["natsServer"] = given["natsServer"] ?? programIn(env, "nats-server");
  for (const name of ["helm", "kustomize", "prlimit", "unshare"]) settings[name] = given[name] ?? programIn(env, name);
  settings["searchPath"] = env["PATH"];
  const parsed = schema.safeParse(settings);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const name = String(issue?.path[0] ?? "setting");
  const isNoNumber = issue?.code === "invalid_type" && issue.expected === "number";
  throw new ConfigProblem(
    `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} ${isNoNumber ? "must be a number" : (issue?.message ?? "is wrong")}`,
  );
}

/** A named program, one in PATH, or the one that the set-up of a clone built into the user's cache. */
export function programIn(env: NodeJS.ProcessEnv, name: string): string {
  const named = env[`PLUMBLINE_${name.replaceAll("-", "_").toUpperCase()}`];
  // A renderer is started in a folder that others filled: a relative path would be looked up there.
  if (named) return named.includes("/") ? resolve(named) : named;
  const folders = (env["PATH"] ?? "").split(delimiter).filter((folder) => isAbsolute(folder));
  const inPath = folders.map((folder) => join(folder, name));
  const cache = join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "plumbline", "servers");
  const built = existsSync(cache) ? readdirSync(cache).filter((folder) => folder.startsWith(`${name}-`)) : [];
  // After an upgrade the older ones are still there.
  const newestFirst = built.sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  const found = [...inPath, ...newestFirst.map((folder) => join(cache, folder, name))].find((path) => existsSync(path));
  return found ?? name;
}
