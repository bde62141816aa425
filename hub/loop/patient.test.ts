import { expect, test } from "vitest";
import type { Target } from "#hub/decide/inputs.ts";
import { patient } from "#hub/loop/patient.ts";
import type { Renders } from "#hub/loop/renders.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { applicationName, clusterId, environmentName, revision } from "#proto/ids.ts";

const target = (application: string): Target => ({
  environment: environmentName("dev"),
  application: applicationName(application),
  cluster: clusterId("dev-1"),
  revision: revision("a".repeat(40)),
});

/** Renderings that end when they are told to. */
function slowRenders(): { renders: Renders; asked: string[][]; end: (error?: Error) => void } {
  const asked: string[][] = [];
  let pending = Promise.withResolvers<void>();
  const renders = {
    render: (targets: readonly Target[]) => {
      asked.push(targets.map(({ application }) => application));
      pending = Promise.withResolvers<void>();
      return pending.promise;
    },
  } as unknown as Renders;
  return { renders, asked, end: (error) => (error === undefined ? pending.resolve() : pending.reject(error)) };
}

test("a rendering that takes long is not waited for, not started twice, and told when it is done", async () => {
  const clock = new VirtualClock();
  const { renders, asked, end } = slowRenders();
  const told: unknown[] = [];
  const patiently = patient(renders, { clock, late: (error) => void told.push(error) });
  const first = patiently.render([target("slow")]);
  await clock.advance(2_000);
  await first;
  await patiently.render([target("slow")]);
  expect(asked).toEqual([["slow"]]);
  expect(told).toEqual([]);
  end();
  await new Promise(setImmediate);
  expect(told).toEqual([undefined]);
  void patiently.render([target("slow"), target("other")]);
  expect(asked).toEqual([["slow"], ["slow", "other"]]);
  end();
});

test("one that is quick is waited for, and its failure is the round's", async () => {
  const { renders, end } = slowRenders();
  const told: unknown[] = [];
  const patiently = patient(renders, { clock: new VirtualClock(), late: (error) => void told.push(error) });
  const quick = patiently.render([target("quick")]);
  end();
  await quick;
  const failing = patiently.render([target("quick")]);
  end(new Error("the broker is away"));
  await expect(failing).rejects.toThrow("the broker is away");
  expect(told).toEqual([]);
});
