import { checkServerIdentity, type PeerCertificate } from "node:tls";

/** The `tls` of a NATS client's options; none without a CA. */
export type NatsTls = {
  tls?: { ca: string; checkServerIdentity: (_: string, certificate: PeerCertificate) => Error | undefined };
};

/**
 * TLS that trusts `ca` alone and takes a server whose certificate names one of `urls`' hosts. The client loses the host
 * when it is an address, and node would then hold the certificate to "localhost".
 */
export function tlsOf(ca: string | undefined, urls: readonly string[]): NatsTls {
  if (ca === undefined) return {};
  const hosts = urls.map((url) => new URL(url).hostname.replaceAll(/^\[|\]$/g, ""));
  const options = {
    ca,
    checkServerIdentity: (_: string, certificate: PeerCertificate): Error | undefined => {
      const problems = hosts.map((host) => checkServerIdentity(host, certificate));
      return problems.includes(undefined) ? undefined : problems[0];
    },
  };
  return { tls: options };
}
