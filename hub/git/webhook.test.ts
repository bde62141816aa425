import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { checkWebhook, webhookBytes } from "#hub/git/webhook.ts";

const hush = "It's a Secret to Everybody";
const text = Buffer.from("Hello, World!");
/** From GitHub's documentation: not computed here, so that a mistake of ours is no proof of itself. */
const known = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
const sha1 = createHmac("sha1", hush).update(text).digest("hex");

describe("accepts the event of", () => {
  test.each([
    ["GitHub", { "x-hub-signature-256": `sha256=${known}`, "x-hub-signature": `sha1=${sha1}` }],
    ["Forgejo", { "x-forgejo-signature": known, "x-gitea-signature": known }],
    ["Gitea", { "x-gitea-signature": known }],
    ["GitLab", { "x-gitlab-token": hush }],
    ["Bitbucket", { "x-hub-signature": `sha256=${known}` }],
    ["anybody with an HMAC", { "x-signature": `sha256=${known}` }],
  ])("%s", (_forge, headers) => {
    expect(checkWebhook(new Headers(headers), text, hush, 0)).toEqual({ ok: true, urls: [] });
    expect(checkWebhook(new Headers(headers), text, `${hush}!`, 0)).toMatchObject({ ok: false });
  });
});

describe("refuses", () => {
  test.each([
    ["no signature", {}, "is not signed"],
    ["SHA-1", { "x-hub-signature": `sha1=${sha1}` }, "something else than sha256"],
    [
      "a wrong signature beside a right one",
      { "x-hub-signature-256": "sha256=00", "x-signature": `sha256=${known}` },
      "another secret",
    ],
    ["part of a token", { "x-gitlab-token": hush.slice(0, -1) }, "another secret"],
    ["an empty token", { "x-gitlab-token": "" }, "another secret"],
  ])("%s", (_what, headers, because) => {
    expect(checkWebhook(new Headers(headers), text, hush, 0)).toEqual({
      ok: false,
      because: expect.stringContaining(because),
    });
  });

  test("everything while the secret's file is empty: whoever signs with nothing would be believed", () => {
    expect(checkWebhook(new Headers({ "x-gitlab-token": "" }), text, "", 0)).toMatchObject({ ok: false });
  });

  test("an event over the limit before anything of it is hashed", () => {
    const check = checkWebhook(new Headers({ "x-gitlab-token": hush }), new Uint8Array(webhookBytes + 1), hush, 0);
    expect(check).toEqual({ ok: false, because: "the event is larger than 5 MiB" });
  });
});

test("an event of Standard Webhooks is good for five minutes, and no longer", () => {
  // The example of the Standard Webhooks libraries.
  const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const headers = new Headers({
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v2,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  });
  const body = Buffer.from('{"test": 2432232314}');
  const sentMs = 1_614_265_330_000;
  expect(checkWebhook(headers, body, secret, sentMs + 299_000)).toMatchObject({ ok: true });
  expect(checkWebhook(headers, body, secret, sentMs + 301_000)).toMatchObject({
    ok: false,
    because: expect.stringContaining("replay"),
  });
  headers.set("webhook-timestamp", "1614265331");
  expect(checkWebhook(headers, body, secret, sentMs)).toMatchObject({ ok: false });
});
