import { readFile } from "node:fs/promises";
import type { ChartRepository } from "#hub/charts/helm-repository.ts";
import type { Repository } from "#hub/fleet/fleet.ts";
import { secretFile } from "#hub/loop/credentials.ts";

/** Where published charts lie, its credentials read at each use; undefined for a Repository that holds none. */
export function chartRepository(
  repository: Repository | undefined,
  secretFolder?: string,
): ChartRepository | undefined {
  if (repository === undefined || repository.type === "git") return undefined;
  const { name, type, url, credentials } = repository;
  return {
    name,
    type,
    url,
    credentials: async () =>
      credentials === undefined ? undefined : (await readFile(secretFile(credentials, secretFolder), "utf8")).trim(),
  };
}
