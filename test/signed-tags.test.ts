import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { SignatureAsk } from "#hub/decide/inputs.ts";
import { readFleet } from "#hub/fleet/read.ts";
import { openSource } from "#hub/loop/sources.ts";
import { makeTestKey, type TestKey } from "#hub/trust/signing-fixture.ts";
import { createTrust } from "#hub/trust/trust.ts";
import { applicationName, environmentName, revision } from "#proto/ids.ts";
import { startGitServer } from "#test/harness/git-server.ts";
import { environment, yaml } from "#test/harness/manifests.ts";
import { pushSigned } from "#test/harness/signed-commit.ts";
import { sourceOptions } from "#test/harness/source-options.ts";

const dev = makeTestKey();
const stranger = makeTestKey();

test("where tags are followed the tag itself must be signed, whatever commit it names, and may be signed anew", async () => {
  await using server = await startGitServer();
  await using folder = await mkdtempDisposable(join(tmpdir(), "plumbline-tags-"));
  const stop = new AbortController();
  const url = await server.createRepository("shop");
  const tags = { semver: "1.x" };
  const first = await server.commit("shop", "main", { a: "1" }, "nobody signed this");
  const signed = await pushSigned(server, "shop", {
    files: { a: "2" },
    message: "signed",
    sign: (payload) => dev.sign(payload),
  });
  const source = await openSource(
    { name: "shop", url, remote: {}, follows: () => [tags] },
    sourceOptions(folder.path, stop.signal),
  );
  const signer = yaml({
    apiVersion: "plumbline.dev/v1",
    kind: "Signer",
    metadata: { name: "dev1" },
    spec: { ssh: [dev.line()] },
  });
  const live = environment("live", { follow: tags }, { signatures: { require: "head", signers: ["dev1"] } });
  const { fleet } = readFleet([{ path: "fleet.yaml", bytes: Buffer.from(`${signer}---\n${live}`) }]);
  const trust = createTrust({
    fleetSource: source,
    sourceOf: () => source,
    hubKey: makeTestKey().line().split(" ").slice(1).join(" "),
    signal: stop.signal,
  });
  const fleetCommit = revision(first);
  const tag = async (name: string, commit: string, key?: TestKey): Promise<void> => {
    const payload = `object ${commit}\ntype commit\ntag ${name}\ntagger dev1 <dev1@example.com> 1700000000 +0000\n\nversion\n`;
    const text = payload + (key?.sign(Buffer.from(payload)) ?? "");
    const id = await server.git("shop", ["hash-object", "-t", "tag", "-w", "--stdin"], text);
    await server.git("shop", ["update-ref", `refs/tags/${name}`, id]);
  };
  const said = async (commit: string, require: "head" | "all" = "head", since: string[] = []): Promise<string> => {
    await source.following.look();
    expect(source.at(tags)).toBe(commit);
    const ask: SignatureAsk = {
      kind: "revision",
      application: applicationName("shop"),
      environment: environmentName("live"),
      revision: revision(commit),
      require,
      tags,
      since: since.map(revision),
    };
    trust.retry();
    await trust.examine([ask], fleet, fleetCommit);
    const answer = trust.answer(ask, fleet, fleetCommit);
    return answer?.kind === "refused" ? answer.because : `by ${answer?.by}`;
  };
  try {
    await server.git("shop", ["update-ref", "refs/tags/v1.0.0", signed]);
    expect(await said(signed)).toMatch(
      /^tag v1\.0\.0 is not signed: sign it with a key of dev1 \(git tag -f -s v1\.0\.0 \w{7}\)$/,
    );
    await tag("v1.1.0", signed);
    expect(await said(signed)).toMatch(/^tag v1\.1\.0 is not signed: /);
    await tag("v1.2.0", signed, stranger);
    expect(await said(signed)).toMatch(/^tag v1\.2\.0 is signed by the SSH key \S+, which is no signer's: /);
    await tag("v1.2.0", signed, dev);
    expect(await said(signed)).toBe("by dev1");
    // The tag answers for its commit; every commit that leads there has to be signed only where all are asked for.
    const third = await server.commit("shop", "main", { a: "3" }, "nobody signed this either");
    await tag("v1.3.0", third, dev);
    expect(await said(third)).toBe("by dev1");
    expect(await said(third, "all", [signed])).toMatch(/^commit \w{7} \("nobody signed this either", .* is not signed/);
    // Another's signed tag under this name says something else.
    const payload = await server.git("shop", ["cat-file", "tag", "v1.2.0"]);
    const id = await server.git("shop", ["hash-object", "-t", "tag", "-w", "--stdin"], `${payload}\n`);
    await server.git("shop", ["update-ref", "refs/tags/v1.4.0", id]);
    expect(await said(signed)).toMatch(/^tag v1\.4\.0 says that it is the tag "v1\.2\.0": /);
  } finally {
    stop.abort();
    await source.following.ended;
  }
});
