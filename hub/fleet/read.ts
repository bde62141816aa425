import { checkTogether } from "./check.ts";
import { readDocument, type FailedDocument, type FleetDocument, type ReadDocument } from "./document.ts";
import { collections, promotionKey, type Fleet } from "./fleet.ts";
import type { FleetProblem } from "./problem.ts";
import { isLfsPointer } from "#hub/git/lfs.ts";
import { readYaml } from "./yaml.ts";

/** 4,000 Clusters fit into one file; the worst text of this length keeps its reader busy for two seconds, not minutes. */
const maxFileBytes = 512 * 1024;

export type FleetFile = { readonly path: string; readonly bytes: Uint8Array };

export type FleetReading = { readonly fleet: Fleet; readonly problems: readonly FleetProblem[] };

/**
 * The fleet that files declare; only `*.yaml` and `*.yml` are read. Never throws: a document with a problem is left out
 * and named in `fleet.failed`, and the others go on.
 */
export const readFleet = (files: readonly FleetFile[]): FleetReading => fleetReader()(files);

/** Reads one commit after the other, and parses only the files that changed since the one before. */
export function fleetReader(): (files: readonly FleetFile[]) => FleetReading {
  let known = new Map<string, Known>();
  return (files) => {
    const read = files
      .filter(({ path }) => /\.ya?ml$/i.test(path))
      .toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
      .map((file): [string, Known] => [file.path, unchanged(known.get(file.path), file) ?? readFile(file)]);
    known = new Map(read);
    return together(read.flatMap(([, { documents }]) => documents));
  };
}

type Known = { readonly bytes: Uint8Array; readonly documents: readonly ReadDocument[] };

/** With its newest bytes: they are part of all that git answered, and those of each older commit would keep all of that. */
const unchanged = (known: Known | undefined, { bytes }: FleetFile): Known | undefined =>
  known && (known.bytes === bytes || Buffer.compare(known.bytes, bytes) === 0) ? { ...known, bytes } : undefined;

function together(read: readonly ReadDocument[]): FleetReading {
  const documents = read.filter((document) => document.ok);
  const broken = read.filter((document) => !document.ok);
  const failed = broken.map(({ failed }) => failed);
  const problems = checkTogether(documents, failed);
  const leftOut = new Set(problems.filter(({ fatal }) => fatal).map(({ document }) => document));
  const fleet = assemble(
    documents.filter((document) => !leftOut.has(document)),
    [...failed, ...[...leftOut].map(failedOf)],
  );
  const between = problems.map(({ file, line, field, message }) => ({ file, line, field, message }));
  return { fleet, problems: inOrder([...broken.flatMap(({ problems }) => problems), ...between]) };
}

function readFile({ path, bytes }: FleetFile): Known {
  if (bytes.length > maxFileBytes)
    return { bytes, documents: [unreadable(path, "is larger than 512 KiB: cut it into several files")] };
  if (isLfsPointer(bytes))
    return { bytes, documents: [unreadable(path, "is a Git LFS pointer: commit the file itself")] };
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return { bytes, documents: [unreadable(path, "is not UTF-8 text")] };
  }
  return { bytes, documents: readYaml(text).map((document) => readDocument(path, document)) };
}

const unreadable = (file: string, message: string): ReadDocument => ({
  ok: false,
  failed: { file, line: 1, kind: null, name: null, environment: null },
  problems: [{ file, line: 1, field: "", message }],
});

const failedOf = ({ kind, value, origin }: FleetDocument): FailedDocument => ({
  ...origin,
  kind,
  name: value.name,
  environment: kind === "Promotion" ? value.environment : null,
});

function assemble(documents: readonly FleetDocument[], failed: readonly FailedDocument[]): Fleet {
  const maps = Object.fromEntries(Object.values(collections).map((name) => [name, new Map<string, unknown>()]));
  for (const { kind, value, origin } of documents)
    maps[collections[kind]]!.set(kind === "Promotion" ? promotionKey(value) : value.name, { ...value, ...origin });
  // Each map was filled with its own kind alone, which the compiler cannot see.
  return { ...maps, failed } as unknown as Fleet;
}

const inOrder = (problems: readonly FleetProblem[]): FleetProblem[] =>
  problems.toSorted((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1));
