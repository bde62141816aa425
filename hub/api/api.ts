import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import { streamSSE } from "hono/streaming";
import { z } from "zod";
import type { Actions, Outcome } from "#hub/api/actions.ts";
import { authorise, type Actor, type Resource, type Verb } from "#hub/api/authorise.ts";
import { chart } from "#hub/fleet/kinds/chart.ts";
import { webhookBytes } from "#hub/git/webhook.ts";
import {
  driftRow,
  queryCluster,
  queryClusters,
  queryDrift,
  queryHistory,
  queryStatus,
  type Known,
} from "#hub/view/query.ts";
import type { View } from "#hub/view/view.ts";
import type { Question } from "#hub/view/why/facts.ts";
import type { Why } from "#hub/view/why/why.ts";
import type { RenderedQuestion } from "#hub/loop/rendered.ts";
import type { ShownCharts } from "#hub/loop/shown-charts.ts";
import { packChartFiles } from "#proto/chart-files.ts";
import { stringifyJson } from "#proto/json.ts";
import type { CommitRow, ErrorAnswer, RenderedAnswer, WhyAnswer } from "#proto/api.ts";
import { BoundedQueue } from "#lib/bounded-queue.ts";

/** Larger than any request of ours; a webhook has its own limit. */
const requestBytes = 64 * 1024;
/** A reader that falls behind by so many events loses the oldest, and is told by the gap in time. */
const followedEvents = 1_000;
const historyRows = 200;

export type ApiOptions = {
  readonly known: () => Known;
  readonly view: View;
  readonly actions: Actions;
  readonly authenticate: (token: string) => Actor | undefined;
  readonly why: (question: Question) => Promise<Why>;
  /** An Application's objects on a cluster, with the values of Secrets taken out. */
  readonly rendered: (question: RenderedQuestion) => Promise<Outcome<RenderedAnswer>>;
  readonly charts: ShownCharts;
  readonly commits: (limit: number) => Promise<CommitRow[]>;
  /** In Prometheus' text format. */
  readonly metrics: () => Promise<string>;
  /** Why this hub cannot serve; undefined when it can. */
  readonly notReady: () => string | undefined;
};

type Env = { Variables: { actor: Actor } };

const label = z.record(z.string().max(317), z.string().max(63));
const reason = z.string().max(1_000).default("");
const dnsLabel = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, "must be a name of Kubernetes");
const kindName = z
  .string()
  .max(400)
  .regex(/^([a-z0-9.-]+\/)?[A-Z][A-Za-z0-9]*(=[a-z0-9]+)?$/, "must be written group/Kind, or Kind of the core group");
const registerBody = z.strictObject({
  name: z.string().max(63),
  labels: label.default({}),
  /** The manifests are of profile Tenant, with these rights. */
  tenant: z
    .strictObject({
      namespaces: z.array(dnsLabel).min(1).max(100),
      kinds: z.array(kindName).min(1).max(100),
      serviceAccounts: z
        .array(
          z
            .string()
            .max(320)
            .regex(/^[a-z0-9-]+\/[a-z0-9.-]+$/, "must be written namespace/name"),
        )
        .max(100)
        .default([]),
    })
    .optional(),
});
const revokeBody = z.strictObject({ reason });
const promoteBody = z.strictObject({
  environment: z.string(),
  application: z.string(),
  revision: z.string().max(64).optional(),
  allowPrune: z.string().max(64).optional(),
  reason,
});
const removeBody = z.strictObject({
  application: z.string(),
  environment: z.string().optional(),
  cluster: z.string().optional(),
  mode: z.enum(["delete", "orphan"]),
  reason,
});

const rewriteBody = z.strictObject({
  repository: z.string().max(63),
  branch: z.string().max(250).optional(),
  to: z.string().max(64).optional(),
  reason,
});
const renderedQuery = z.strictObject({
  cluster: z.string().max(63),
  environment: z.string().max(63).optional(),
  revision: z.string().max(64).optional(),
});

const whyQuery = z.strictObject({
  application: z.string().max(63),
  cluster: z.string().max(63).optional(),
  environment: z.string().max(63).optional(),
  object: z.string().max(600).optional(),
});

/** The hub's HTTP API. Every route but health, joining and webhooks asks `authorise`. */
export function createApi(options: ApiOptions): Hono<Env> {
  const { known, view, actions } = options;
  const app = new Hono<Env>();
  app.onError((error, c) => {
    if (error instanceof z.ZodError)
      return fail(c, 400, z.prettifyError(error).replaceAll("\n", " "), "look at the field that is named");
    if (error instanceof SyntaxError) return fail(c, 400, "the body is not JSON", "");
    return fail(c, 500, "the hub could not answer", "look at its log");
  });
  app.notFound((c) => fail(c, 404, `there is no ${c.req.path}`, ""));
  app.get("/healthz", (c) => c.json({ ok: true }));
  app.get("/readyz", (c) => {
    const because = options.notReady();
    return because === undefined ? c.json({ ok: true }) : c.json({ ok: false, because }, 503);
  });
  app.get("/join/:cluster", (c) => {
    const paste = actions.paste(c.req.param("cluster"), c.req.query("token") ?? "");
    return paste === undefined
      ? fail(c, 403, "this join token is not valid here", "run plumb cluster register again")
      : c.text(paste, 200, { "content-type": "application/yaml", "cache-control": "no-store" });
  });
  app.post("/webhooks/:repository", limited(webhookBytes), async (c) => {
    const body = new Uint8Array(await c.req.arrayBuffer());
    const { ok, because } = await actions.webhook(c.req.param("repository"), c.req.raw.headers, body);
    return ok ? c.json({ ok }, 202) : fail(c, 403, because, "check the webhook's secret and address");
  });

  const api = new Hono<Env>();
  api.use(limited(requestBytes));
  api.use(async (c, next) => {
    const token = /^Bearer (.+)$/.exec(c.req.header("authorization") ?? "")?.[1];
    const actor = token === undefined ? undefined : options.authenticate(token);
    if (actor === undefined)
      return fail(
        c,
        401,
        "no valid token",
        "set PLUMBLINE_TOKEN, or --token-file, to a token that an Access document names",
      );
    c.set("actor", actor);
    return next();
  });
  const allowed = (c: Context<Env>, verb: Verb, resource?: Resource): Response | undefined => {
    const decision = authorise(c.get("actor"), verb, resource);
    return decision.allowed ? undefined : fail(c, 403, decision.because, "ask somebody who has that role");
  };

  api.get("/metrics", async (c) => allowed(c, "read") ?? c.text(await options.metrics()));
  api.get("/status", (c) => allowed(c, "read") ?? c.json(queryStatus(known())));
  api.get("/clusters", (c) => allowed(c, "read") ?? c.json(queryClusters(known())));
  api.get("/clusters/:name", (c) => {
    const found = queryCluster(known(), c.req.param("name"));
    return (
      allowed(c, "read") ??
      (found === undefined
        ? fail(c, 404, `there is no cluster ${c.req.param("name")}`, "plumb cluster list shows those there are")
        : c.json(found))
    );
  });
  api.get("/drift", (c) => {
    const sinceMs = Number(c.req.query("sinceMs") ?? 0);
    return allowed(c, "read") ?? c.json(queryDrift(known(), Number.isFinite(sinceMs) ? sinceMs : 0));
  });
  api.get("/applications/:name/rendered", async (c) => {
    const refused = allowed(c, "read");
    if (refused !== undefined) return refused;
    const { cluster, environment, revision } = renderedQuery.parse(c.req.query());
    return answer(c, await options.rendered({ application: c.req.param("name"), cluster, environment, revision }));
  });
  api.get("/charts", async (c) => {
    const refused = allowed(c, "read-charts");
    if (refused !== undefined) return refused;
    const found = await options.charts(chart.parse(c.req.query()));
    if (!found.ok) return answer(c, found);
    const headers = { "content-type": "application/octet-stream", "cache-control": "no-store" };
    return c.body(packChartFiles(found.chart) as Uint8Array<ArrayBuffer>, 200, headers);
  });
  api.get("/history", async (c) => {
    const refused = allowed(c, "read");
    if (refused !== undefined) return refused;
    return c.json({ commits: await options.commits(historyRows), events: queryHistory(known(), historyRows) });
  });
  api.get("/why", async (c) => {
    const refused = allowed(c, "read");
    if (refused !== undefined) return refused;
    const { application, ...place } = whyQuery.parse(c.req.query());
    const answered = await options.why({ application, ...place });
    if (!answered.ok) return fail(c, answered.status, answered.message, answered.advice);
    const { ok: _ok, ...answer } = answered;
    return c.json(answer satisfies WhyAnswer);
  });
  api.get("/drift/watch", (c) => allowed(c, "read") ?? followDrift(c, view));
  api.post("/clusters", async (c) => {
    const refused = allowed(c, "register");
    if (refused !== undefined) return refused;
    return answer(c, await actions.register(c.get("actor"), registerBody.parse(await c.req.json())));
  });
  api.post("/clusters/:name/revoke", async (c) => {
    const refused = allowed(c, "revoke");
    if (refused !== undefined) return refused;
    const body = revokeBody.parse(await c.req.json());
    return answer(c, await actions.revoke(c.get("actor"), c.req.param("name"), body.reason));
  });
  api.post("/promotions", async (c) => {
    const { revision, allowPrune, ...body } = promoteBody.parse(await c.req.json());
    const refused = allowed(c, "promote", { environment: body.environment });
    if (refused !== undefined) return refused;
    return answer(c, await actions.promote(c.get("actor"), { ...body, revision, allowPrune }));
  });
  api.post("/removals", async (c) => {
    const refused = allowed(c, "remove");
    if (refused !== undefined) return refused;
    const { environment, cluster, ...removal } = removeBody.parse(await c.req.json());
    if ((environment === undefined) === (cluster === undefined))
      return fail(c, 400, "a removal names either an environment or a cluster", "");
    const scope = cluster === undefined ? { environment: environment! } : { cluster };
    return answer(c, await actions.remove(c.get("actor"), { ...removal, scope }));
  });
  api.post("/rewrites", async (c) => {
    const refused = allowed(c, "accept-rewrite");
    if (refused !== undefined) return refused;
    const { branch, to, ...body } = rewriteBody.parse(await c.req.json());
    return answer(c, await actions.acceptRewrite(c.get("actor"), { ...body, branch, to }));
  });
  app.route("/api/v1", api);
  return app;
}

function followDrift(c: Context<Env>, view: View): Response {
  return streamSSE(c, async (stream) => {
    const queue = new BoundedQueue<{ data: string }>(followedEvents);
    const stop = view.listen(({ cluster, atMs, event }) => {
      if (event.body?.$case !== "drift") return;
      const { application, environment, body } = event;
      queue.push({ data: JSON.stringify(driftRow({ cluster, application, environment, drift: body.value, atMs })) });
    });
    stream.onAbort(() => queue.close());
    try {
      await stream.write(": following\n\n");
      for await (const message of queue) await stream.writeSSE(message);
    } finally {
      stop();
    }
  });
}

function answer<Value>(c: Context<Env>, outcome: Outcome<Value>): Response {
  if (!outcome.ok) return fail(c, outcome.status, outcome.message, outcome.advice);
  const { ok: _ok, ...value } = outcome;
  return c.body(stringifyJson(value), 200, { "content-type": "application/json" });
}

const limited = (maxSize: number) =>
  bodyLimit({ maxSize, onError: (c) => fail(c, 413, `the body is larger than ${maxSize} bytes`, "send less") });

const fail = (
  c: Context,
  status: 400 | 401 | 403 | 404 | 409 | 413 | 422 | 500 | 503,
  message: string,
  advice: string,
): Response => c.json({ error: { message, do: advice } } satisfies ErrorAnswer, status);
