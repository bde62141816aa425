import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { startProcess, untilReady, type RunningProcess } from "#test/harness/process.ts";
import { serverPath } from "#test/harness/servers.ts";

const cli = new URL("../cli/main.ts", import.meta.url).pathname;
const env = { PATH: process.env["PATH"], LANG: "C.UTF-8", PLUMBLINE_NATS_SERVER: serverPath("nats-server") };
const run = promisify(execFile);
let demo: RunningProcess;
let settings: Record<string, string>;

// The demo's fleet after its story: three environments, one Application, five clusters.
beforeAll(async () => {
  demo = startProcess(process.execPath, [cli, "demo"], { env });
  await untilReady(demo, "the demo", () => Promise.resolve(demo.log().includes("git clone")));
  settings = Object.fromEntries(
    [...demo.log().matchAll(/(PLUMBLINE_\w+)=(\S+)/g)].map(([, name, value]) => [name!, value!]),
  );
});
afterAll(async () => await demo[Symbol.asyncDispose]());

type Ran = { code: number; out: string; err: string };

async function plumb(arguments_: readonly string[], more: Record<string, string> = {}): Promise<Ran> {
  const options = { env: { ...env, ...settings, ...more } };
  return await run(process.execPath, [cli, ...arguments_], options).then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
      code,
      out: stdout,
      err: stderr,
    }),
  );
}

const looks = [
  ["status"],
  ["drift"],
  ["history"],
  ["why", "prod/shop"],
  ["cluster", "list"],
  ["cluster", "show", "prod-ap"],
] as const;

test.each(looks.map((words) => [words.join(" "), words] as const))(
  "plumb %s is one answer as a table, as JSON, as YAML and as names, without colours on a pipe",
  async (_, words) => {
    const [table, json, yaml, names] = await Promise.all(
      ["table", "json", "yaml", "name"].map(async (format) => (await plumb([...words, "-o", format])).out),
    );
    expect(table).not.toContain("\u001b[");
    expect(table).toContain("prod");
    // Ages are of the moment; what they belong to is the same.
    expect(Object.keys(parse(yaml!) as object)).toEqual(Object.keys(JSON.parse(json!) as object));
    expect(names).toMatch(/^(?:\w+\/\S+\n)+$/);
  },
);

test("status lines its columns up and says by what each environment is rendered", async () => {
  const { out } = await plumb(["status", "-o", "wide"]);
  const lines = out.trimEnd().split("\n");
  expect(lines[0]).toMatch(/^FLEET {2}3 environments · 1 application · 5 clusters /);
  const column = lines[1]!.indexOf("RENDERED BY");
  expect(lines.slice(2).map((line) => line.slice(column).trim())).toEqual(
    Array.from({ length: 3 }, () => "plain (render: plain)"),
  );
});

test("history says who drifted what, and that it was healed", async () => {
  const { out } = await plumb(["history"]);
  expect(out).toMatch(/prod-ap +prod\/shop +drift +Deployment shop\/web changed by kubectl-scale: healed/);
});

test.each([
  ["why prod/nothing", 1, "there is no application nothing", "plumb status shows"],
  ["cluster show nowhere", 1, "there is no cluster nowhere", "plumb cluster list shows"],
  ["cluster revoke nowhere", 1, "nowhere has not joined", "plumb cluster list shows"],
  ["cluster register UPPER", 1, "UPPER cannot be a cluster's name", "use lower-case letters"],
  ["cluster register prod-ap", 3, "prod-ap has joined already", "register another"],
  ["promote nowhere shop", 1, "there is no environment nowhere", "plumb status shows"],
  ["promote dev shop", 3, "dev follows", "in Git, instead"],
  ["promote prod shop zzzzzzz", 1, "zzzzzzz is no commit of shop's repository", "push it first"],
  ["remove typo --environment dev", 1, "there is no application typo", "commit the Removal yourself"],
  ["remove shop --environment nowhere", 1, "there is no environment nowhere", "plumb status shows"],
  ["accept-rewrite nowhere", 1, "no repository nowhere is followed", "name a Repository"],
  ["demo break nowhere", 1, "there is no cluster nowhere", "prod-ap"],
])("plumb %s exits with %i and says what to do", async (line, code, what, advice) => {
  const ran = await plumb(line.split(" "));
  expect([ran.code, ran.out]).toEqual([code, ""]);
  expect(ran.err).toContain(`plumb: ${what}`);
  expect(ran.err).toContain(advice);
});

test.each([
  ["no token", { PLUMBLINE_TOKEN_FILE: "" }],
  ["a token that nobody knows", { PLUMBLINE_TOKEN_FILE: "", PLUMBLINE_TOKEN: "plt_guess" }],
])("with %s nothing is told, and exit code 4 says why", async (_, without) => {
  const ran = await plumb(["status"], without);
  expect([ran.code, ran.out]).toEqual([4, ""]);
  expect(ran.err).toContain("PLUMBLINE_TOKEN");
});
