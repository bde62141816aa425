import { isIP } from "node:net";

/** A repository address that the hub will not speak to, with what to do. Never holds a credential. */
export class AddressRefused extends Error {
  override readonly name = "AddressRefused";
}

/**
 * Checks where a repository lies: https or ssh; loopback, link-local and private hosts only when allowed by name, because
 * whoever writes a fleet repository must not reach the hub's own network. Plain http only to an allowed host.
 */
export function checkAddress(address: string, allowedHosts: ReadonlySet<string>): URL {
  const shown = redact(address);
  const url = parse(address, shown);
  const host = hostOf(url);
  const allowed = allowedHosts.has(host);
  if (url.password !== "" || (url.username !== "" && url.protocol !== "ssh:"))
    throw new AddressRefused(`${shown}: credentials do not belong in an address; name them by reference`);
  if (url.protocol !== "https:" && url.protocol !== "ssh:" && !(url.protocol === "http:" && allowed))
    throw new AddressRefused(
      `${shown}: only https:// and ssh:// repositories are read${url.protocol === "http:" ? ", and http:// of hosts that --allow-repository-host names" : ""}`,
    );
  // ssh would read a leading dash as an option.
  if (host === "" || host.startsWith("-") || /^(?:-|%2d)/i.test(url.username))
    throw new AddressRefused(`${shown}: names no host`);
  if (!allowed && isInternal(host))
    throw new AddressRefused(`${shown}: ${host} is an internal host; allow it with --allow-repository-host ${host}`);
  return url;
}

/** The text with every user and password of a URL in it taken out: for errors and logs. */
export const redact = (text: string): string => text.replaceAll(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@]*@/gi, "$1");

function parse(address: string, shown: string): URL {
  // A leading dash would be read as an option, and `ext::` runs a command.
  if (address.startsWith("-") || /^[a-z0-9]+::/i.test(address))
    throw new AddressRefused(`${shown}: only https:// and ssh:// repositories are read`);
  try {
    return new URL(address);
  } catch (cause) {
    throw new AddressRefused(`${shown}: is not a URL; write ssh://git@host/path for the short ssh form`, { cause });
  }
}

/**
 * The host that will be connected to; "" for none. Of ssh:// the URL parser leaves the host as it is written, yet `127.1`,
 * `%6cocalhost` and `LOCALHOST` reach this machine all the same.
 */
function hostOf({ hostname }: URL): string {
  if (hostname === "" || !URL.canParse(`https://${hostname}`)) return "";
  return new URL(`https://${hostname}`).hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
}

/** Loopback, link-local and private names and addresses: the network that the hub itself stands in. */
export function isInternal(host: string): boolean {
  if (host === "localhost" || host.endsWith(".localhost") || host.endsWith(".internal")) return true;
  if (isIP(host) === 4)
    return /^(0|10|127)\.|^169\.254\.|^192\.168\.|^172\.(1[6-9]|2\d|3[01])\.|^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./.test(
      host,
    );
  // All of IPv6 that is not global unicast, and IPv4 in its mapped form.
  return isIP(host) === 6 && (!/^[23]/.test(host) || host.startsWith("::"));
}
