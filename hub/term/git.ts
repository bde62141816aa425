import { readFile } from "node:fs/promises";
import { isAbsolute } from "node:path";
import type { HubConfig } from "#hub/config.ts";
import { createBlobCache } from "#hub/git/blob-cache.ts";
import { openConnections } from "#hub/git/connections.ts";
import { createAppTokens } from "#hub/git/github-app.ts";
import type { DeclaredAccess } from "#hub/loop/credentials.ts";
import { openRecords, recordBranch, type RecordStore } from "#hub/loop/records.ts";
import { openSourceSet, type SourceSet } from "#hub/loop/source-set.ts";
import type { Source, SourceOptions } from "#hub/loop/sources.ts";
import type { ApplicationName, Revision } from "#proto/ids.ts";
import { fleetOf, type Term } from "./term.ts";

/** Twice a large chart: what is read again and again between two commits is little more than what changed. */
const keptBlobs = 16 * 1024 * 1024;

export type Git = {
  readonly sources: SourceSet;
  readonly fleetSource: Source;
  readonly records: RecordStore;
  /** What documents of clusters name of a repository; of the fleet's own, its commits too. */
  readonly given: (source: Source) => Revision[];
};

/** Follows the fleet's repository, and from then on those that it names. Resolves once the first was looked at. */
export async function followGit(term: Term): Promise<Git> {
  const { config, clock, log, desired, signer } = term;
  const isOf = (source: Source, application: ApplicationName): boolean =>
    sources.of(fleetOf(term), application) === source;
  const given = (source: Source): Revision[] =>
    [...desired.all().values()].flatMap(({ state: { fleetCommit, recordCommit, entries } }) => [
      ...(source === sources.fleetSource ? [fleetCommit, ...(recordCommit === "" ? [] : [recordCommit])] : []),
      ...entries.flatMap((entry) => (entry.kind === "run" && isOf(source, entry.application) ? [entry.revision] : [])),
    ]);
  const recorded = (source: Source): Revision[] =>
    records
      .now()
      .rollouts.flatMap(({ application, qualified, completed }) =>
        isOf(source, application) ? [...qualified, ...completed] : [],
      );
  const promoted = (source: Source): Revision[] =>
    [...fleetOf(term).promotions.values()].flatMap(({ application, revision }) =>
      isOf(source, application) ? [revision] : [],
    );

  const inUse = (source: Source): Revision[] => [...given(source), ...recorded(source), ...promoted(source)];
  const options = sourceOptions(term, inUse);
  const connections = term.use(openConnections(options.allowedHosts));
  const sources = await openSourceSet({
    url: config.fleet,
    branch: config.fleetBranch,
    declared: () => fleetAccess(config),
    access: {
      secretFolder: config.secretFolder,
      appTokens: createAppTokens(connections, options.allowedHosts, clock),
    },
    fleet: () => fleetOf(term),
    options: { ...options, connections },
  });
  const { fleetSource } = sources;
  await fleetSource.following.look();
  const looked = { mirror: fleetSource.mirror, fetch: () => fleetSource.following.look() };
  const records = openRecords(looked, signer, clock, log);
  return { sources, fleetSource, records, given };
}

function sourceOptions(term: Term, inUse: (source: Source) => Revision[]): SourceOptions {
  const { config, clock, log, signal, traces, later } = term;
  return {
    dataFolder: config.data,
    searchPath: config.searchPath,
    prlimit: isAbsolute(config.prlimit) ? config.prlimit : undefined,
    allowedHosts: new Set(config.allowRepositoryHost),
    blobs: createBlobCache(keptBlobs),
    intervalMs: config.pollMs,
    clock,
    log,
    signal,
    inUse,
    onMove: (source, moves) => {
      const begun = moves.flatMap((move) =>
        "to" in move && move.branch !== recordBranch
          ? [traces.begin(move.to, { repository: source.name, branch: move.branch })]
          : [],
      );
      later.fetched?.();
      void Promise.all(begun).then(() => later.loop?.poke());
    },
  };
}

/** How the fleet's own repository is entered: files are read again at each look, so that what is rotated is used. */
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
