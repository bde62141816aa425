import { readFile } from "node:fs/promises";
import type { ChartRepository } from "#hub/charts/helm-repository.ts";
import { ChartUnavailable } from "#hub/charts/download.ts";
import type { SecretReference } from "#hub/fleet/fields.ts";
import { AddressRefused } from "#hub/git/address.ts";
import type { Repository } from "#hub/fleet/fleet.ts";
import { secretFile } from "#hub/loop/credentials.ts";

/** Where published charts lie, its credentials read at each use; undefined for a Repository that holds none. */
export function chartRepository(
  repository: Repository | undefined,
  secretFolder?: string,
): ChartRepository | undefined {
  if (repository === undefined || repository.type === "git") return undefined;
  const { name, type, url, credentials, ca, clientCertificate } = repository;
  const read = async (reference: SecretReference, what: string): Promise<string> => {
    try {
      return await readFile(secretFile(reference, secretFolder), "utf8");
    } catch (cause) {
      const because = cause instanceof AddressRefused ? cause.message : "its file cannot be read";
      throw new ChartUnavailable(`${what} of the Repository ${name}: ${because}`, { cause });
    }
  };
  return {
    name,
    type,
    url,
    credentials: async () => (credentials === undefined ? undefined : (await read(credentials, "credentials")).trim()),
    tls: async () => ({
      ...(ca && { ca: await read(ca, "ca") }),
      ...(clientCertificate && {
        cert: await read(clientCertificate.certificate, "clientCertificate.certificate"),
        key: await read(clientCertificate.key, "clientCertificate.key"),
      }),
    }),
  };
}
