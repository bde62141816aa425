import { chartsOfAnotherKind } from "./check-charts.ts";
import { cyclesOf } from "./cycles.ts";
import { maxProblems, type FailedDocument, type FleetDocument } from "./document.ts";
import { promotionKey } from "./fleet.ts";
import type { KindName } from "./kinds/kinds.ts";
import { fieldName, type FieldPath, type FleetProblem } from "./problem.ts";
import { referencesOf, survivesMissingNames } from "./references.ts";

/** A problem that one document has with the others. `fatal` leaves that document out. */
export type CrossProblem = FleetProblem & { readonly document: FleetDocument; readonly fatal: boolean };

/** Names that are unique and exist, and orders that end. A failed document still declares its name. */
export function checkTogether(documents: readonly FleetDocument[], failed: readonly FailedDocument[]): CrossProblem[] {
  return [
    ...duplicates(documents, failed),
    ...missingNames(documents, failed),
    ...circles(documents),
    ...promotionsThatGoNowhere(documents),
    ...sharedTokens(documents),
    ...chartsOfAnotherKind(documents).map(({ document, path, message }) => problem(document, path, message)),
    ...healthRulesTogether(documents),
  ];
}

/** A Promotion is one an Application and Environment, whatever it is called; all else is one a name. */
export const identityOf = ({ kind, value }: FleetDocument): string =>
  kind === "Promotion" ? `Promotion ${promotionKey(value)}` : `${kind} ${value.name}`;

const declaredKey = (kind: KindName, name: string): string => `${kind} ${name}`;

function duplicates(documents: readonly FleetDocument[], failed: readonly FailedDocument[]): CrossProblem[] {
  const places = new Map<string, Set<string>>();
  const add = (identity: string, file: string, line: number): void => {
    places.set(identity, (places.get(identity) ?? new Set()).add(`${file}:${line}`));
  };
  for (const document of documents) add(identityOf(document), document.origin.file, document.origin.line);
  for (const { kind, name, file, line } of failed)
    if (kind !== null && name !== null && kind !== "Promotion") add(declaredKey(kind, name), file, line);
  return documents.flatMap((document) => {
    const identity = identityOf(document);
    const own = `${document.origin.file}:${document.origin.line}`;
    const others = firstOthers(places.get(identity)!, own);
    const path = document.kind === "Promotion" ? ["spec", "application"] : ["metadata", "name"];
    return others.length === 0 ? [] : [problem(document, path, `is declared again at ${others.join(", ")}: keep one`)];
  });
}

/** A few, because a file may say the same a thousand times. */
function firstOthers(places: ReadonlySet<string>, own: string): string[] {
  const others: string[] = [];
  for (const place of places) {
    if (place !== own) others.push(place);
    if (others.length === 3) break;
  }
  return others;
}

function missingNames(documents: readonly FleetDocument[], failed: readonly FailedDocument[]): CrossProblem[] {
  const declared = new Set(documents.map(({ kind, value }) => declaredKey(kind, value.name)));
  for (const { kind, name } of failed) if (kind !== null && name !== null) declared.add(declaredKey(kind, name));
  return documents.flatMap((document) =>
    referencesOf(document)
      .filter(({ kind, name }) => !declared.has(declaredKey(kind, name)))
      .slice(0, maxProblems)
      .map(({ path, kind, name }) => ({
        ...problem(document, path, `names the ${kind} ${name}, which is not declared`),
        fatal: !survivesMissingNames(document.kind),
      })),
  );
}

function circles(documents: readonly FleetDocument[]): CrossProblem[] {
  const promoted = new Map<string, readonly string[]>();
  const depends = new Map<string, readonly string[]>();
  for (const { kind, value } of documents) {
    if (kind === "Environment" && "promotedFrom" in value.revisions)
      promoted.set(value.name, value.revisions.promotedFrom);
    if (kind === "Application") depends.set(value.name, value.dependsOn);
  }
  const cycles = { Environment: cyclesOf(promoted), Application: cyclesOf(depends) };
  return documents.flatMap((document) => {
    if (document.kind !== "Environment" && document.kind !== "Application") return [];
    const cycle = cycles[document.kind].get(document.value.name);
    const path = document.kind === "Environment" ? ["spec", "revisions", "promotedFrom"] : ["spec", "dependsOn"];
    return cycle ? [problem(document, path, `goes in a circle: ${shown(cycle)}`)] : [];
  });
}

const shown = (cycle: readonly string[]): string =>
  (cycle.length > 10 ? [...cycle.slice(0, 8), "…", cycle.at(-1)!] : cycle).join(" → ");

function promotionsThatGoNowhere(documents: readonly FleetDocument[]): CrossProblem[] {
  const environments = new Map<string, readonly string[]>();
  for (const { kind, value } of documents) if (kind === "Application") environments.set(value.name, value.environments);
  return documents.flatMap((document) => {
    if (document.kind !== "Promotion") return [];
    const { application, environment } = document.value;
    if (environments.get(application)?.includes(environment) ?? true) return [];
    const message = `names ${environment}, but the Application ${application} is not delivered there`;
    return [problem(document, ["spec", "environment"], message)];
  });
}

/** Two names for one token would make the audit say the wrong one. */
function sharedTokens(documents: readonly FleetDocument[]): CrossProblem[] {
  const seen = new Set<string>();
  return documents.flatMap((document) => {
    if (document.kind !== "Access") return [];
    return document.value.tokens.flatMap(({ name, sha256 }, index) => {
      const taken = seen.has(`name ${name}`) || seen.has(`hash ${sha256}`);
      seen.add(`name ${name}`).add(`hash ${sha256}`);
      const message = "has the name or the hash of another token";
      return taken ? [problem(document, ["spec", "tokens", index], message)] : [];
    });
  });
}

/** They travel in every document, and an agent keeps its document in one Secret of at most 1 MiB. */
const maxHealthRuleBytes = 128 * 1024;

/** Two rules for one kind would let the order of files decide; the first by name stays. */
function healthRulesTogether(documents: readonly FleetDocument[]): CrossProblem[] {
  const judged = new Map<string, string>();
  let bytes = 0;
  const rules = documents.filter((document) => document.kind === "HealthRule");
  return rules
    .toSorted((a, b) => (a.value.name < b.value.name ? -1 : 1))
    .flatMap((document) => {
      const { name, apiVersion, kind, current, inProgress, failed } = document.value;
      const other = judged.get(`${apiVersion} ${kind}`);
      if (other !== undefined && other !== name)
        return [problem(document, ["spec", "kind"], `is judged by the HealthRule ${other} already: keep one`)];
      judged.set(`${apiVersion} ${kind}`, name);
      bytes += Buffer.byteLength([current, inProgress, failed].join(""));
      const message = "makes the HealthRules larger than 128 KiB together: write shorter ones";
      return bytes > maxHealthRuleBytes ? [problem(document, ["spec"], message)] : [];
    });
}

const problem = (document: FleetDocument, path: FieldPath, message: string): CrossProblem => ({
  file: document.origin.file,
  line: document.lineOf(path),
  field: fieldName(path),
  message,
  document,
  fatal: true,
});
