import { createPrivateKey, sign, type KeyObject } from "node:crypto";
import { request } from "undici";
import { checkAddress, AddressRefused } from "#hub/git/address.ts";
import { AccessRefused, GitFailed } from "#hub/git/command.ts";
import type { Connections, TlsFiles } from "#hub/git/connections.ts";
import type { Clock } from "#lib/clock.ts";
import { sha256Hex } from "#proto/json.ts";
import { readAtMost } from "#lib/read-at-most.ts";

/** An app of GitHub's, installed where the repository lies: it asks for tokens that end after an hour. */
export type GithubApp = {
  readonly id: string;
  readonly installation: string;
  /** https://api.github.com, or https://HOST/api/v3 of a server of one's own. */
  readonly api: string;
  /** PEM. */
  readonly privateKey: string;
};

export type AppTokens = {
  /** A token that lasts for some minutes more at least; asked for once, however many ask. */
  token(app: GithubApp, tls: TlsFiles): Promise<string>;
  /** It was not accepted: the next one is asked for anew. */
  forget(app: GithubApp): void;
};

/** A fetch may take two minutes, and begins with the token that it was given. */
const freshForMs = 5 * 60_000;
/** GitHub allows ten minutes, and its clock may be behind ours by one. */
const proof = { backSeconds: 60, aheadSeconds: 540 };
const answerWithinMs = 20_000;
const maxAnswerBytes = 64 * 1024;
/** Apps with a private key each; one that is rotated leaves its old one behind. */
const maxApps = 256;

const tooLong = (): Error => new GitFailed("the answer about a token is too long");

type Answer = { readonly token: string; readonly untilMs: number };
/** Being asked for, as long as its end is not known. */
type Kept = { readonly answer: Promise<Answer>; untilMs: number };

export function createAppTokens(
  connections: Connections,
  allowedHosts: ReadonlySet<string>,
  clock: Pick<Clock, "now">,
): AppTokens {
  const kept = new Map<string, Kept>();
  const keyOf = (app: GithubApp): string => sha256Hex(JSON.stringify(app));
  const ask = async (app: GithubApp, tls: TlsFiles): Promise<Answer> => {
    checkAddress(app.api, allowedHosts);
    const dispatcher = await connections.dispatcher(tls);
    const url = `${app.api.replace(/\/$/, "")}/app/installations/${app.installation}/access_tokens`;
    const { statusCode, body } = await request(url, {
      method: "POST",
      dispatcher,
      signal: AbortSignal.timeout(answerWithinMs),
      headers: {
        authorization: `Bearer ${appProof(app, clock.now())}`,
        accept: "application/vnd.github+json",
        "user-agent": "plumbline",
      },
    });
    if (statusCode !== 201) {
      await body.dump();
      throw new AccessRefused(
        `${new URL(url).host} gives app ${app.id} no token for installation ${app.installation} (${statusCode}): ` +
          "compare both numbers and the private key with the app's settings",
      );
    }
    return tokenFrom((await readAtMost(body, maxAnswerBytes, tooLong)).toString("utf8"), new URL(url).host);
  };
  const begin = (key: string, app: GithubApp, tls: TlsFiles): Kept => {
    const begun: Kept = { answer: ask(app, tls), untilMs: Infinity };
    begun.answer.then(
      ({ untilMs }) => (begun.untilMs = untilMs),
      () => kept.get(key) === begun && kept.delete(key),
    );
    if (kept.size >= maxApps) kept.clear();
    kept.set(key, begun);
    return begun;
  };
  return {
    async token(app, tls) {
      const key = keyOf(app);
      const found = kept.get(key);
      const isFresh = found !== undefined && found.untilMs - freshForMs > clock.now();
      return (await (isFresh ? found : begin(key, app, tls)).answer).token;
    },
    forget: (app) => void kept.delete(keyOf(app)),
  };
}

/** RFC 7519, signed as GitHub wants it: by RS256. */
function appProof({ id, privateKey }: GithubApp, nowMs: number): string {
  const now = Math.floor(nowMs / 1000);
  const claims = { iat: now - proof.backSeconds, exp: now + proof.aheadSeconds, iss: id };
  const parts = [{ alg: "RS256", typ: "JWT" }, claims].map((part) => base64url(JSON.stringify(part)));
  return [...parts, base64url(sign("sha256", Buffer.from(parts.join(".")), keyFrom(privateKey)))].join(".");
}

function keyFrom(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    // What OpenSSL says may quote the text.
    throw new AddressRefused("the file that credentials name is no private key of a GitHub App, in PEM");
  }
}

const base64url = (data: string | Buffer): string => Buffer.from(data as string).toString("base64url");

function tokenFrom(text: string, host: string): Answer {
  let answer: { token?: unknown; expires_at?: unknown } = {};
  try {
    answer = JSON.parse(text) as typeof answer;
  } catch {
    // Told below, as is every other answer without a token.
  }
  const untilMs = Date.parse(String(answer.expires_at));
  if (typeof answer.token !== "string" || answer.token === "" || Number.isNaN(untilMs))
    throw new GitFailed(`${host} gave no token, or one without an end`);
  return { token: answer.token, untilMs };
}
