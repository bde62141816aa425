import { admissionCases } from "./admission.ts";
import type { DriftCase } from "./case.ts";
import { controllerCases } from "./controllers.ts";
import { goneCases } from "./gone.ts";
import { handCases } from "./hands.ts";
import { interruptionCases } from "./interruptions.ts";
import { listCases } from "./lists.ts";
import { policyCases } from "./policies.ts";
import { survivalCases } from "./survival.ts";
import { valueCases } from "./values.ts";

/** Every case, in the order of the table. */
export const driftCases: readonly DriftCase[] = [
  ...valueCases,
  ...handCases,
  ...listCases,
  ...goneCases,
  ...policyCases,
  ...controllerCases,
  ...admissionCases,
  ...survivalCases,
  ...interruptionCases,
].sort((a, b) => a.number - b.number);

/** Of the table, and not shown here yet: what is missing. */
export const unproven: readonly { readonly number: number; readonly name: string; readonly because: string }[] = [
  {
    number: 28,
    name: "a CRD drops the version that was applied",
    because: "the engine applies what Git names, and looks for no other served version",
  },
  {
    number: 40,
    name: "no permission to list or watch a kind, or only in some namespaces",
    because: "the engine watches whole clusters, and says only in its log what it may not watch",
  },
];
