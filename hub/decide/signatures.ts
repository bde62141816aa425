import type { EntryKey } from "#proto/desired-state.ts";
import type { Revision } from "#proto/ids.ts";
import { keyOf, type DeclaredEnvironment, type Follow, type Inputs, type SignatureAsk } from "./inputs.ts";
import { recordOf } from "./prove.ts";

/** Why signatures keep something where it is, and what must be examined to know. */
export type Unsigned = { readonly because: string; readonly examine: readonly SignatureAsk[] };

/**
 * Undefined when an environment's signatures allow a revision, and the document that asks for it. What the environment
 * ran before needs no signature again; a document that asks for it does.
 */
export function unsignedRevision(
  key: EntryKey,
  environment: Pick<DeclaredEnvironment, "signatures">,
  asked: { readonly revision: Revision; readonly file: string | undefined; readonly follow?: Follow },
  inputs: Inputs,
): Unsigned | undefined {
  const { signatures: require } = environment;
  if (require === "off") return undefined;
  const { revision, file, follow } = asked;
  const tags = follow === undefined || typeof follow === "string" || "commit" in follow ? {} : { tags: follow };
  const since = trustedBefore(key, inputs);
  const asks: SignatureAsk[] = [];
  if (file !== undefined) asks.push({ kind: "request", environment: key.environment, file });
  if (!since.includes(revision))
    asks.push({
      kind: "revision",
      application: key.application,
      environment: key.environment,
      revision,
      require,
      since,
      ...tags,
    });
  return firstClosed(asks, inputs);
}

/**
 * Undefined when a document may ask something of this environment. One that is not declared, or cannot be read, may ask for
 * signatures: nothing is done for it.
 */
export function unsignedRequest(key: EntryKey, file: string, inputs: Inputs): Unsigned | undefined {
  const environment = inputs.environments.get(key.environment);
  if (environment === undefined)
    return {
      because: `the Environment ${key.environment} is not declared or cannot be read, so nobody can tell whose signature it asks for: declare it, or mend it, until the Removal is done`,
      examine: [],
    };
  if (environment.signatures === "off") return undefined;
  return firstClosed([{ kind: "request", environment: key.environment, file }], inputs);
}

function firstClosed(asks: readonly SignatureAsk[], inputs: Inputs): Unsigned | undefined {
  const answers = asks.map((ask) => ({ ask, answer: inputs.trust(ask) }));
  const examine = answers.filter(({ answer }) => answer === undefined).map(({ ask }) => ask);
  if (examine.length > 0) return { because: "its signatures are being checked", examine };
  for (const { ask, answer } of answers)
    if (answer?.kind === "refused") {
      const what = ask.kind === "revision" ? `${ask.revision.slice(0, 7)} waits, ` : "";
      return { because: `${what}${ask.environment} takes only what is signed: ${answer.because}`, examine: [] };
    }
  return undefined;
}

/** What ran here whole, and what clusters run now. */
function trustedBefore(key: EntryKey, inputs: Inputs): Revision[] {
  const running = [...inputs.signed.values()].flatMap((entries) =>
    entries.flatMap((entry) => (entry.kind === "run" && keyOf(entry) === keyOf(key) ? [entry.revision] : [])),
  );
  return [...new Set([...recordOf(key, inputs).completed, ...running])];
}
