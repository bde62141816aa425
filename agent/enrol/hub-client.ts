import { once } from "node:events";
import { connect } from "node:tls";
import {
  credentials,
  Metadata,
  status,
  type ChannelCredentials,
  type ChannelOptions,
  type ServiceError,
} from "@grpc/grpc-js";
import { activeTraceparent } from "#lib/telemetry.ts";
import {
  EnrolmentServiceClient,
  type Credentials,
  type EnrolRequest,
  type RenewRequest,
} from "#proto/gen/plumbline/agent/v1/agent.ts";
import { fingerprintOf } from "#proto/fingerprint.ts";

/** A hub that has not answered in this time is asked again by whoever called. */
const answerWithinMs = 15_000;

/** The hub said no, and will say it again. */
export class EnrolmentRefused extends Error {
  override readonly name = "EnrolmentRefused";
}

/** What the hub's port shows is not the CA that the join line pins. */
export class WrongHub extends Error {
  override readonly name = "WrongHub";
}

/** The CA certificate that stands behind the hub's, PEM, if it is the pinned one. Throws WrongHub. */
export async function pinnedCa(hub: string, pin: string): Promise<string> {
  const { host, port } = addressOf(hub);
  // Nothing is sent on this connection, and what it shows is believed only if it hashes to the pin.
  const socket = connect({ host, port, rejectUnauthorized: false, ALPNProtocols: ["h2"], servername: nameOf(host) });
  try {
    await once(socket, "secureConnect", { signal: AbortSignal.timeout(answerWithinMs) });
    const shown = socket.getPeerX509Certificate();
    const ca = shown?.issuerCertificate;
    if (shown === undefined || ca === undefined || fingerprintOf(ca.raw) !== pin || !shown.verify(ca.publicKey))
      throw new WrongHub(`${hub} is not the hub that the join line names: its CA has another fingerprint`);
    return ca.toString();
  } finally {
    socket.destroy();
  }
}

export const enrol = (hub: string, caPem: string, request: EnrolRequest): Promise<Credentials> =>
  ask(hub, caPem, (client, options, answer) => client.enrol(request, tracing(), options, answer));

export const renew = (hub: string, caPem: string, request: RenewRequest): Promise<Credentials> =>
  ask(hub, caPem, (client, options, answer) => client.renew(request, tracing(), options, answer));

/** The trace that goes on in the hub (W3C trace context); nothing when none is recorded. */
function tracing(): Metadata {
  const metadata = new Metadata();
  const traceparent = activeTraceparent();
  if (traceparent !== "") metadata.set("traceparent", traceparent);
  return metadata;
}

type Answer = (error: ServiceError | null, response: { credentials?: Credentials | undefined }) => void;

async function ask(
  hub: string,
  caPem: string,
  call: (client: EnrolmentServiceClient, options: { deadline: number }, answer: Answer) => void,
): Promise<Credentials> {
  const client = new EnrolmentServiceClient(hub, serverOnly(caPem), channelOptions(hub));
  try {
    return await new Promise<Credentials>((resolve, reject) => {
      call(client, { deadline: Date.now() + answerWithinMs }, (error, response) => {
        if (error === null && response.credentials !== undefined) return resolve(response.credentials);
        if (error?.code === status.PERMISSION_DENIED) return reject(new EnrolmentRefused(error.details));
        reject(new Error(`the hub at ${hub} could not be asked: ${error?.details ?? "its answer was empty"}`));
      });
    });
  } finally {
    client.close();
  }
}

const serverOnly = (caPem: string): ChannelCredentials => credentials.createSsl(Buffer.from(caPem));

export function addressOf(hub: string): { host: string; port: number } {
  const at = hub.lastIndexOf(":");
  const port = Number(hub.slice(at + 1));
  if (at <= 0 || !Number.isInteger(port)) throw new Error(`the hub's address must be host:port, not ${hub}`);
  return { host: hub.slice(0, at).replace(/^\[|\]$/g, ""), port };
}

/**
 * For a hub that is reached by an address: TLS names no addresses in its hello, and grpc-js would. The hub's certificate
 * also holds this name, and its CA, which is pinned, gives no other server a certificate.
 */
export const channelOptions = (hub: string): ChannelOptions =>
  nameOf(addressOf(hub).host) === "" ? { "grpc.ssl_target_name_override": "localhost" } : {};

// TLS names no addresses in its hello.
const nameOf = (host: string): string => (/^[\d.]+$|:/.test(host) ? "" : host);
