import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { openTransport } from "./transport.ts";

/** A server that takes every request, and answers none by itself. */
async function startSilence() {
  const taken: ServerResponse[] = [];
  const server = createServer((_asked, answer) => void taken.push(answer));
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    next: async (): Promise<ServerResponse> => {
      while (taken.length === 0) await once(server, "request");
      return taken.shift()!;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await once(server.close(), "close");
    },
  };
}

test("a request that a frozen server took is given up, and named; a watch that is quiet is not", async () => {
  await using server = await startSilence();
  const access = { server: server.url, credentials: async () => ({ headers: {} }) };
  await using transport = openTransport(access, { answerMs: 100 });
  const opened = transport.stream({ method: "GET", path: "/watch" });
  const watch = await server.next();
  watch.writeHead(200).flushHeaders();
  const heard = (await opened)[Symbol.asyncIterator]();
  const said = heard.next();
  // Asked later than the watch: by the time that it is given up, so would the watch be.
  const call = transport.call({ method: "GET", path: "/frozen", query: { limit: "500" } });
  await expect(call).rejects.toThrow("GET /frozen: nothing was heard for 0.1 s");
  watch.write("at last");
  expect(String((await said).value)).toBe("at last");
});
