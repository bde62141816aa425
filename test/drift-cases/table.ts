import { admissionCases } from "./admission.ts";
import type { DriftCase } from "./case.ts";
import { controllerCases } from "./controllers.ts";
import { goneCases } from "./gone.ts";
import { handCases } from "./hands.ts";
import { interruptionCases } from "./interruptions.ts";
import { listCases } from "./lists.ts";
import { policyCases } from "./policies.ts";
import { rightsCases } from "./rights.ts";
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
  ...rightsCases,
  ...interruptionCases,
].sort((a, b) => a.number - b.number);
