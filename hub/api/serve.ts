import { once } from "node:events";
import type { AddressInfo } from "node:net";
import type { Server } from "node:http";
import { serve } from "@hono/node-server";
import type { createApi } from "#hub/api/api.ts";

export type ApiServer = AsyncDisposable & { readonly port: number };

/** Serves the API; disposing ends every open connection, also those that follow events. */
export async function serveApi(
  app: ReturnType<typeof createApi>,
  listen: { readonly host: string; readonly port: number },
): Promise<ApiServer> {
  const server = serve({ fetch: app.fetch, hostname: listen.host, port: listen.port }) as Server;
  if (!server.listening) await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
