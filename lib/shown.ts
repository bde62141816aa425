/** Longest part of a reason: a sentence or two of somebody else's. */
const shownCharacters = 300;

const hidden: readonly (readonly [RegExp, string])[] = [
  // Whoever sends control characters to a terminal may be no friend of its owner.
  [/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\s]+/gu, " "],
  [/:\/\/[^/@\s]+@/g, "://…@"],
  [/\b(bearer|basic)\s+\S+/gi, "$1 …"],
  [/((?:passw(?:or)?d|passwd|pwd|secret|token|credentials?|(?:api|access|private)[-_]?key)["']?\s*=\s*)\S+/gi, "$1…"],
  [/("(?:\w*(?:passw(?:or)?d|secret|token|key))"\s*:\s*)"[^"]*"/gi, '$1"…"'],
  // Keys and tokens are long runs without a space or a dash; names and words are not.
  [/[A-Za-z0-9+/_=]{40,}/g, "…"],
];

/**
 * What somebody else wrote, as it may be shown: one line, bounded, and without what looks like a credential. A message of
 * a probe or a webhook may quote anything.
 */
export function shown(text: string, limit = shownCharacters): string {
  // Nothing beyond is shown anyway: a message of a megabyte is not looked through.
  const line = hidden.reduce((line, [found, by]) => line.replace(found, by), text.slice(0, 8 * limit)).trim();
  return line.length > limit ? `${line.slice(0, limit - 1).trimEnd()}…` : line;
}
