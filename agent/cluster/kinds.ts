import type { Cluster, KindInfo } from "#agent/cluster/cluster.ts";
import { discover, kindKey, type Discovered } from "#agent/cluster/discovery.ts";
import { KindUnavailable } from "#agent/cluster/errors.ts";
import type { Transport } from "#agent/cluster/transport.ts";
import { groupOf } from "#proto/object.ts";

/** What the server serves, as it was last seen; looked at again when a kind is not known. */
export type Kinds = {
  /** Exactly this version. Throws KindUnavailable when nobody can tell. */
  readonly find: Cluster["kindOf"];
  /** This version, or else the one that the server prefers: an object is the same under each. */
  readonly findAny: Cluster["servedKind"];
  /** Exactly this version, as it was last seen. */
  readonly findKnown: Cluster["knownKind"];
  /** The server did not know a path that was thought to be there. */
  doubt(): void;
};

/** `answered`: the answer once it is there, for every request asks for its kind, and most need not wait. */
type Asked = { readonly answer: Promise<Discovered>; answered?: Discovered };

export function createKinds(transport: Transport): Kinds {
  let known: Asked | undefined;
  // By nobody's signal: others wait for the same answer, and it is as good for whoever asks next.
  const refresh = (): Asked => {
    const asked: Asked = { answer: discover(transport) };
    known = asked;
    asked.answer.then(
      (discovered) => void (asked.answered = discovered),
      // A failed look is not remembered; the next caller looks again.
      () => void (known = known === asked ? undefined : known),
    );
    return asked;
  };
  const look = async (
    pick: (discovered: Discovered) => KindInfo | undefined,
    what: { group: string; kind: string },
    signal?: AbortSignal,
  ): Promise<KindInfo | undefined> => {
    signal?.throwIfAborted();
    const had = known;
    const found = pick(had?.answered ?? (await unlessAborted((had ?? refresh()).answer, signal)));
    if (found !== undefined) return found;
    // Callers that miss together share one refresh.
    const asked = known === undefined || known === had ? refresh() : known;
    const now = await unlessAborted(asked.answer, signal);
    const later = pick(now);
    if (later === undefined && now.silent.has(what.group))
      throw new KindUnavailable(
        `the server of ${what.group} does not answer: whether it serves ${what.kind} is not known`,
      );
    return later;
  };
  const exactly =
    (apiVersion: string, kind: string) =>
    ({ kinds }: Discovered): KindInfo | undefined =>
      kinds.get(kindKey(groupOf(apiVersion), apiVersion.slice(apiVersion.indexOf("/") + 1), kind));
  return {
    find: (apiVersion, kind, signal) => look(exactly(apiVersion, kind), { group: groupOf(apiVersion), kind }, signal),
    findAny: (apiVersion, kind, signal) => {
      const group = groupOf(apiVersion);
      const any = (discovered: Discovered): KindInfo | undefined =>
        exactly(apiVersion, kind)(discovered) ??
        [...discovered.kinds.values()].find((info) => info.group === group && info.kind === kind);
      return look(any, { group, kind }, signal);
    },
    findKnown: async (apiVersion, kind, signal) =>
      exactly(apiVersion, kind)(await unlessAborted((known ?? refresh()).answer, signal)),
    doubt: () => void (known = undefined),
  };
}

/** The answer, or the reason why this one does not wait for it any longer. */
async function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return answer;
  signal.throwIfAborted();
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([answer, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
