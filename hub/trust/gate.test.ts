import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import type { RawCommit } from "#hub/git/raw-commits.ts";
import { revision, type Revision } from "#proto/ids.ts";
import { hubName, judge, walkLimit, type Gate } from "./gate.ts";
import { promoterOf } from "./promoter.ts";
import { readCommit } from "./signed-object.ts";
import { makeTestKey, writeTestCommit } from "./signing-fixture.ts";
import { verifyMany } from "./verify-many.ts";

const dev = makeTestKey();
const stranger = makeTestKey();
const hub = makeTestKey();
const signers = [
  { name: "dev1", ssh: [dev.line()], pgp: [] },
  { name: hubName, ssh: [hub.line()], pgp: [] },
];
const keys = { dev, stranger, hub, nobody: undefined } as const;
type Who = keyof typeof keys;

/** A history in memory, in the order in which it was made. */
const known = new Map<string, RawCommit>();
function commit(who: Who, parents: readonly Revision[], message = `by ${who}\n`): Revision {
  const key = keys[who];
  const raw = writeTestCommit({ parents, message }, key && ((payload) => key.sign(payload)));
  const id = revision(createHash("sha1").update(`commit ${raw.length}\0`).update(raw).digest("hex"));
  known.set(id, { id, raw });
  return id;
}
/** n commits in a row on top of the first, by these people in turn. */
function line(from: Revision | undefined, ...people: readonly Who[]): Revision {
  let at = from;
  for (const who of people) at = commit(who, at === undefined ? [] : [at]);
  return at!;
}
const before = (ids: readonly string[], seen = new Set<string>()): Set<string> => {
  for (const id of ids)
    if (!seen.has(id)) {
      seen.add(id);
      before(readCommit(id, known.get(id)!.raw).parents, seen);
    }
  return seen;
};
const gate = (require: "head" | "all", since: readonly Revision[] = []): Gate => ({
  require,
  since,
  signers: ["dev1", "forge"],
  walk: async (tip, { since: trusted, limit }) => {
    const left = before(trusted);
    // Children come before their parents, since the map is in the order in which they were made.
    const ids = [...known.keys()].reverse().filter((id) => before([tip]).has(id) && !left.has(id));
    return { commits: ids.slice(0, limit).map((id) => known.get(id)!), isCut: ids.length > limit };
  },
  verdicts: (commits) => verifyMany(commits, signers),
});
const said = async (tip: Revision, wanted: Gate): Promise<string> => {
  const trust = await judge(tip, wanted);
  return trust.kind === "trusted" ? "trusted" : trust.because;
};

const root = line(undefined, "nobody");

test.each<[string, Revision, "trusted" | RegExp]>([
  ["a signed one, whatever lies under it", line(root, "nobody", "dev"), "trusted"],
  [
    "none that is not signed, whatever lies under it",
    line(root, "dev", "nobody"),
    /^commit \w{7} \("by nobody", says it is by "dev1 <dev1@example.com>"\) is not signed: push a commit on top that is signed with a key of dev1, forge$/,
  ],
  ["none of a stranger", line(root, "stranger"), /is signed by the SSH key SHA256:\S+, which is no signer's/],
  ["the hub's own on top of a signed one", line(root, "dev", "hub", "hub"), "trusted"],
  [
    "none of the hub's own on top of one that is not signed",
    line(root, "dev", "nobody", "hub"),
    /"by nobody".* is not signed/,
  ],
])("head takes %s", async (_name, tip, expected) => {
  if (expected === "trusted") expect(await said(tip, gate("head"))).toBe("trusted");
  else expect(await said(tip, gate("head"))).toMatch(expected);
});

test("head takes the hub's own commit on top of one that was trusted before", async () => {
  const trusted = line(root, "nobody");
  expect(await said(line(trusted, "hub"), gate("head", [trusted]))).toBe("trusted");
});

test("all asks for every commit since the trusted one, by every parent of a merge, and names the oldest", async () => {
  const trusted = line(root, "nobody");
  expect(await said(line(trusted, "dev", "hub", "dev"), gate("all", [trusted]))).toBe("trusted");
  const unsigned = line(trusted, "dev", "nobody");
  expect(await said(line(unsigned, "nobody", "dev"), gate("all", [trusted]))).toMatch(
    new RegExp(
      `^commit ${unsigned.slice(0, 7)} .* is not signed \\(and 1 more\\): sign it again .*"Plumbline-Vouches-For: ${unsigned}"$`,
    ),
  );
  const branch = line(trusted, "dev", "nobody");
  const merge = commit("dev", [line(trusted, "dev"), branch], "merge\n");
  expect(await said(merge, gate("all", [trusted]))).toContain(`commit ${branch.slice(0, 7)}`);
  expect(
    await said(commit("dev", [line(trusted, "dev"), line(trusted, "dev")], "merge\n"), gate("all", [trusted])),
  ).toBe("trusted");
  expect(await said(merge, gate("head", [trusted]))).toBe("trusted");
});

test("all takes a commit that nobody signed when a signer vouches for it later, and for no other", async () => {
  const trusted = line(root, "nobody");
  const first = line(trusted, "nobody");
  const vouch = (who: Who, on: Revision, ...ids: Revision[]) =>
    commit(who, [on], `it is right\n\n${ids.map((id) => `Plumbline-Vouches-For: ${id}\n`).join("")}`);
  expect(await said(vouch("dev", first, first), gate("all", [trusted]))).toBe("trusted");
  const second = line(first, "nobody");
  expect(await said(vouch("dev", second, first), gate("all", [trusted]))).toContain(second.slice(0, 7));
  expect(await said(line(vouch("stranger", first, first), "dev"), gate("all", [trusted]))).toContain(first.slice(0, 7));
  // The hub's messages hold what people said.
  expect(await said(vouch("hub", first, first), gate("all", [trusted]))).toContain(first.slice(0, 7));
});

test("all begins with a signed head, and ends with a walk that is too long", async () => {
  expect(await said(line(root, "nobody", "dev"), gate("all"))).toBe("trusted");
  expect(await said(line(root, "nobody"), gate("all"))).toContain("is not signed");
  const cut = { ...gate("all", [root]), walk: async () => ({ commits: [], isCut: true }) };
  expect(await said(line(root, "dev"), cut)).toContain(`more than ${walkLimit} commits after the last trusted one`);
});

test("shows what a commit says of itself as its own words, in one line", async () => {
  const tip = commit("nobody", [root], `x\u001b[31m"${"y".repeat(100)}\nmore\n`);
  expect(await said(tip, gate("head"))).toMatch(/^commit \w{7} \("x\[31my{54}…", says it is by/);
});

test("a promoter is known by the API or by a signature, and trailers of others are no proof", async () => {
  const who = async (id: Revision) => {
    const one = known.get(id)!;
    return promoterOf(one, (await verifyMany([one], signers))[0]!);
  };
  const trailer = "promote\n\nPlumbline-Actor: admin\n";
  expect(await who(commit("hub", [root], trailer))).toEqual({ kind: "known", name: "admin", through: "api" });
  expect(await who(commit("dev", [root], trailer))).toEqual({ kind: "known", name: "dev1", through: "signature" });
  expect(await who(commit("nobody", [root], trailer))).toEqual({
    kind: "unknown",
    claims: "dev1 <dev1@example.com>",
    because: "is not signed",
  });
});
