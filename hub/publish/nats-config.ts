import { join } from "node:path";
import type { NatsIdentity } from "#hub/identity/nats-jwt.ts";
import { storeOf } from "#hub/publish/nats-store.ts";

/** Room for every stream's own limit (hub/publish/streams.ts), which a server sets aside when it makes the stream. */
const storedBytes = 16 * 1024 ** 3;

export type NatsListen = { readonly host: string; /** 0: any free port. */ readonly port: number };
export type NatsFiles = { readonly certificate: string; readonly key: string };

/** The text of the server's configuration. Strings are quoted as JSON, which is how nats-server reads them too. */
export function natsConfig(
  directory: string,
  identity: Pick<NatsIdentity, "operatorJwt" | "systemAccount" | "accounts">,
  listen: NatsListen,
  tls: NatsFiles | undefined,
): string {
  const host = listen.host.includes(":") ? `[${listen.host}]` : listen.host;
  const lines = [
    `listen: ${quote(`${host}:${listen.port === 0 ? -1 : listen.port}`)}`,
    `server_name: "plumbline"`,
    `ports_file_dir: ${quote(directory)}`,
    `pid_file: ${quote(join(directory, "nats.pid"))}`,
    `log_file: ${quote(join(directory, "nats.log"))}`,
    `logfile_size_limit: 10MB`,
    `logfile_max_num: 3`,
    // A fleet that comes back at once must not be turned away while it waits for its turn.
    `authorization { timeout: 10 }`,
    `jetstream {`,
    `  store_dir: ${quote(storeOf(directory))}`,
    // The default is two minutes: an acknowledged write that a power cut takes back.
    `  sync_interval: always`,
    `  max_file: ${storedBytes}`,
    `}`,
    `operator: ${identity.operatorJwt}`,
    `system_account: ${identity.systemAccount}`,
    `resolver { type: full, dir: ${quote(join(directory, "accounts"))}, allow_delete: false, interval: "2m" }`,
    `resolver_preload {`,
    ...identity.accounts.map(({ id, jwt }) => `  ${id}: ${jwt}`),
    `}`,
  ];
  if (tls !== undefined)
    lines.push(`tls { cert_file: ${quote(tls.certificate)}, key_file: ${quote(tls.key)}, timeout: 10 }`);
  return `${lines.join("\n")}\n`;
}

const quote = (value: string): string => JSON.stringify(value);
