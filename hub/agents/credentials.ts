import { ServerCredentials } from "@grpc/grpc-js";

/**
 * TLS that asks for a client certificate and takes connections without one: an agent enrols and renews without (a
 * certificate that does not verify may be dropped before a call is seen). Whoever serves a call that needs one calls `authenticate`.
 */
export function agentServerCredentials(pems: {
  readonly ca: string;
  readonly certificate: string;
  readonly privateKey: string;
}): ServerCredentials {
  const pair = { cert_chain: Buffer.from(pems.certificate), private_key: Buffer.from(pems.privateKey) };
  const asking = ServerCredentials.createSsl(Buffer.from(pems.ca), [pair], true);
  // grpc-js 1.14.7 knows only "require" and "do not ask", and its experimental certificate providers dropped the
  // connection before TLS was up. These options go to node:tls as they are.
  const options = asking._getConstructorOptions();
  if (!options) throw new Error("grpc-js gives no TLS options to its server");
  options.rejectUnauthorized = false;
  return asking;
}
