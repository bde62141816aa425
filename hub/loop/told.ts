import { trailersOf } from "#hub/git/trailers.ts";
import type { Logged } from "#hub/git/mirror.ts";
import type { Source } from "#hub/loop/sources.ts";
import type { Told, ToldCommit } from "#hub/view/why/facts.ts";
import type { ApplicationName } from "#proto/ids.ts";

type Parts = {
  readonly fleetSource: Source;
  readonly branch: string;
  readonly sourceOf: (application: ApplicationName) => Source | undefined;
  /** The hub's own, as "ssh-ed25519 AAAA...". */
  readonly publicKey: string;
};

/** What Git says of the commits in a chain. A commit that cannot be read is not told of. */
export function createTold({ fleetSource, branch, sourceOf, publicKey }: Parts): Told {
  const told = async (source: Source, logged: Logged | undefined): Promise<ToldCommit | undefined> => {
    if (logged === undefined) return undefined;
    const { commit, author, atMs, subject, body } = logged;
    const isOurs = await source.mirror.isSignedBy(commit, publicKey);
    const { actor, reason } = isOurs ? trailersOf(body) : { actor: "", reason: "" };
    return { commit, author, atMs, subject, actor, reason };
  };
  return {
    async source(application, revision) {
      const source = sourceOf(application);
      if (source === undefined) return undefined;
      // A Promotion may name a commit that no branch here has.
      const [logged] = await source.mirror.log(revision, 1).catch(() => []);
      return told(source, logged);
    },
    async file(path) {
      const head = fleetSource.head(branch);
      const [logged] = head === undefined ? [] : await fleetSource.mirror.log(head, 1, path);
      return told(fleetSource, logged);
    },
  };
}
