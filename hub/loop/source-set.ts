import { AddressRefused } from "#hub/git/address.ts";
import { describeFollow, followOf, type Follow } from "#hub/decide/inputs.ts";
import type { Fleet, Repository } from "#hub/fleet/fleet.ts";
import { accessOf, type AccessParts, type DeclaredAccess } from "#hub/loop/credentials.ts";
import { recordBranch } from "#hub/loop/records.ts";
import { openSource, type Source, type SourceOptions } from "#hub/loop/sources.ts";
import { reasonOf } from "#lib/log.ts";
import { revision, type ApplicationName } from "#proto/ids.ts";

/** The fleet's own repository, and those that its Repository documents name. */
export type SourceSet = {
  readonly fleetSource: Source;
  all(): Source[];
  byName(name: string): Source | undefined;
  /** The repository of an Application, if it is followed already. */
  of(fleet: Fleet, application: ApplicationName): Source | undefined;
  /** Repositories that are declared and not followed, and why. */
  refused(): ReadonlyMap<string, string>;
  /** Follows what a fleet names. Nobody waits for a repository here: one that hangs must hold up no other. */
  open(fleet: Fleet): Promise<void>;
};

/** The fleet's own repository is called so wherever one is named. */
export const fleetName = "fleet";

/** A mirror that could not be made, for the disk is full or a program is not there, is tried again so often. */
const openAgainMs = 30_000;

export type SourceSetParts = {
  readonly url: string;
  readonly branch: string;
  /** How the fleet's own repository is entered. */
  readonly declared: () => Promise<DeclaredAccess>;
  readonly access: AccessParts;
  /** What was read last. */
  readonly fleet: () => Fleet;
  readonly options: SourceOptions;
};

export async function openSourceSet(parts: SourceSetParts): Promise<SourceSet> {
  const { options } = parts;
  const sources = new Map<string, Source>();
  const followed = new WeakMap<Source, string>();
  const refused = new Map<string, string>();
  const fleetSource = await openSource(
    {
      name: fleetName,
      url: parts.url,
      remote: accessOf(parts.declared, parts.access),
      follows: () => [parts.branch, recordBranch, ...followsOf(parts.fleet(), null)],
    },
    options,
  );

  const openOne = async (repository: Repository): Promise<void> => {
    const { name, url } = repository;
    if (sources.get(name)?.url === url) return;
    try {
      const now = async (): Promise<Repository> => parts.fleet().repositories.get(name) ?? repository;
      const remote = accessOf(now, parts.access);
      const source = await openSource({ name, url, remote, follows: () => followsOf(parts.fleet(), name) }, options);
      // Two followers of one name would both move its heads.
      await sources.get(name)?.stop();
      sources.set(name, source);
      refused.delete(name);
    } catch (error) {
      refused.set(name, reasonOf(error));
      options.log.error({ repository: name, because: reasonOf(error) }, "a repository is not followed");
      // What its document says must change first; a full disk passes.
      if (!(error instanceof AddressRefused)) tryAgain(name);
    }
  };
  const tryAgain = (name: string): void =>
    void options.clock.sleep(openAgainMs, { signal: options.signal }).then(
      () => {
        const declared = parts.fleet().repositories.get(name);
        if (declared !== undefined && refused.has(name)) void openOne(declared);
      },
      () => undefined,
    );
  /** Something else is followed of it: it may be there already, or must be fetched. */
  const lookAgain = (source: Source): void => {
    const now = JSON.stringify(source.follows().map(describeFollow).sort());
    if ((followed.get(source) ?? now) !== now) source.following.poke();
    followed.set(source, now);
  };
  lookAgain(fleetSource);

  return {
    fleetSource,
    all: () => [fleetSource, ...sources.values()],
    byName: (name) => (name === fleetName ? fleetSource : sources.get(name)),
    of(fleet, application) {
      const declared = fleet.applications.get(application);
      if (declared === undefined) return undefined;
      const { repository } = declared.source;
      return repository === null ? fleetSource : sources.get(repository);
    },
    refused: () => refused,
    async open(fleet) {
      for (const name of refused.keys()) if (!fleet.repositories.has(name)) refused.delete(name);
      await Promise.all([...fleet.repositories.values()].filter(({ type }) => type === "git").map(openOne));
      for (const source of [fleetSource, ...sources.values()]) lookAgain(source);
    },
  };
}

/** What the environments of a repository's Applications follow there; null is the fleet's own. */
function followsOf({ applications, environments }: Fleet, repository: string | null): Follow[] {
  const found = new Map<string, Follow>();
  for (const application of applications.values()) {
    const { chart } = application.source.helm;
    if (chart?.from === "git" && chart.repository === repository && chart.revision !== null) {
      const follow: Follow = { commit: revision(chart.revision) };
      found.set(describeFollow(follow), follow);
    }
    if (application.source.repository !== repository) continue;
    for (const name of application.environments) {
      const revisions = environments.get(name)?.revisions;
      if (revisions === undefined || !("follow" in revisions)) continue;
      const follow = followOf(application, revisions.follow);
      found.set(describeFollow(follow), follow);
    }
  }
  return [...found.values()];
}
