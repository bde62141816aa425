import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { inClusterAccess, kubeconfigAccess } from "#agent/cluster/access.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";

const minuteMs = 60_000;
const api = { host: "10.0.0.1", port: "443" };
let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "plumbline-access-"))));
afterEach(() => rm(folder, { recursive: true }));

const put = (files: Record<string, string>): Promise<unknown> =>
  Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)));
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

test("in a Pod: token and CA that were replaced are in use a minute later, though nothing was refused", async () => {
  const clock = new VirtualClock();
  await put({ "ca.crt": "old CA", token: "old\n" });
  const access = inClusterAccess(api, folder, clock);
  const old = { ca: "old CA", headers: bearer("old") };
  expect(await access.credentials()).toEqual(old);
  await put({ "ca.crt": "new CA", token: "new\n" });
  await clock.advance(minuteMs - 1);
  // Not a file is read for a request.
  expect(await access.credentials()).toEqual(old);
  await clock.advance(1);
  expect(await access.credentials()).toEqual({ ca: "new CA", headers: bearer("new") });
});

test("in a Pod: a token that is just being replaced changes nothing, and is read once it is there", async () => {
  const clock = new VirtualClock();
  await put({ "ca.crt": "CA", token: "old" });
  const access = inClusterAccess(api, folder, clock);
  await access.credentials();
  await rm(join(folder, "token"));
  await clock.advance(minuteMs);
  for (const fresh of [false, true]) expect((await access.credentials(fresh)).headers).toEqual(bearer("old"));
  await put({ token: "new" });
  expect((await access.credentials()).headers).toEqual(bearer("new"));
});

test("in a Pod: without a token there is nothing to go on with", async () => {
  await put({ "ca.crt": "CA" });
  await expect(inClusterAccess(api, folder).credentials()).rejects.toThrow("ENOENT");
});

test("a kubeconfig, and the certificates that it names, are in use a minute after they were replaced", async () => {
  const clock = new VirtualClock();
  const path = join(folder, "kubeconfig");
  const config = (user: object): string =>
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "c", cluster: { server: "https://api", "certificate-authority": "ca.crt" } }],
      users: [{ name: "u", user }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      "current-context": "x",
    });
  const files = (round: string) => ({
    "ca.crt": `CA ${round}`,
    "tls.crt": `certificate ${round}`,
    "tls.key": `key ${round}`,
  });
  await put({ ...files("one"), kubeconfig: config({ "client-certificate": "tls.crt", "client-key": "tls.key" }) });
  const access = await kubeconfigAccess(path, undefined, clock);
  const read = (round: string) => ({
    ca: `CA ${round}`,
    clientCertificate: { certificate: `certificate ${round}`, key: `key ${round}` },
  });
  expect(await access.credentials()).toMatchObject(read("one"));
  await put(files("two"));
  expect(await access.credentials()).toMatchObject(read("one"));
  await clock.advance(minuteMs);
  expect(await access.credentials()).toMatchObject(read("two"));
  await put({ kubeconfig: config({ token: "instead" }) });
  await clock.advance(minuteMs);
  expect(await access.credentials()).toEqual({ ca: "CA two", headers: bearer("instead") });
});
