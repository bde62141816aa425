import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { SecretReference } from "#hub/fleet/fields.ts";
import { AddressRefused } from "#hub/git/address.ts";
import type { TlsFiles } from "#hub/git/connections.ts";
import type { AppTokens, GithubApp } from "#hub/git/github-app.ts";
import type { RemoteSettings } from "#hub/git/remote.ts";

/** What a repository is entered with, by reference: as a Repository declares it, or the hub's own settings for the fleet's. */
export type DeclaredAccess = {
  /** Of https "user:password" or a token; of ssh a private key; of a GitHub App its private key. */
  readonly credentials?: SecretReference | undefined;
  readonly authorization: "basic" | "bearer";
  readonly ca?: SecretReference | undefined;
  readonly clientCertificate?: { readonly certificate: SecretReference; readonly key: SecretReference } | undefined;
  readonly githubApp?: { readonly id: string; readonly installation: string; readonly api: string } | undefined;
  /** Lines as in known_hosts. */
  readonly hostKeys: readonly string[];
};

export type AccessParts = {
  /** Where Secrets are mounted: NAMESPACE/NAME/KEY. */
  readonly secretFolder: string | undefined;
  readonly appTokens: AppTokens;
};

export type RemoteAccess = Required<Pick<RemoteSettings, "authorization" | "tls" | "ssh" | "refused">>;

/** Reads everything at each use, so that what is declared and what lies in the files may both be changed. */
export function accessOf(declared: () => Promise<DeclaredAccess>, parts: AccessParts): RemoteAccess {
  const fileOf = (reference: SecretReference): string => secretFile(reference, parts.secretFolder);
  const credentials = async ({ credentials: reference }: DeclaredAccess): Promise<string | undefined> =>
    reference === undefined ? undefined : readFile(fileOf(reference), "utf8");
  const appOf = async (access: DeclaredAccess): Promise<GithubApp | undefined> =>
    access.githubApp === undefined ? undefined : { ...access.githubApp, privateKey: (await credentials(access)) ?? "" };
  const tlsOf = ({ ca, clientCertificate }: DeclaredAccess): TlsFiles => ({
    ca: ca && fileOf(ca),
    certificate: clientCertificate && fileOf(clientCertificate.certificate),
    key: clientCertificate && fileOf(clientCertificate.key),
  });
  return {
    async authorization() {
      const access = await declared();
      const app = await appOf(access);
      if (app !== undefined) return basic(`x-access-token:${await parts.appTokens.token(app, tlsOf(access))}`);
      const text = (await credentials(access))?.trim();
      if (text === undefined) return undefined;
      if (access.authorization === "bearer") return `Bearer ${oneLine(text)}`;
      return basic(text.includes(":") ? text : `x-access-token:${text}`);
    },
    async refused() {
      const app = await appOf(await declared());
      if (app !== undefined) parts.appTokens.forget(app);
    },
    tls: async () => tlsOf(await declared()),
    ssh: {
      async privateKey() {
        const key = await credentials(await declared());
        if (key === undefined)
          throw new AddressRefused("an ssh:// repository needs a private key: name its file under credentials");
        return key;
      },
      hostKeys: async () => (await declared()).hostKeys,
    },
  };
}

/** Where the secret lies on this machine. */
export function secretFile(reference: SecretReference, secretFolder: string | undefined): string {
  if ("file" in reference) return reference.file;
  const { namespace, name, key } = reference.secret;
  if (secretFolder === undefined)
    throw new AddressRefused(
      `the Secret ${namespace}/${name} is not at hand: mount it, and name the folder of all Secrets with --secret-folder`,
    );
  return join(secretFolder, namespace, name, key);
}

const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString("base64")}`;

/** A header that holds a line feed would be two. */
function oneLine(text: string): string {
  if (/[\r\n\0]/.test(text)) throw new AddressRefused("the file that credentials name holds more than one line");
  return text;
}
