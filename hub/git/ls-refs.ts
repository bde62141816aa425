import { request, type Dispatcher } from "undici";
import { AddressRefused, redact } from "#hub/git/address.ts";
import { AccessRefused, GitFailed } from "#hub/git/command.ts";
import { delimiter, flush, NotPktLines, pktLine, readPktLines } from "#hub/git/pkt-line.ts";
import { readAtMost } from "#lib/read-at-most.ts";

/** An answer takes milliseconds; a server that says nothing for so long is left until its next turn. */
const answerWithinMs = 20_000;
/** 100,000 refs. More wants git itself, which reads them as they come. */
const maxAnswerBytes = 8 * 1024 * 1024;
/** What a server can do is asked again after this: it may have been upgraded, or moved behind another. */
const capabilitiesKeptMs = 3_600_000;

/** The object that each asked ref names, by its full name; of an annotated tag the tag's own. */
export type RemoteRefs = ReadonlyMap<string, string>;

export type Asking = {
  readonly prefixes: readonly string[];
  readonly authorization: string | undefined;
  readonly dispatcher: Dispatcher;
  readonly signal?: AbortSignal | undefined;
};

/**
 * Asks one repository over HTTP for the refs that matter, by protocol v2's ls-refs (gitprotocol-v2): one small request on
 * a connection that is kept. Undefined when the server does not speak v2 or answers oddly: git itself is then to be
 * asked. Throws AccessRefused when it turns us away or points elsewhere, GitFailed when it does not answer in time.
 */
export function refsOf(url: string): (asking: Asking) => Promise<RemoteRefs | undefined> {
  let known: { readonly format: string | undefined; readonly atMs: number } | "odd" | undefined;
  return async (asking) => {
    if (known === "odd") return undefined;
    try {
      if (known === undefined || performance.now() - known.atMs > capabilitiesKeptMs) {
        const found = await capabilities(url, asking);
        known = found === undefined ? "odd" : { ...found, atMs: performance.now() };
        if (known === "odd") return undefined;
      }
      return refsFrom(await exchange(`${url}/git-upload-pack`, asking, lsRefs(asking.prefixes, known.format)));
    } catch (error) {
      known = undefined;
      asking.signal?.throwIfAborted();
      if (error instanceof GitFailed || error instanceof AddressRefused) throw error;
      // A connection that was cut, an error page: git's own words on it are better than ours.
      return undefined;
    }
  };
}

async function capabilities(url: string, asking: Asking): Promise<{ format: string | undefined } | undefined> {
  const lines = readPktLines(await exchange(`${url}/info/refs?service=git-upload-pack`, asking));
  const said = lines.filter((line) => line !== null).filter((line) => !line.startsWith("# service="));
  if (said[0] !== "version 2" || !said.some((line) => /^ls-refs(?:=|$)/.test(line))) return undefined;
  return { format: said.find((line) => line.startsWith("object-format=")) };
}

const lsRefs = (prefixes: readonly string[], format: string | undefined): string =>
  [
    pktLine("command=ls-refs"),
    ...(format === undefined ? [] : [pktLine(format)]),
    delimiter,
    ...prefixes.map((prefix) => pktLine(`ref-prefix ${prefix}`)),
    flush,
  ].join("");

function refsFrom(answer: Buffer): RemoteRefs {
  const lines = readPktLines(answer);
  // An answer that was cut short would show refs as gone.
  if (lines.at(-1) !== null) throw new NotPktLines("the answer does not end");
  return new Map(
    lines.flatMap((line) => {
      if (line === null) return [];
      const [object, name] = line.split(" ");
      if (name === undefined || !/^[0-9a-f]{40,64}$/.test(object!)) throw new NotPktLines("a line names no ref");
      return [[name, object!] as const];
    }),
  );
}

async function exchange(url: string, asking: Asking, body?: string): Promise<Buffer> {
  const kind = body === undefined ? "advertisement" : "result";
  const limit = AbortSignal.timeout(answerWithinMs);
  const signal = asking.signal === undefined ? limit : AbortSignal.any([asking.signal, limit]);
  const shown = redact(url.replace(/\/(?:git-upload-pack|info\/refs.*)$/, ""));
  try {
    const answer = await request(url, {
      method: body === undefined ? "GET" : "POST",
      dispatcher: asking.dispatcher,
      signal,
      headers: {
        "git-protocol": "version=2",
        ...(body !== undefined && { "content-type": "application/x-git-upload-pack-request" }),
        ...(asking.authorization !== undefined && { authorization: asking.authorization }),
      },
      ...(body !== undefined && { body }),
    });
    if (answer.statusCode !== 200) {
      await answer.body.dump();
      throw refusalOf(shown, answer.statusCode, answer.headers["location"]);
    }
    if (answer.headers["content-type"] !== `application/x-git-upload-pack-${kind}`) {
      await answer.body.dump();
      // git would take a page for a repository without branches.
      throw new GitFailed(
        `${shown}: does not answer as a Git server does: is it the address of a page, or of a sign-in?`,
      );
    }
    return await readAtMost(answer.body, maxAnswerBytes, () => new NotPktLines("the answer is too long"));
  } catch (cause) {
    if (limit.aborted && asking.signal?.aborted !== true)
      throw new GitFailed(`${shown}: did not answer within ${answerWithinMs / 1000} s`, { cause });
    throw cause;
  }
}

function refusalOf(shown: string, status: number, location: string | string[] | undefined): Error {
  if (status === 401 || status === 403)
    return new AccessRefused(`${shown}: answers ${status}: it does not accept the credentials, or there are none`);
  if (status >= 300 && status < 400)
    return new AccessRefused(
      `${shown}: points to ${hostOf(location)}, which is not followed: write the new address into the Repository`,
    );
  return new Error(`${shown}: answers ${status}`);
}

/** The address may hold a token. */
function hostOf(location: string | string[] | undefined): string {
  const text = String(location ?? "");
  return URL.canParse(text) ? `another address at ${new URL(text).host}` : "another address";
}
