import { describe, expect, test } from "vitest";
import { ApplicationPhase } from "#proto/gen/plumbline/agent/v1/agent.ts";
import type { KubeObject } from "#proto/object.ts";
import { job, Lives, settings, until } from "./hooks/lives.ts";
import type { KillPoint } from "./kill-points/kills.ts";

const helm = (phases: string, more: Readonly<Record<string, string>> = {}) => ({ "helm.sh/hook": phases, ...more });
const goes = { "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded" };
/** Hooks of an upgrade that leave nothing behind by which they could be found again. */
const before = job("before", helm("pre-install,pre-upgrade", goes));
const after = job("after", helm("post-install,post-upgrade", goes));
const first = [before, after, settings("a")];
const second = [before, after, settings("a", "2"), settings("b")];
/** More than any of these lives has writes. */
const mostWrites = 60;

/** Plays it again with an agent that dies at its first write, at its second, and so on, until one lives. Gives how many died. */
async function atEachWrite(play: (kill: KillPoint) => Promise<boolean>): Promise<number> {
  for (let write = 1; write <= mostWrites; write += 1)
    for (const moment of ["before", "after"] as const) if (!(await play({ write, moment }))) return write - 1;
  throw new Error("it never lived");
}

describe("hooks run once for each digest", () => {
  test("wherever an agent is killed in an upgrade", async () => {
    const died = await atEachWrite(async (kill) => {
      const lives = await Lives.open();
      await lives.take(lives.documents.sign(lives.documents.run("shop", first)));
      const newer = lives.documents.sign(lives.documents.run("shop", second));
      const isDead = await lives.take(newer, kill);
      await lives.take(newer);
      expect([lives.made(before), lives.made(after)], JSON.stringify(kill)).toEqual([2, 2]);
      expect(lives.get(settings("a"))?.["data"]).toEqual({ level: "2" });
      return isDead;
    });
    expect(died).toBeGreaterThan(10);
  });

  test("also one that failed and is deleted for that", async () => {
    const policy = { "helm.sh/hook-delete-policy": "hook-failed" };
    const broken = job("migrate", helm("pre-install,pre-upgrade", policy), "broken");
    const died = await atEachWrite(async (kill) => {
      const lives = await Lives.open();
      await lives.take(lives.documents.sign(lives.documents.run("shop", first)));
      const newer = lives.documents.sign(lives.documents.run("shop", [broken, settings("a", "2")]));
      const isDead = await lives.take(newer, kill);
      await lives.take(newer);
      expect(lives.made(broken), JSON.stringify(kill)).toBe(1);
      expect(lives.get(broken)).toBeUndefined();
      return isDead;
    });
    expect(died).toBeGreaterThan(3);
  });

  test("when the head is lost, which is told", async () => {
    const lives = await Lives.open();
    const document = lives.documents.sign(lives.documents.run("shop", first));
    await lives.take(document);
    lives.lose("plumbline-application-shop");
    await lives.take(document);
    expect([lives.made(before), lives.made(after)]).toEqual([1, 1]);
    expect(lives.notices()).toEqual([
      "the agent's memory: the inventory of shop is gone: it is made anew, and nothing is pruned meanwhile",
      "the agent's memory: the document of generation 1 is gone: all is kept as it is until the hub shows it again",
      "the inventory of shop was made anew: 1 objects",
    ]);
  });

  test("when the head that held the newest document is lost, and an older one lies elsewhere", async () => {
    const lives = await Lives.open();
    const other = lives.documents.run("other", [settings("other")]);
    const old = lives.documents.run("shop", first);
    await lives.take(lives.documents.sign(old));
    // Stored with the head of the other one, and the next with the shop's.
    await lives.take(lives.documents.sign(old, other));
    const newest = lives.documents.sign(lives.documents.run("shop", second), other);
    await lives.take(newest);
    lives.lose("plumbline-application-shop");
    await lives.live((engine) => engine.settled());
    expect(lives.get(settings("a"))?.["data"]).toEqual({ level: "2" });
    await lives.take(newest);
    expect([lives.made(before), lives.made(after)]).toEqual([2, 2]);
    expect(lives.get(settings("b"))).toBeDefined();
  });

  test("when all that the agent knew is lost, those of an install are not run on what is there", async () => {
    const lives = await Lives.open();
    const install = job("install", helm("pre-install", goes));
    const upgrade = job("upgrade", helm("pre-upgrade", goes));
    const document = lives.documents.sign(lives.documents.run("shop", [install, upgrade, settings("a")]));
    await lives.take(document);
    expect([lives.made(install), lives.made(upgrade)]).toEqual([1, 0]);
    lives.lose(...(await lives.memory("plumbline-")));
    await lives.take(document);
    expect([lives.made(install), lives.made(upgrade)]).toEqual([1, 1]);
  });

  test("and again when the Application was removed in between", async () => {
    const lives = await Lives.open();
    await lives.take(lives.documents.sign(lives.documents.run("shop", first)));
    await lives.take(lives.documents.sign(lives.documents.remove("shop", "delete")));
    expect(await lives.memory("plumbline-hooks-")).toEqual([]);
    await lives.take(lives.documents.sign(lives.documents.run("shop", first)));
    expect([lives.made(before), lives.made(after)]).toEqual([2, 2]);
  });
});

describe("what hooks made", () => {
  const script = settings("script", "1", { "plumbline.dev/hook": "pre" });

  test("goes with the hook, also when the revision that had it was called off wherever that was", async () => {
    await atEachWrite(async (kill) => {
      const lives = await Lives.open();
      await lives.take(lives.documents.sign(lives.documents.run("shop", first)));
      const isDead = await lives.take(lives.documents.sign(lives.documents.run("shop", [script, ...second])), kill);
      // The hub went on meanwhile.
      await lives.take(lives.documents.sign(lives.documents.run("shop", [settings("a", "3")])));
      expect(lives.get(script), JSON.stringify(kill)).toBeUndefined();
      return isDead;
    });
  });

  test("goes with a Removal, also of hooks that are no more in Git and could not be deleted yet", async () => {
    const lives = await Lives.open();
    const run = (objects: readonly KubeObject[], isPruned: boolean) =>
      lives.documents.run("shop", objects, { prune: { enabled: isPruned, budgetPercent: 20, protected: [] } });
    await lives.take(lives.documents.sign(run([script, settings("a")], false)));
    await lives.take(lives.documents.sign(run([settings("a", "2")], false)));
    expect(lives.get(script)).toBeDefined();
    await lives.take(lives.documents.sign(lives.documents.remove("shop", "delete")));
    expect(lives.get(script)).toBeUndefined();
  });
});

describe("a Removal with hooks", () => {
  const backup = job("backup", helm("pre-delete"));
  const farewell = job("farewell", helm("post-delete", goes));
  const objects = [backup, farewell, settings("a"), settings("b")];

  test("goes on wherever the agent is killed, without a hub, makes nothing again and runs its hooks once", async () => {
    const died = await atEachWrite(async (kill) => {
      const lives = await Lives.open();
      await lives.take(lives.documents.sign(lives.documents.run("shop", objects)));
      const isDead = await lives.take(lives.documents.sign(lives.documents.remove("shop", "delete")), kill);
      const [first, hook] = [lives.get(settings("a")), lives.made(backup)];
      await lives.live((engine) => engine.settled());
      const isBegun = hook > 0;
      if (first === undefined || isBegun) expect(lives.get(settings("a")), JSON.stringify(kill)).toBeUndefined();
      await lives.take(lives.documents.sign(lives.documents.remove("shop", "delete")));
      const made = [backup, farewell, settings("a"), settings("b")].map((object) => lives.made(object));
      expect(made, JSON.stringify(kill)).toEqual([1, 1, 1, 1]);
      expect(objects.filter((object) => lives.get(object) !== undefined)).toEqual([]);
      return isDead;
    });
    expect(died).toBeGreaterThan(8);
  });

  test("that was taken back runs them again when it is asked for again", async () => {
    const lives = await Lives.open();
    const run = (): Uint8Array => lives.documents.sign(lives.documents.run("shop", objects));
    await lives.take(run());
    // Its hook has run, and nothing is deleted yet.
    await lives.take(lives.documents.sign(lives.documents.remove("shop", "delete", 1)), { write: 4, moment: "after" });
    expect(lives.made(backup)).toBe(1);
    await lives.take(run());
    await lives.take(lives.documents.sign(lives.documents.remove("shop", "delete", 2)));
    expect(lives.made(backup)).toBe(2);
  });

  test("fetches the bundle that the agent has lost, and deletes nothing before it knows its hooks", async () => {
    const lives = await Lives.open();
    await lives.take(lives.documents.sign(lives.documents.run("shop", objects)));
    lives.lose(...(await lives.memory("plumbline-bundle-")));
    const blobs = [...lives.documents.blobs];
    lives.documents.blobs.clear();
    const removal = lives.documents.sign(lives.documents.remove("shop", "delete"));
    await lives.live(async (engine) => {
      engine.take(removal, "");
      await until(() => engine.statuses()[0]?.phase === ApplicationPhase.REMOVING);
      expect(engine.statuses()[0]?.reason).toBe(
        "waits: its bundle is not known, and the hooks that run before a deletion are in it",
      );
    });
    expect(lives.get(settings("a"))).toBeDefined();
    for (const [address, slices] of blobs) lives.documents.blobs.set(address, slices);
    await lives.take(removal);
    expect(lives.made(backup)).toBe(1);
    expect(lives.get(settings("a"))).toBeUndefined();
  });
});
