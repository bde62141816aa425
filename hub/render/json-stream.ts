/**
 * Objects of JSON one after another, as `jq` writes them and kubectl reads them: each with the place where it begins. Undefined
 * for anything else, and for a single one, which is YAML like any other.
 */
export function jsonObjectsIn(text: string): { readonly text: string; readonly at: number }[] | undefined {
  if (!/^\s*\{/.test(text)) return undefined;
  const objects: { text: string; at: number }[] = [];
  for (let at = text.indexOf("{"); at < text.length;) {
    const end = endOfObject(text, at);
    if (end === undefined) return undefined;
    objects.push({ text: text.slice(at, end), at });
    const rest = /\S/.exec(text.slice(end));
    if (rest === null) break;
    if (rest[0] !== "{") return undefined;
    at = end + rest.index;
  }
  return objects.length > 1 && objects.every(({ text }) => isJson(text)) ? objects : undefined;
}

/** Behind the bracket that closes the one at `from`. */
function endOfObject(text: string, from: number): number | undefined {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const letter = text[at];
    if (letter === '"') {
      at = endOfString(text, at);
      continue;
    }
    if (letter === "{" || letter === "[") depth += 1;
    else if (letter === "}" || letter === "]") depth -= 1;
    if (depth === 0) return at + 1;
  }
  return undefined;
}

/** At the mark that closes the one at `from`. */
function endOfString(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
