import { createActions } from "#hub/actions/actions.ts";
import { createApi, type ApiOptions } from "#hub/api/api.ts";
import { actorOf } from "#hub/api/authorise.ts";
import { observeHub } from "#hub/api/metrics.ts";
import { serveApi, type ApiServer } from "#hub/api/serve.ts";
import { secretFile } from "#hub/loop/credentials.ts";
import { createRendered } from "#hub/loop/rendered.ts";
import { createShownCharts } from "#hub/loop/shown-charts.ts";
import { fleetName } from "#hub/loop/source-set.ts";
import { describeStop, isAlarm } from "#hub/loop/stops.ts";
import { createTold } from "#hub/loop/told.ts";
import { toldRevision, type Known } from "#hub/view/query.ts";
import { why } from "#hub/view/why/why.ts";
import { openMetrics } from "#lib/metrics.ts";
import type { ApplicationName } from "#proto/ids.ts";
import type { Clusters } from "./clusters.ts";
import type { Deciding } from "./deciding.ts";
import type { Git } from "./git.ts";
import type { Rendering } from "./rendering.ts";
import type { Term } from "./term.ts";

/** The API, for the CLI and the page. */
export async function servePeople(
  term: Term,
  git: Git,
  rendering: Rendering,
  deciding: Deciding,
  clusters: Clusters,
): Promise<ApiServer> {
  const { config, view, clock, broker } = term;
  const { loop } = deciding;
  const metrics = term.use(await openMetrics("plumbline-hub", config.otlpEndpoint));
  observeHub(metrics.meter, {
    sessions: () => clusters.agents.sessions().size,
    view,
    nowMs: () => clock.now(),
    waiting: () => loop.state().waiting.length,
    problems: () => loop.state().problems.length,
  });
  const known = (): Known => knownNow(term, git, rendering, deciding);
  const api = createApi({
    metrics: () => metrics.text(),
    known,
    view,
    actions: openActions(term, git, deciding, clusters),
    authenticate: (token) => actorOf(loop.state().fleet, token),
    why: answersWhy(term, git, rendering, known),
    commits: listsCommits(term, git, deciding),
    rendered: openRendered(term, git, rendering, deciding),
    charts: createShownCharts({
      fleet: () => loop.state().fleet,
      repository: (name) => git.sources.byName(name),
      charts: rendering.charts,
    }),
    notReady: () => (broker.isConnected() ? undefined : "the broker is not reachable"),
  });
  return term.use(await serveApi(api, config.listenHttp));
}

function knownNow(term: Term, { sources, records }: Git, { renders }: Rendering, { loop }: Deciding): Known {
  const { view, clock, desired } = term;
  const { fleet, fleetCommit, problems, waiting } = loop.state();
  const nowMs = clock.now();
  return {
    view,
    fleet,
    fleetCommit: fleetCommit ?? "",
    problems,
    waiting,
    rendered: (application, environment) => renders.choice(application, environment) ?? "",
    warnings: (application, environment) => renders.warnings(application, environment),
    held: (cluster, application) => {
      const entry = desired.known(cluster)?.state.entries.find((entry) => entry.application === application);
      return entry?.kind === "hold" ? entry.because : undefined;
    },
    alarms: [
      ...(records.alarm() === "" ? [] : [records.alarm()]),
      ...[...sources.refused()].map(([name, because]) => `${name}: is not followed: ${because}`),
      ...sources.all().flatMap((source) => [
        ...source
          .stops()
          .filter((stop) => isAlarm(stop, nowMs))
          .map(describeStop),
        ...(source.problem() === "" ? [] : [`${source.name}: ${source.problem()}`]),
      ]),
    ],
    records: records.now().clusters,
    nowMs,
  };
}

function openActions(
  term: Term,
  git: Git,
  { loop }: Deciding,
  { grpcAddress, revoked }: Clusters,
): ApiOptions["actions"] {
  const { config, identity, signer, view, clock } = term;
  const { sources, fleetSource, records, given } = git;
  return createActions({
    identity,
    signer,
    fleetSource,
    branch: config.fleetBranch,
    folder: config.fleetFolder,
    fleet: () => loop.state().fleet,
    refresh: () => loop.refresh(),
    round: () => loop.round(),
    sourceOf: (application) => sources.of(loop.state().fleet, application as ApplicationName),
    sourceByName: (name) => sources.byName(name),
    webhookSecretFile: (name) => {
      if (name === fleetName) return config.webhookSecretFile;
      const secret = loop.state().fleet.repositories.get(name)?.webhookSecret;
      return secret && secretFile(secret, config.secretFolder);
    },
    records,
    isReported: (application) => view.clusters.values().some(({ applications }) => applications.has(application)),
    inUse: given,
    revoked,
    grpcAddress,
    agentImage: config.agentImage,
    clock,
  });
}

function answersWhy(term: Term, git: Git, { renders }: Rendering, known: () => Known): ApiOptions["why"] {
  const { config, signer, desired } = term;
  const { sources, fleetSource, records } = git;
  const told = createTold({
    fleetSource,
    branch: config.fleetBranch,
    sourceOf: (application) => sources.of(known().fleet, application),
    publicKey: signer.publicKey,
  });
  return (question) =>
    why(
      {
        ...known(),
        document: (cluster) => desired.known(cluster)?.state,
        bundleKeys: (digest) => renders.sealed(digest)?.keys,
        rollouts: records.now().rollouts,
      },
      question,
      told,
    );
}

const listsCommits =
  ({ config }: Term, { fleetSource }: Git, { loop, trust }: Deciding): ApiOptions["commits"] =>
  async (limit) => {
    const head = fleetSource.head(config.fleetBranch);
    const logged = head === undefined ? [] : await fleetSource.mirror.log(head, limit);
    const promoters = await trust.promoters(
      logged.map(({ commit }) => commit),
      loop.state().fleet,
    );
    return logged.map(({ commit, author, atMs, subject }, n) => ({
      commit,
      author,
      subject,
      at: new Date(atMs).toISOString(),
      promoter: promoters[n]!,
    }));
  };

function openRendered(
  term: Term,
  { sources }: Git,
  { renderer, tools, charts }: Rendering,
  { loop }: Deciding,
): ApiOptions["rendered"] {
  const { view, desired, signal } = term;
  return createRendered({
    fleet: () => loop.state().fleet,
    desired,
    told: (cluster, application, environment) => toldRevision(view, cluster, application, environment),
    sourceOf: (application) => sources.of(loop.state().fleet, application as ApplicationName),
    repository: (name) => sources.byName(name),
    charts,
    tools,
    renderer,
    signal,
  });
}
