import { expect, test } from "vitest";
import type { Actions } from "#hub/api/actions.ts";
import { createApi } from "#hub/api/api.ts";
import type { Actor } from "#hub/api/authorise.ts";
import type { Role } from "#hub/fleet/fleet.ts";
import { readFleet } from "#hub/fleet/read.ts";
import { View } from "#hub/view/view.ts";
import { environmentName } from "#proto/ids.ts";

const done = { ok: true, commit: "c", file: "f" } as const;
const asked: string[] = [];
const note = (what: string): void => void asked.push(what);
const actions: Actions = {
  register: (_actor, { name }) => {
    note(`register ${name}`);
    return Promise.resolve({ ...done, cluster: name, joinCommand: "", paste: "", expiresAt: "" });
  },
  revoke: (_actor, name) => (note(`revoke ${name}`), Promise.resolve(done)),
  promote: (_actor, { environment }) => (note(`promote ${environment}`), Promise.resolve({ ...done, revision: "r" })),
  remove: (_actor, { application }) => (note(`remove ${application}`), Promise.resolve(done)),
  acceptRewrite: (_actor, { repository }) => (
    note(`accept ${repository}`),
    Promise.resolve({ ...done, branch: "main", from: "a", to: "b" })
  ),
  paste: (_cluster, token) => (token === "good" ? "kind: Namespace\n" : undefined),
  webhook: () => Promise.resolve({ ok: false, because: "signed with another secret" }),
};
const promoter: Role = { role: "promoter", environments: [environmentName("staging")] };
const actors: Readonly<Record<string, Actor>> = {
  viewer: { name: "viewer", roles: [{ role: "viewer" }] },
  promoter: { name: "promoter", roles: [promoter] },
  approver: { name: "approver", roles: [{ role: "approver" }] },
  operator: { name: "operator", roles: [{ role: "operator" }] },
  admin: { name: "admin", roles: [{ role: "admin" }] },
  nobody: { name: "nobody", roles: [] },
};
const view = new View();
const app = createApi({
  metrics: async () => "",
  known: () => ({
    view,
    fleet: readFleet([]).fleet,
    fleetCommit: "",
    problems: [],
    alarms: [],
    waiting: [],
    records: new Map(),
    nowMs: 0,
  }),
  view,
  actions,
  authenticate: (token) => actors[token],
  why: ({ application }) =>
    Promise.resolve({ ok: false, status: 404, message: `there is no application ${application}`, advice: "" }),
  commits: () => Promise.resolve([]),
  rendered: () => Promise.resolve({ ok: false, status: 404, message: "none", advice: "" }),
  charts: () => (note("chart"), Promise.resolve({ ok: false, status: 404, message: "none", advice: "" })),
  notReady: () => undefined,
});
const send = (method: string, path: string, token: string | undefined, body?: object) =>
  app.request(path, {
    method,
    ...(token === undefined
      ? {}
      : { headers: { authorization: `Bearer ${token}`, "content-type": "application/json" } }),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

const readers = ["viewer", "promoter", "approver", "operator", "admin"];
const promotion = { environment: "staging", application: "shop" };
/** Every route that asks who one is, and who may. */
const routes: readonly [string, string, readonly string[], object?][] = [
  ["GET", "/api/v1/metrics", readers],
  ["GET", "/api/v1/status", readers],
  ["GET", "/api/v1/clusters", readers],
  ["GET", "/api/v1/clusters/:name", readers],
  ["GET", "/api/v1/drift", readers],
  ["GET", "/api/v1/applications/:name/rendered", readers],
  ["GET", "/api/v1/charts", ["promoter", "operator", "admin"]],
  ["GET", "/api/v1/history", readers],
  ["GET", "/api/v1/drift/watch", readers],
  ["GET", "/api/v1/why", readers],
  ["POST", "/api/v1/clusters", ["admin"], { name: "eu-1", labels: {} }],
  ["POST", "/api/v1/clusters/:name/revoke", ["admin"], { reason: "" }],
  ["POST", "/api/v1/promotions", ["promoter", "operator", "admin"], promotion],
  ["POST", "/api/v1/removals", ["operator", "admin"], { application: "shop", environment: "dev", mode: "delete" }],
  ["POST", "/api/v1/rewrites", ["operator", "admin"], { repository: "shop", branch: "main" }],
];

test("the table below names every route of the API", () => {
  const served = app.routes.filter(({ method, path }) => method !== "ALL" && path.startsWith("/api/v1/"));
  expect(served.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(
    routes.map(([method, path]) => `${method} ${path}`).sort(),
  );
});

test.each(
  routes.flatMap(([method, path, may, body]) =>
    Object.keys(actors).map((who) => ({ method, path, who, isAllowed: may.includes(who), body })),
  ),
)("$method $path by $who: allowed $isAllowed", async ({ method, path, who, isAllowed, body }) => {
  asked.length = 0;
  const response = await send(method, path.replace(":name", "eu-1"), who, body);
  await response.body?.cancel();
  // A cluster that nobody knows is a 404 to those who may look.
  expect(response.status === 403).toBe(!isAllowed);
  if (!isAllowed) expect(asked).toEqual([]);
});

test("a promoter of staging promotes nowhere else", async () => {
  expect((await send("POST", "/api/v1/promotions", "promoter", promotion)).status).toBe(200);
  const elsewhere = await send("POST", "/api/v1/promotions", "promoter", { ...promotion, environment: "prod" });
  expect(elsewhere.status).toBe(403);
  expect(await elsewhere.json()).toEqual({
    error: {
      message: "promoter may not promote in prod: it needs the role promoter or operator or admin",
      do: "ask somebody who has that role",
    },
  });
});

test("nobody without a token gets past the door, and what is not asked for is refused by field", async () => {
  for (const [method, path, , body] of routes)
    for (const token of [undefined, "unknown"]) expect((await send(method, path, token, body)).status).toBe(401);
  const wrong = await send("POST", "/api/v1/promotions", "admin", { ...promotion, revison: "typo" });
  expect(wrong.status).toBe(400);
  expect(JSON.stringify(await wrong.json())).toContain("revison");
  const both = { application: "shop", environment: "dev", cluster: "eu-1", mode: "delete" };
  expect((await send("POST", "/api/v1/removals", "admin", both)).status).toBe(400);
  const large = { name: "eu-1", labels: { a: "x".repeat(70_000) } };
  expect((await send("POST", "/api/v1/clusters", "admin", large)).status).toBe(413);
});

test("joining needs its own token, and a webhook its signature", async () => {
  expect((await send("GET", "/join/eu-1?token=good", undefined)).status).toBe(200);
  expect((await send("GET", "/join/eu-1?token=bad", undefined)).status).toBe(403);
  expect((await send("POST", "/webhooks/fleet", undefined, {})).status).toBe(403);
  expect((await send("GET", "/healthz", undefined)).status).toBe(200);
});

test("what is no JSON is the asker's mistake, not the hub's", async () => {
  const headers = { authorization: "Bearer admin", "content-type": "application/json" };
  const response = await app.request("/api/v1/clusters", { method: "POST", headers, body: "{" });
  expect([response.status, await response.json()]).toEqual([
    400,
    { error: { message: "the body is not JSON", do: "" } },
  ]);
});
