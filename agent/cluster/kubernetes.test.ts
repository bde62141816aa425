import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { ApiError, ServerAway, UnknownKind, WatchExpired } from "./errors.ts";
import { openKubernetes } from "./kubernetes.ts";

const kind = { group: "", version: "v1", kind: "ConfigMap", resource: "configmaps", namespaced: true, verbs: [] };

/** A server that answers every request with this. */
async function startAnswering(status: number, body: object) {
  const server = createServer((_asked, answer) => answer.writeHead(status).end(JSON.stringify(body)));
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await once(server.close(), "close");
    },
  };
}

// What is no reason to list anew is asked again from the same version: of 410 that would be for ever.
test.each([
  ["the version is forgotten", 410, { code: 410, reason: "Expired", message: "too old" }, WatchExpired],
  ["the server is not there yet", 503, { code: 503, message: "starting" }, ServerAway],
  ["the kind is not served", 404, { code: 404, message: "page not found" }, UnknownKind],
  ["it is forbidden", 403, { code: 403, reason: "Forbidden", message: "no" }, ApiError],
])("a watch that is refused tells why: %s", async (_what, status, body, reason) => {
  await using server = await startAnswering(status, body);
  await using cluster = openKubernetes({ server: server.url, credentials: async () => ({ headers: {} }) });
  const watching = cluster.watch(kind, "7")[Symbol.asyncIterator]();
  await expect(watching.next()).rejects.toThrow(reason);
  if (status === 410) await expect(cluster.list(kind)).rejects.toThrow(reason);
});
