import type { HubConfig } from "#hub/config.ts";

/** Where a server that listens there is reached from this machine, as URLs write it. */
export const hostFor = (host: string): string =>
  host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;

/** Every name under which the hub's servers are reached. */
export function serverNames(config: HubConfig): string[] {
  const advertised = [config.advertiseGrpc, config.advertiseNats?.replace(/^\w+:\/\//, "")].flatMap((address) =>
    address === undefined ? [] : [hostOf(address)],
  );
  const own = [config.listenGrpc.host, config.listenNats.host].filter((host) => host !== "0.0.0.0" && host !== "::");
  return [...new Set([...advertised, ...own, "localhost", "127.0.0.1"])];
}

const hostOf = (address: string): string => address.slice(0, address.lastIndexOf(":")).replace(/^\[|\]$/g, "");
