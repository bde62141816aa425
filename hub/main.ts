import { readFile } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { startAgents, type Agents } from "#hub/agents/agents.ts";
import { createCharts } from "#hub/charts/charts.ts";
import { createDownload } from "#hub/charts/download.ts";
import { createEnrolment } from "#hub/agents/enrol.ts";
import { createApi } from "#hub/api/api.ts";
import { observeHub } from "#hub/api/metrics.ts";
import { actorOf } from "#hub/api/authorise.ts";
import { serveApi } from "#hub/api/serve.ts";
import type { HubConfig } from "#hub/config.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import { readFleet } from "#hub/fleet/read.ts";
import { openConnections } from "#hub/git/connections.ts";
import { createAppTokens } from "#hub/git/github-app.ts";
import { createGitSigner } from "#hub/git/sign.ts";
import { loadIdentity, type Identity } from "#hub/identity/identity.ts";
import { createActions } from "#hub/loop/actions.ts";
import { DesiredStates } from "#hub/loop/desired.ts";
import { createListener } from "#hub/loop/listener.ts";
import { LeaseLost, startLoop } from "#hub/loop/loop.ts";
import { patient } from "#hub/loop/patient.ts";
import { openRecords, recordBranch } from "#hub/loop/records.ts";
import { Receipts } from "#hub/loop/receipts.ts";
import { createSweep } from "#hub/loop/sweep.ts";
import { keepRenderings } from "#hub/loop/kept-renderings.ts";
import { createRendered } from "#hub/loop/rendered.ts";
import { createRenders } from "#hub/loop/renders.ts";
import { chartRepository } from "#hub/loop/chart-repository.ts";
import { secretFile, type DeclaredAccess } from "#hub/loop/credentials.ts";
import { createEvidence } from "#hub/loop/evidence.ts";
import { fleetName, openSourceSet } from "#hub/loop/source-set.ts";
import type { Source, SourceOptions } from "#hub/loop/sources.ts";
import { describeStop, isAlarm } from "#hub/loop/stops.ts";
import { createTold } from "#hub/loop/told.ts";
import { Traces } from "#hub/loop/traces.ts";
import { openBroker, type Broker } from "#hub/publish/broker.ts";
import { superviseNats } from "#hub/publish/supervise.ts";
import { openFence } from "#hub/render/fence.ts";
import { createRenderer } from "#hub/render/renderer.ts";
import { openSealedStore } from "#hub/render/sealed-store.ts";
import { openTools } from "#hub/render/tools.ts";
import { createTrust } from "#hub/trust/trust.ts";
import { isHeard, toldRevision, type Known } from "#hub/view/query.ts";
import { View } from "#hub/view/view.ts";
import { why } from "#hub/view/why/why.ts";
import { systemClock, type Clock } from "#lib/clock.ts";
import { createLog, reasonOf, type Log } from "#lib/log.ts";
import { openMetrics } from "#lib/metrics.ts";
import { openTelemetry, type Telemetry } from "#lib/telemetry.ts";
import { ApplicationStatus } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { ApplicationName, ClusterId, Revision } from "#proto/ids.ts";

/** A few hundred of the largest charts, or all of a common fleet; what does not fit is rendered again. */
const keptRenderings = { bytes: 512 * 1024 * 1024, files: 20_000 };

const keptCharts = { bytes: 256 * 1024 * 1024, files: 1_000 };

type Process = {
  readonly config: HubConfig;
  readonly identity: Identity;
  readonly clock: Clock;
  readonly log: Log;
  readonly telemetry: Telemetry;
  readonly signal: AbortSignal;
  /** Told once the hub leads and listens. */
  readonly onReady: (ports: { http: number; grpc: number; nats: string }) => void;
};

/** Runs a hub until the signal. It leads while it holds the lease; without it, it waits for its turn. */
export async function hubProcess(
  config: HubConfig,
  signal: AbortSignal,
  onReady: Process["onReady"] = () => undefined,
): Promise<void> {
  const clock = systemClock;
  const log = createLog("hub", config.logLevel);
  const identity = await loadIdentity(config.identity);
  await using telemetry = await openTelemetry("plumbline-hub", config.otlpEndpoint);
  await using nats =
    config.natsUrl.length > 0
      ? undefined
      : await superviseNats(natsOptions(config, identity, await natsTls(config, identity, clock)), {
          clock,
          log,
          signal,
        });
  const urls = nats === undefined ? config.natsUrl : [nats.url];
  const parts: Process = { config, identity, clock, log, telemetry, signal, onReady };
  while (!signal.aborted) {
    try {
      await lead(parts, urls);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof LeaseLost)) throw error;
      log.warn({ because: error.message }, "no longer leading; waiting for the lease");
    }
  }
}

/** One term: from taking the lease to losing it. Nothing of a term outlives it. */
async function lead(parts: Process, natsUrls: readonly string[]): Promise<void> {
  const { config, identity, clock, log, telemetry } = parts;
  await using term = new AsyncDisposableStack();
  const over = new AbortController();
  const signal = AbortSignal.any([parts.signal, over.signal]);
  const ca = config.natsUrl.length > 0 ? undefined : identity.authority.certificatePem;
  const broker = term.use(
    await openBroker({
      url: natsUrls,
      identity: identity.nats,
      ca,
      clock,
      signal,
      failed: (error) => log.warn({ because: reasonOf(error) }, "the broker is not reachable"),
    }),
  );
  await broker.ensureStreams();
  const lease = term.use(await broker.lease(`hub-${process.pid}`, { signal, periodMs: config.leasePeriodMs }));
  lease.lost.addEventListener("abort", () => over.abort(new LeaseLost("the lease is lost")), { once: true });

  const signer = createGitSigner(identity.gitKey);
  const traces = new Traces(telemetry);
  const view = new View();
  const receipts = new Receipts();
  const desired = new DesiredStates(identity);
  const heard = (): ReadonlySet<ClusterId> =>
    new Set([...view.clusters].filter(([, seen]) => isHeard(seen, clock.now())).map(([cluster]) => cluster));
  const sourceOptions: SourceOptions = {
    dataFolder: config.data,
    searchPath: config.searchPath,
    prlimit: isAbsolute(config.prlimit) ? config.prlimit : undefined,
    allowedHosts: new Set(config.allowRepositoryHost),
    intervalMs: config.pollMs,
    clock,
    log,
    signal,
    inUse: (source) => [
      ...given(source),
      ...records
        .now()
        .rollouts.flatMap(({ application, qualified, completed }) =>
          isOf(source, application) ? [...qualified, ...completed] : [],
        ),
      ...[...(loop?.state().fleet ?? emptyFleet).promotions.values()].flatMap(({ application, revision }) =>
        isOf(source, application) ? [revision] : [],
      ),
    ],
    onMove: (source, moves) => {
      const begun = moves.flatMap((move) =>
        "to" in move && move.branch !== recordBranch
          ? [traces.begin(move.to, { repository: source.name, branch: move.branch })]
          : [],
      );
      fetched();
      void Promise.all(begun).then(() => loop?.poke());
    },
  };
  let loop: ReturnType<typeof startLoop> | undefined;
  let fetched = (): void => undefined;
  const connections = term.use(openConnections(sourceOptions.allowedHosts));
  const appTokens = createAppTokens(connections, sourceOptions.allowedHosts, clock);
  const sources = await openSourceSet({
    url: config.fleet,
    branch: config.fleetBranch,
    declared: () => fleetAccess(config),
    access: { secretFolder: config.secretFolder, appTokens },
    fleet: () => loop?.state().fleet ?? emptyFleet,
    options: { ...sourceOptions, connections },
  });
  const { fleetSource } = sources;
  await fleetSource.following.look();
  /** What documents of clusters name of a repository; of the fleet's own, its commits too. */
  const given = (source: Source): Revision[] =>
    [...desired.all().values()].flatMap(({ state: { fleetCommit, recordCommit, entries } }) => [
      ...(source === fleetSource ? [fleetCommit, ...(recordCommit === "" ? [] : [recordCommit])] : []),
      ...entries.flatMap((entry) => (entry.kind === "run" && isOf(source, entry.application) ? [entry.revision] : [])),
    ]);
  const isOf = (source: Source, application: ApplicationName): boolean =>
    sources.of(loop?.state().fleet ?? emptyFleet, application) === source;
  const records = openRecords(
    { mirror: fleetSource.mirror, fetch: () => fleetSource.following.look() },
    signer,
    clock,
    log,
  );
  const renderer = term.use(createRenderer(identity.contentSecret));
  const fence = await openFence(config);
  for (const missing of fence.missing) log.warn({ missing }, "Kustomize and Helm are rendered without this fence");
  const kept = await openSealedStore(
    join(config.data, "renderings"),
    identity.contentSecret,
    "plumbline.dev/kept-renderings/v1",
    keptRenderings,
    (error) => log.warn({ because: reasonOf(error) }, "a kept rendering cannot be used; it is made again"),
  );
  const tools = openTools(fence, config);
  const charts = createCharts({
    repository: (name) =>
      chartRepository((loop?.state().fleet ?? emptyFleet).repositories.get(name), config.secretFolder),
    recorded: (key) => records.now().charts.get(key),
    record: (chart) => records.lockChart(chart),
    store: await openSealedStore(
      join(config.data, "charts"),
      identity.contentSecret,
      "plumbline.dev/kept-charts/v1",
      keptCharts,
      (error) => log.warn({ because: reasonOf(error) }, "a kept chart cannot be used; it is fetched again"),
    ),
    download: term.use(createDownload(new Set(config.allowRepositoryHost), signal)),
    find: (query) => renderer.find(query),
  });
  const allRenders = createRenders({
    charts,
    repository: (name) => sources.byName(name),
    kept: keepRenderings(kept),
    fleet: () => loop?.state().fleet ?? emptyFleet,
    source: (application) => sources.of(loop?.state().fleet ?? emptyFleet, application),
    renderer,
    tools,
    log,
    signal,
    put: (rendered) =>
      broker.putBlob({ address: rendered.address, slices: rendered.slices.map((slice) => Buffer.from(slice)) }),
    telemetry,
    traceOf: ({ revision }) => traces.of(revision, loop?.state().fleetCommit),
  });
  const renders = patient(allRenders, {
    clock,
    late: (error) => {
      if (error !== undefined && !signal.aborted) log.error({ because: reasonOf(error) }, "a rendering stopped");
      loop?.poke();
    },
  });
  fetched = () => allRenders.fetched();
  for (const [cluster, bytes] of await broker.documents())
    if (desired.learn(cluster, bytes) === "refused")
      log.error({ cluster }, "the broker holds a document that is not ours");
  for await (const stored of broker.statuses())
    view.status(stored.cluster, ApplicationStatus.decode(stored.bytes), stored.atMs);

  const trust = createTrust({
    fleetSource,
    sourceOf: (fleet, application) => sources.of(fleet, application),
    hubKey: signer.publicKey,
    signal,
  });
  loop = startLoop({
    fleetSource,
    branch: config.fleetBranch,
    folder: config.fleetFolder,
    openSources: (fleet) => sources.open(fleet),
    sourceOf: (fleet, application) => sources.of(fleet, application),
    records,
    evidence: createEvidence({
      fleetSource,
      branch: config.fleetBranch,
      sources: () => sources.all(),
      sourceOf: (fleet, application) => sources.of(fleet, application),
      desired,
      records,
    }),
    desired,
    receipts,
    renders,
    trust,
    traces,
    broker,
    lease,
    heard,
    onPublished: ({ cluster, state: { epoch, generation } }) =>
      void agents?.send(cluster, { body: { $case: "generation", value: { epoch, generation } } }),
    sweep: createSweep({
      broker,
      lease,
      needed: () => desired.addresses(),
      forget: (address) => renders.forgetBlob(address),
      clock,
      log,
    }),
    clock,
    log,
    telemetry,
    signal,
  });
  const decided = loop;
  let agents: Agents | undefined;
  await decided.round();
  await pushRevocations(broker, identity, records.now().clusters.values());

  const enrolment = createEnrolment({
    identity,
    now: () => clock.now(),
    isDeclared: (cluster) => decided.state().fleet.clusters.has(cluster),
    record: (cluster) => records.now().clusters.get(cluster),
    accept: async (record) => {
      const outcome = await records.accept(record);
      decided.poke();
      return outcome;
    },
    natsUrls: () => (config.advertiseNats === undefined ? natsUrls : [config.advertiseNats]),
  });
  const server = await identity.authority.issueServer(serverNames(config), clock.now());
  agents = term.use(
    await startAgents({
      listen: config.listenGrpc,
      tls: { ca: identity.authority.certificatePem, certificate: server.certificatePem, privateKey: server.keyPem },
      enrolment,
      record: (cluster) => records.now().clusters.get(cluster),
      handler: createListener({
        view,
        receipts,
        desired,
        broker,
        lease,
        renders: allRenders,
        loop: decided,
        clock,
        log,
        telemetry,
        signal,
      }),
      clock,
      log,
      telemetry,
    }),
  );
  const grpcAddress = config.advertiseGrpc ?? `${hostFor(config.listenGrpc.host)}:${agents.port}`;
  const known = (): Known => ({
    view,
    fleet: decided.state().fleet,
    fleetCommit: decided.state().fleetCommit ?? "",
    problems: decided.state().problems,
    waiting: decided.state().waiting,
    rendered: (application, environment) => renders.choice(application, environment) ?? "",
    alarms: [
      ...(records.alarm() === "" ? [] : [records.alarm()]),
      ...[...sources.refused()].map(([name, because]) => `${name}: is not followed: ${because}`),
      ...sources.all().flatMap((source) => [
        ...source
          .stops()
          .filter((stop) => isAlarm(stop, clock.now()))
          .map(describeStop),
        ...(source.problem() === "" ? [] : [`${source.name}: ${source.problem()}`]),
      ]),
    ],
    records: records.now().clusters,
    nowMs: clock.now(),
  });
  const actions = createActions({
    identity,
    signer,
    fleetSource,
    branch: config.fleetBranch,
    folder: config.fleetFolder,
    fleet: () => decided.state().fleet,
    refresh: () => decided.refresh(),
    round: () => decided.round(),
    sourceOf: (application) => sources.of(decided.state().fleet, application as ApplicationName),
    sourceByName: (name) => sources.byName(name),
    webhookSecretFile: (name) => {
      if (name === fleetName) return config.webhookSecretFile;
      const secret = decided.state().fleet.repositories.get(name)?.webhookSecret;
      return secret && secretFile(secret, config.secretFolder);
    },
    records,
    isReported: (application) => view.clusters.values().some(({ applications }) => applications.has(application)),
    inUse: (source) => given(source),
    revoked: async (cluster, because) => {
      agents.disconnect(cluster, because, true);
      await pushRevocations(broker, identity, records.now().clusters.values());
      decided.poke();
    },
    grpcAddress,
    agentImage: config.agentImage,
    clock,
  });
  const told = createTold({
    fleetSource,
    branch: config.fleetBranch,
    sourceOf: (application) => sources.of(decided.state().fleet, application),
    publicKey: signer.publicKey,
  });
  const metrics = term.use(await openMetrics("plumbline-hub", config.otlpEndpoint));
  observeHub(metrics.meter, {
    sessions: () => agents.sessions().size,
    view,
    nowMs: () => clock.now(),
    waiting: () => decided.state().waiting.length,
    problems: () => decided.state().problems.length,
  });
  const api = createApi({
    metrics: () => metrics.text(),
    known,
    view,
    actions,
    authenticate: (token) => actorOf(decided.state().fleet, token),
    why: (question) =>
      why(
        {
          ...known(),
          document: (cluster) => desired.known(cluster)?.state,
          bundleKeys: (digest) => renders.sealed(digest)?.keys,
          rollouts: records.now().rollouts,
        },
        question,
        told,
      ),
    commits: async (limit) => {
      const head = fleetSource.head(config.fleetBranch);
      const logged = head === undefined ? [] : await fleetSource.mirror.log(head, limit);
      const promoters = await trust.promoters(
        logged.map(({ commit }) => commit),
        decided.state().fleet,
      );
      return logged.map(({ commit, author, atMs, subject }, n) => ({
        commit,
        author,
        subject,
        at: new Date(atMs).toISOString(),
        promoter: promoters[n]!,
      }));
    },
    rendered: createRendered({
      fleet: () => decided.state().fleet,
      desired,
      told: (cluster, application, environment) => toldRevision(view, cluster, application, environment),
      sourceOf: (application) => sources.of(decided.state().fleet, application as ApplicationName),
      tools,
      renderer,
      signal,
    }),
    notReady: () => (broker.isConnected() ? undefined : "the broker is not reachable"),
  });
  const http = term.use(await serveApi(api, config.listenHttp));
  log.info({ http: http.port, grpc: agents.port, nats: natsUrls }, "hub ready");
  parts.onReady({ http: http.port, grpc: agents.port, nats: natsUrls[0] ?? "" });
  try {
    await decided.ended;
  } finally {
    over.abort();
    await Promise.allSettled(sources.all().map((source) => source.following.ended));
  }
  lease.lost.throwIfAborted();
}

async function fleetAccess(config: HubConfig): Promise<DeclaredAccess> {
  const { fleetCredentials, fleetHostKeys, fleetCa, fleetClientCertificate, fleetClientKey, fleetGithubApp } = config;
  const file = (path: string | undefined) => (path === undefined ? undefined : { file: path });
  const certificate = file(fleetClientCertificate);
  const key = file(fleetClientKey);
  return {
    credentials: file(fleetCredentials),
    authorization: config.fleetAuthorization,
    ca: file(fleetCa),
    clientCertificate: certificate && key && { certificate, key },
    githubApp: fleetGithubApp,
    hostKeys: fleetHostKeys === undefined ? [] : (await readFile(fleetHostKeys, "utf8")).split("\n"),
  };
}

/** Claims are pushed at every start: a broker that was made anew knows of no revocation. */
async function pushRevocations(
  broker: Broker,
  identity: Identity,
  records: Iterable<{ nkey: string; revoked: { atMs: number } | null }>,
): Promise<void> {
  const revoked = [...records].flatMap(({ nkey, revoked }) =>
    revoked === null ? [] : [[nkey, Math.floor(revoked.atMs / 1000)] as const],
  );
  await broker.pushClaims(identity.nats.agentsAccountJwt(new Map(revoked)));
}

const emptyFleet: Fleet = readFleet([]).fleet;

const hostFor = (host: string): string =>
  host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
const hostOf = (address: string): string => address.slice(0, address.lastIndexOf(":")).replace(/^\[|\]$/g, "");

/** Every name under which the hub's servers are reached. */
function serverNames(config: HubConfig): string[] {
  const advertised = [config.advertiseGrpc, config.advertiseNats?.replace(/^\w+:\/\//, "")].flatMap((address) =>
    address === undefined ? [] : [hostOf(address)],
  );
  const own = [config.listenGrpc.host, config.listenNats.host].filter((host) => host !== "0.0.0.0" && host !== "::");
  return [...new Set([...advertised, ...own, "localhost", "127.0.0.1"])];
}

const natsTls = (config: HubConfig, identity: Identity, clock: Clock) =>
  identity.authority.issueServer(serverNames(config), clock.now());

const natsOptions = (config: HubConfig, identity: Identity, tls: { certificatePem: string; keyPem: string }) => ({
  binary: config.natsServer,
  directory: join(config.data, "nats"),
  identity: identity.nats,
  listen: config.listenNats,
  tls,
});
