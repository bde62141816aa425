import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

export type ServerName =
  | "nats-server"
  | "etcd"
  | "kube-apiserver"
  | "kube-controller-manager"
  | "kube-scheduler"
  | "kubectl"
  | "kwok"
  | "helm"
  | "kustomize";

const pins = JSON.parse(readFileSync(new URL("../../tools/servers.json", import.meta.url), "utf8")) as {
  name: string;
  version: string;
}[];

/** Path of a pinned server: a named one, or the one that the set-up program put into the user's cache. */
export function serverPath(name: ServerName): string {
  const named = process.env[`PLUMBLINE_${name.toUpperCase().replaceAll("-", "_")}`];
  if (named !== undefined && named !== "") return named;
  const version = pins.find((pin) => pin.name === name)?.version ?? "unpinned";
  const cache = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  const path = join(cache, "plumbline", "servers", `${name}-${version}`, name);
  if (!existsSync(path)) throw new Error(`${name} ${version} is not built yet: run node tools/setup.js ${name}`);
  return path;
}
