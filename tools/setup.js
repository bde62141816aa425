// Makes a fresh clone ready: packages when the lockfile changed, and the pinned servers that a command needs.
// Plain JavaScript, because it must run on any Node from 20 on, before the pinned Node 24 is installed.
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const minimumGo = [1, 26];

/** @typedef {{name: string, version: string, module: string, package: string}} Server */
/** @type {Server[]} */
export const servers = JSON.parse(readFileSync(join(root, "tools/servers.json"), "utf8"));

/** A failed step that a person can mend; printed without a stack. */
export class SetupProblem extends Error {}

/** Where a server of that version lies in the user's cache, shared by every clone. */
export function cachedServer({ name, version }) {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return join(cache, "plumbline", "servers", `${name}-${version}`, name);
}

/** Installs packages when the lockfile differs from the one that node_modules was made from. */
export async function ensurePackages() {
  const wanted = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
  const stamp = join(root, "node_modules", ".plumbline-lock");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  await step("packages: npm ci", () =>
    run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], root),
  );
  writeFileSync(stamp, wanted);
}

/** Builds those of the named servers that neither the environment, the cache nor PATH offers. */
export async function ensureServers(names) {
  const missing = servers.filter((server) => names.includes(server.name) && !isProvided(server));
  if (missing.length === 0) return;
  checkGo(missing);
  for (const module of new Set(missing.map((server) => server.module)))
    await buildModule(
      module,
      missing.filter((server) => server.module === module),
    );
}

function isProvided(server) {
  const variable = `PLUMBLINE_${server.name.toUpperCase().replaceAll("-", "_")}`;
  if (process.env[variable]) {
    if (existsSync(process.env[variable])) return true;
    throw new SetupProblem(`${variable} names ${process.env[variable]}, which does not exist`);
  }
  if (existsSync(cachedServer(server))) return true;
  const found = findInPath(server);
  if (found === undefined) return false;
  mkdirSync(dirname(cachedServer(server)), { recursive: true });
  try {
    symlinkSync(found, cachedServer(server));
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
  }
  return true;
}

const versionCommands = { kubectl: ["version", "--client"], helm: ["version"], kustomize: ["version"] };

function findInPath({ name, version }) {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const candidate = join(folder, name);
    if (folder === "" || !existsSync(candidate)) continue;
    try {
      const arguments_ = versionCommands[name] ?? ["--version"];
      const said = execFileSync(candidate, arguments_, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
      if (new RegExp(`(^|[^0-9.])v?${version.replaceAll(".", "\\.")}($|[^0-9.])`, "m").test(said)) return candidate;
    } catch {
      // A binary that cannot say its version is not the one we pin.
    }
  }
  return undefined;
}

function checkGo(missing) {
  const wanted = missing.map(({ name, version }) => `${name} ${version}`).join(", ");
  let said;
  try {
    said = execFileSync("go", ["version"], { encoding: "utf8" });
  } catch {
    throw new SetupProblem(
      `Go is not installed; Go >= ${minimumGo.join(".")} is needed once, to build ${wanted}. Install it from https://go.dev/dl, or name ready binaries, such as PLUMBLINE_NATS_SERVER=/path/to/nats-server`,
    );
  }
  const [, major, minor] = /go(\d+)\.(\d+)/.exec(said) ?? [];
  if (Number(major) < minimumGo[0] || (Number(major) === minimumGo[0] && Number(minor) < minimumGo[1]))
    throw new SetupProblem(`Go >= ${minimumGo.join(".")} is needed to build ${wanted}; found: ${said.trim()}`);
}

async function buildModule(module, wanted) {
  const cache = dirname(dirname(cachedServer(wanted[0])));
  mkdirSync(cache, { recursive: true });
  // Built beside its place and moved in whole, so that a run that is cut off, or two at once, leave no half server.
  const workshop = mkdtempSync(join(cache, ".building-"));
  try {
    for (const server of wanted)
      await step(`server: ${server.name} ${server.version}`, () =>
        run(
          "go",
          ["build", "-trimpath", `-ldflags=${linkerFlags(server)}`, "-o", join(workshop, server.name), server.package],
          join(root, "tools", module),
          { CGO_ENABLED: "0" },
        ),
      );
    for (const server of wanted) moveIn(join(workshop, server.name), server);
  } finally {
    rmSync(workshop, { recursive: true, force: true });
  }
}

function moveIn(built, server) {
  mkdirSync(dirname(cachedServer(server)), { recursive: true });
  renameSync(built, cachedServer(server));
}

// Without it a kube-apiserver calls itself v0.0.0 and clients refuse it, and helm says v4.3 for every v4.3.x.
const versionVariables = {
  kube: "k8s.io/component-base/version.gitVersion",
  helm: "helm.sh/helm/v4/internal/version.version",
};

const linkerFlags = ({ module, version }) =>
  versionVariables[module] === undefined ? "-s -w" : `-s -w -X ${versionVariables[module]}=v${version}`;

async function step(title, work) {
  const started = Date.now();
  process.stderr.write(`${title} ...\n`);
  await work();
  process.stderr.write(`${title} ready in ${Math.round((Date.now() - started) / 1000)} s\n`);
}

function run(command, arguments_, cwd, environment = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, arguments_, {
      cwd,
      env: { ...process.env, ...environment },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (chunk) => {
      said = (said + chunk).slice(-4_000);
    });
    child.on("error", (error) => reject(new SetupProblem(`${command} could not start: ${error.message}`)));
    child.on("close", (code) =>
      code === 0 ? resolve() : reject(new SetupProblem(`${command} ${arguments_[0]} failed (${code}):\n${said}`)),
    );
  });
}

/** Runs `work`, and ends with a plain message and code 1 when a SetupProblem stops it. */
export async function explain(work) {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof SetupProblem)) throw error;
    process.stderr.write(`setup: ${error.message}\n`);
    process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await explain(async () => {
    await ensurePackages();
    await ensureServers(process.argv.slice(2));
  });
}
