import { createHash, createHmac, timingSafeEqual } from "node:crypto";

/** Larger than any push event of the forges (GitHub cuts at 25 MB, but lists at most 2,048 commits). */
export const webhookBytes = 5 * 1024 * 1024;
/** How far an event's own time may be from ours, as Standard Webhooks advises: an older one is a replay. */
const toleranceMs = 5 * 60_000;

export type WebhookCheck =
  | { readonly ok: true; readonly urls: readonly string[] }
  | { readonly ok: false; readonly because: string };

type Event = {
  readonly given: string;
  readonly headers: Headers;
  readonly body: Uint8Array;
  readonly secret: string;
  readonly nowMs: number;
};

/** Undefined when the signature holds. */
type Scheme = (event: Event) => string | undefined;

const anotherSecret = "the event is signed with another secret";

const hex: Scheme = ({ given, body, secret }) =>
  isSame(Buffer.from(given, "hex"), createHmac("sha256", secret).update(body).digest()) ? undefined : anotherSecret;

const prefixedHex: Scheme = (event) =>
  event.given.startsWith("sha256=")
    ? hex({ ...event, given: event.given.slice("sha256=".length) })
    : "the event is signed with something else than sha256";

/** GitLab sends the secret itself. Hashed, so that the time of the comparison does not tell its length. */
const plainToken: Scheme = ({ given, secret }) => (isSame(sha256(given), sha256(secret)) ? undefined : anotherSecret);

/** Standard Webhooks: the id and the time are signed too, and several signatures stand beside each other. */
const standard: Scheme = ({ given, headers, body, secret, nowMs }) => {
  const time = headers.get("webhook-timestamp") ?? "";
  const key = secret.startsWith("whsec_") ? Buffer.from(secret.slice("whsec_".length), "base64") : secret;
  const hmac = createHmac("sha256", key).update(`${headers.get("webhook-id") ?? ""}.${time}.`);
  const expected = hmac.update(body).digest();
  const signatures = given.split(" ").filter((signature) => signature.startsWith("v1,"));
  if (!signatures.some((signature) => isSame(Buffer.from(signature.slice(3), "base64"), expected)))
    return anotherSecret;
  const isNow = /^\d{1,12}$/.test(time) && Math.abs(nowMs - Number(time) * 1000) <= toleranceMs;
  return isNow ? undefined : "the event is not of these five minutes: a replay, or a clock that is wrong";
};

/** The first header that is there decides: GitHub sends the weaker x-hub-signature beside its own. */
const schemes: readonly (readonly [header: string, scheme: Scheme])[] = [
  ["x-hub-signature-256", prefixedHex], // GitHub
  ["x-forgejo-signature", hex],
  ["x-gitea-signature", hex],
  ["webhook-signature", standard], // GitLab's signing tokens, and whoever follows Standard Webhooks
  ["x-gitlab-token", plainToken],
  ["x-hub-signature", prefixedHex], // Bitbucket
  ["x-signature", prefixedHex], // anything else
];

/**
 * Whether a push event is by somebody who knows the secret, and of which repository. The body is read only after its
 * signature held. A webhook is a hint: what it says is fetched, not believed; so a replay, which most schemes cannot tell,
 * costs at most one look at the repository, and no two at once.
 */
export function checkWebhook(headers: Headers, body: Uint8Array, secret: string, nowMs: number): WebhookCheck {
  if (body.length > webhookBytes) return { ok: false, because: "the event is larger than 5 MiB" };
  if (secret === "") return { ok: false, because: "the file of the webhook's secret is empty" };
  for (const [header, scheme] of schemes) {
    const given = headers.get(header);
    if (given === null) continue;
    const because = scheme({ given, headers, body, secret, nowMs });
    return because === undefined ? { ok: true, urls: urlsOf(body) } : { ok: false, because };
  }
  return { ok: false, because: "the event is not signed" };
}

const isSame = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b);
const sha256 = (text: string): Buffer => createHash("sha256").update(text).digest();

function urlsOf(body: Uint8Array): string[] {
  try {
    const { repository } = JSON.parse(Buffer.from(body).toString("utf8")) as { repository?: Record<string, unknown> };
    const fields = ["clone_url", "ssh_url", "html_url", "url"];
    return fields.map((field) => repository?.[field]).filter((url) => typeof url === "string");
  } catch {
    return [];
  }
}
