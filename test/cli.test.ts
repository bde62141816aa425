import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { freePorts } from "#test/harness/free-port.ts";
import { startProcess } from "#test/harness/process.ts";

const cli = new URL("../cli/main.ts", import.meta.url).pathname;

/** Where nothing listens. */
async function plumb(...arguments_: string[]): Promise<{ code: number | null; said: string }> {
  const [port] = await freePorts(1);
  return plumbAt(`http://127.0.0.1:${port}`, ...arguments_);
}

async function plumbAt(hub: string, ...arguments_: string[]): Promise<{ code: number | null; said: string }> {
  const env = { PATH: process.env["PATH"], LANG: "C.UTF-8", PLUMBLINE_HUB: hub, PLUMBLINE_TOKEN_FILE: "" };
  await using running = startProcess(process.execPath, [cli, ...arguments_], { env });
  await running.ended;
  return { code: running.child.exitCode, said: running.log() };
}

test("alone and without a hub, it says how to start", async () => {
  const { code, said } = await plumb();
  expect(code).toBe(0);
  expect(said).toContain("No hub answers at http://127.0.0.1:");
  expect(said).toContain("plumb demo");
});

test.each([
  [["status"], 5, "start one with plumb hub"],
  [["status", "-o", "xml"], 2, "-o xml is no format"],
  [["statsu"], 2, "Did you mean status?"],
  [["drift", "--since", "soon"], 2, "write 30s, 15m, 24h or 7d"],
  [["remove", "shop"], 2, "name either --environment or --cluster"],
  [["validate", "nowhere"], 2, "there is no folder nowhere"],
  [["status", "--token-file", "nowhere"], 2, "the token file nowhere cannot be read"],
  [["status", "--bogus"], 2, "plumb: unknown option '--bogus'"],
  [["--hub", "nonsense", "status"], 2, "nonsense is no address of a hub: write http://HOST:PORT"],
  [["status", "--no-color"], 5, "does not answer (ECONNREFUSED)"],
  [["cluster", "register"], 2, "missing required argument 'name'"],
  [["cluster", "register", "eu-1", "-l", "prod"], 2, "write name=value"],
  [["render", "shop", "--from-hub"], 2, "name a cluster by --cluster"],
  [["demo", "break", "eu-1"], 2, "run the export line that the demo printed"],
  [["agent", "run", "--kubeconfig", "nowhere"], 1, "the kubeconfig nowhere cannot be read (ENOENT)"],
  [["agent", "run", "--kubeconfig", "nowhere", "--profile", "root"], 2, "--profile (PLUMBLINE_PROFILE) is root"],
  [["hub", "--fleet", "https://host/fleet.git", "--poll-ms", "soon"], 2, "--poll-ms must be a number"],
  [["agent", "run"], 2, "required option '--kubeconfig <file>' not specified"],
  [["hub"], 2, "see plumb hub --help"],
  [["promote", "--help"], 0, "Examples:"],
  [["why"], 2, "missing required argument"],
  [["why", "eu-7"], 2, "name an application too: plumb why eu-7 APPLICATION"],
  [["why", "prod/api/web"], 2, "write prod/api"],
  [["why", "--help"], 0, "plumb why prod/api eu-7"],
] as const)("plumb %j exits with %i and says what to do", async (arguments_, code, words) => {
  const ran = await plumb(...arguments_);
  expect([ran.code, ran.said]).toEqual([code, expect.stringContaining(words)]);
  expect(ran.said).not.toContain("\u001b[");
});

test.each([
  [404, "there is no such page", "is no hub"],
  [200, "<html>welcome</html>", "is no hub"],
  [502, "bad gateway", "the hub answered 502"],
])("a server that answers %i with %j is told from a hub", async (status, body, words) => {
  const server = createServer((_, response) => response.writeHead(status).end(body)).listen(0, "127.0.0.1");
  try {
    await once(server, "listening");
    const { code, said } = await plumbAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, "status");
    expect([code, said]).toEqual([5, expect.stringContaining(words)]);
  } finally {
    server.close();
    await once(server, "close");
  }
});

const verbs = ["status", "drift", "why", "history", "promote", "remove", "accept-rewrite", "validate", "render"].concat(
  ["diff", "init", "hub", "demo", "cluster list", "cluster show", "cluster register", "cluster revoke"],
  ["agent join", "agent run", "demo break"],
);

test.each(verbs)("plumb %s --help has a sentence, its usage and examples", async (verb) => {
  const { code, said } = await plumb(...verb.split(" "), "--help");
  expect([code, said]).toEqual([0, expect.stringMatching(/^Usage: plumb .*\n\n\S.*[^]*\n\nExamples:\n  plumb /)]);
});
