import { once } from "node:events";
import { createServer, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import type { Access } from "#agent/cluster/access.ts";

/** What becomes of a request on its way: other headers, or an answer at once instead of the server's. */
export type Passing =
  | { readonly headers?: OutgoingHttpHeaders }
  | { readonly status: number; readonly body: string; readonly headers?: OutgoingHttpHeaders };

/** A plain HTTP server that passes requests on to an API server, but for what `look` makes of them. */
export type ApiProxy = AsyncDisposable & { readonly url: string; readonly seen: readonly string[] };

export async function startApiProxy(
  access: Access,
  look: (asked: IncomingMessage) => Passing = () => ({}),
): Promise<ApiProxy> {
  const seen: string[] = [];
  const server = createServer((asked, answer) => {
    seen.push(`${asked.method} ${asked.url}`);
    const passing = look(asked);
    if ("status" in passing) {
      answer.writeHead(passing.status, { "content-type": "application/json", ...passing.headers }).end(passing.body);
      return;
    }
    void access.credentials().then(({ ca, clientCertificate, headers }) => {
      const options = {
        method: asked.method,
        agent: false,
        ca,
        cert: clientCertificate?.certificate,
        key: clientCertificate?.key,
        headers: { ...asked.headers, ...headers, ...passing.headers, host: new URL(access.server).host },
      };
      const onward = request(`${access.server}${asked.url}`, options, (answered) => {
        answer.writeHead(answered.statusCode ?? 502, answered.headers);
        answered.pipe(answer);
      });
      onward.on("error", () => answer.destroy());
      answer.on("close", () => onward.destroy());
      asked.pipe(onward);
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await once(server.close(), "close");
    },
  };
}
