import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { clusterId } from "#proto/ids.ts";
import { checkJoinToken, joinTokenLifeMs, mintJoinToken } from "#proto/token.ts";

const secret = randomBytes(32);
const eu1 = clusterId("eu-1");

test("names the cluster it was made for, and ends after an hour", () => {
  const token = mintJoinToken(eu1, secret, 1000);
  expect(checkJoinToken(token, secret, 1000 + joinTokenLifeMs)).toMatchObject({ ok: true, token: { cluster: eu1 } });
  expect(checkJoinToken(token, secret, 1001 + joinTokenLifeMs)).toMatchObject({
    ok: false,
    because: expect.stringContaining("has ended") as string,
  });
});

test("is of one hub alone, whichever bit is changed", () => {
  const token = mintJoinToken(eu1, secret, 1000);
  expect(checkJoinToken(token, randomBytes(32), 1000).ok).toBe(false);
  for (const forged of ["", "plj1.", token.slice(0, -4), token.replace("plj1", "plj2"), `${token}.x`])
    expect(checkJoinToken(forged, secret, 1000)).toEqual({ ok: false, because: "the join token is not of this hub" });
  const [head, body, signature] = token.split(".") as [string, string, string];
  const other = Buffer.from(Buffer.from(body, "base64url").toString().replace("eu-1", "us-1")).toString("base64url");
  expect(checkJoinToken(`${head}.${other}.${signature}`, secret, 1000).ok).toBe(false);
});

test("says for which profile it was given, and no edit makes a tenant's token an admin's", () => {
  const tenant = { namespaces: ["shop"], kinds: ["ConfigMap"], serviceAccounts: ["shop/deployer"] };
  const token = mintJoinToken(eu1, secret, 1000, tenant);
  expect(checkJoinToken(token, secret, 1000)).toMatchObject({ ok: true, token: { cluster: eu1, tenant } });
  const admin = checkJoinToken(mintJoinToken(eu1, secret, 1000), secret, 1000);
  expect(admin.ok && "tenant" in admin.token).toBe(false);
  const [head, body, signature] = token.split(".") as [string, string, string];
  const { tenant: _tenant, ...rest } = JSON.parse(Buffer.from(body, "base64url").toString()) as { tenant: object };
  for (const other of [rest, { ...rest, tenant: { ...tenant, namespaces: ["kube-system"] } }]) {
    const edited = Buffer.from(JSON.stringify(other)).toString("base64url");
    expect(checkJoinToken(`${head}.${edited}.${signature}`, secret, 1000).ok).toBe(false);
  }
});
