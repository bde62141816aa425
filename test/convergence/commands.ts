import fc from "fast-check";
import { failing, type Failing } from "./failing.ts";
import { applications, policy, type ApplicationName, type Policy } from "./policy.ts";
import { names } from "./pool.ts";

/** What may happen to one cluster and its agent, in any order and at any moment. */
export type Command =
  | {
      readonly do: "run";
      readonly application: ApplicationName;
      readonly objects: readonly string[];
      readonly level: number;
      readonly policy: Policy;
    }
  | { readonly do: "hold" | "forget" | "loseHead"; readonly application: ApplicationName }
  | { readonly do: "remove"; readonly application: ApplicationName; readonly mode: "delete" | "orphan" }
  | { readonly do: "edit" | "unlabel" | "delete" | "mark"; readonly object: string }
  | { readonly do: "stranger"; readonly name: string }
  | { readonly do: "fail"; readonly verb: string; readonly with: Failing; readonly times: number }
  | { readonly do: "cutWatches" | "expireWatches" | "silence" | "kill" }
  | { readonly do: "killAt"; readonly write: number; readonly moment: "before" | "after" }
  | { readonly do: "wait"; readonly ms: number };

const application = fc.constantFrom(...applications);
const object = fc.constantFrom(...names);
const one = <D extends string>(...values: readonly D[]) => fc.constantFrom(...values);

export const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: one("run"),
        application,
        objects: fc.uniqueArray(object, { minLength: 1, maxLength: 4 }),
        level: fc.nat(2),
        policy,
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: one("hold", "forget", "loseHead"), application }) },
    { weight: 1, arbitrary: fc.record({ do: one("remove"), application, mode: one("delete", "orphan") }) },
    { weight: 4, arbitrary: fc.record({ do: one("edit", "unlabel", "delete", "mark"), object }) },
    { weight: 1, arbitrary: fc.record({ do: one("stranger"), name: one("first", "second") }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: one("fail"),
        verb: one("get", "list", "watch", "patch", "create", "update", "delete"),
        with: one(...failing),
        times: fc.integer({ min: 1, max: 3 }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ do: one("cutWatches", "expireWatches", "silence", "kill") }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: one("killAt"),
        write: fc.integer({ min: 1, max: 8 }),
        moment: one("before", "after"),
      }),
    },
    { weight: 6, arbitrary: fc.record({ do: one("wait"), ms: fc.constantFrom(0, 1, 50, 1_000, 30_000, 600_000) }) },
  ),
  // Most of the trouble needs several things at once.
  { minLength: 5, maxLength: 40, size: "max" },
);
