import * as http from "node:http";
import * as https from "node:https";
import { isIP, type Socket } from "node:net";
import { createSecureContext } from "node:tls";
import { urlToHttpOptions } from "node:url";
import type { Access, Credentials } from "#agent/cluster/access.ts";

/** Kept connections for calls; 4 to 16 in flight measured best, and HTTP/1.1 needs one each. */
const callConnections = 8;
/** An API server answers or fails within its own 60 s; beyond that the connection is dead. */
const answerTimeoutMs = 75_000;
/** API servers close what was idle for 90 s: what we keep must not be closed while a request goes out on it. */
const idleMs = 45_000;

/** `calls` share a few kept connections, each stream has its own. */
export type Purpose = "calls" | "streams";

export type Sent = {
  /** Under the server's address, with its query. */
  readonly path: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly signal: AbortSignal | undefined;
};

/**
 * Connections to one server under one set of certificates. On node:https, which the agent has loaded anyway: another HTTP
 * stack costs it 9 MB.
 */
export type Connections = {
  /** Resolves with the head of the answer; its body follows. Rejects with the signal's reason when aborted. */
  send(purpose: Purpose, sent: Sent): Promise<http.IncomingMessage>;
  /** Takes nothing new, and resolves once what runs has come to its end. */
  retire(): Promise<void>;
  /** Ends everything now. */
  destroy(): Promise<void>;
};

/** `answerMs`: without a byte of an answer for so long, a request is given up. */
export function openConnections(
  { server, proxy }: Access,
  credentials: Credentials,
  answerMs = answerTimeoutMs,
): Connections {
  const { ca, clientCertificate, serverName } = credentials;
  // Without TLS only where a kubeconfig says so, as that of `kubectl proxy` does.
  const { Agent, request } = server.startsWith("https:") ? https : http;
  const base = new URL(server);
  const { protocol, port } = base;
  const hostname = urlToHttpOptions(base).hostname ?? "";
  const prefix = base.pathname === "/" ? "" : base.pathname;
  const options = {
    // Made once: from PEM texts each connection would read them again, and each request look for a connection by them.
    secureContext: createSecureContext({
      ...(ca === undefined ? {} : { ca }),
      ...(clientCertificate === undefined ? {} : { cert: clientCertificate.certificate, key: clientCertificate.key }),
    }),
    // Said here, or each request would find it out: the host's name, and none for an address.
    servername: serverName ?? (isIP(hostname) === 0 ? hostname : ""),
    // What the environment says of proxies is not for API servers.
    ...(proxy === undefined ? {} : { proxyEnv: { HTTPS_PROXY: proxy } }),
  };
  const agents = {
    calls: new Agent({ ...options, keepAlive: true, maxSockets: callConnections, timeout: idleMs, scheduling: "lifo" }),
    streams: new Agent({ ...options, keepAlive: false }),
  };
  const sockets = new Set<Socket>();
  const running = new Set<http.ClientRequest>();

  const track = (socket: Socket): void => {
    if (sockets.has(socket)) return;
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  };

  const send = (purpose: Purpose, { path, method, headers, body, signal }: Sent): Promise<http.IncomingMessage> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const asked = request({
        protocol,
        hostname,
        port,
        path: `${prefix}${path}`,
        agent: agents[purpose],
        method,
        headers: listOf(base.host, headers, body),
      });
      const abort = (): void => void asked.destroy(signal?.reason as Error);
      // Not given to the request: that makes of each signal a watch over the whole stream, at the cost of the stream itself.
      signal?.addEventListener("abort", abort, { once: true });
      running.add(asked);
      asked.once("close", () => {
        running.delete(asked);
        signal?.removeEventListener("abort", abort);
      });
      asked.setTimeout(answerMs, () =>
        asked.destroy(
          new Error(`${method} ${prefix}${path.split("?", 1)[0]}: nothing was heard for ${answerMs / 1000} s`),
        ),
      );
      asked.on("socket", track);
      asked.on("error", (error) => reject(signal?.aborted ? (signal.reason as Error) : error));
      asked.on("response", (answer) => {
        if (purpose === "streams") asked.setTimeout(0);
        resolve(answer);
      });
      asked.end(body);
    });

  const destroy = async (): Promise<void> => {
    const closed = [...sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve)));
    for (const socket of sockets) socket.destroy();
    for (const agent of Object.values(agents)) agent.destroy();
    await Promise.all(closed);
  };
  return {
    send,
    async retire() {
      await Promise.all([...running].map((asked) => new Promise((resolve) => asked.once("close", resolve))));
      await destroy();
    },
    destroy,
  };
}

/** As a list Node sends them as they are; of an object it makes a map of its own first. Without its length a body goes in chunks. */
function listOf(host: string, headers: Readonly<Record<string, string>>, body: string | undefined): string[] {
  const list = ["host", host];
  for (const name in headers) list.push(name, headers[name]!);
  if (body !== undefined) list.push("content-length", String(Buffer.byteLength(body)));
  return list;
}
