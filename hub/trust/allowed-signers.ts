import { readSshKey, sshKeyTypes, type SshKey } from "./ssh-key.ts";

/** One line of a file as git's `gpg.ssh.allowedSignersFile`: whose key it is, and when and for what it counts. */
export type AllowedSigner = {
  readonly principals: readonly string[];
  readonly key: SshKey;
  /** Milliseconds since 1970; a moment without `Z` is read as UTC. */
  readonly validAfterMs: number | null;
  readonly validBeforeMs: number | null;
};

/** What a signature is for: git's commits and tags, and nothing else that the key may sign. */
export const gitNamespace = "git";

/** `PRINCIPALS [OPTIONS] KEYTYPE KEY [COMMENT]`, as ssh-keygen(1) says. A sentence's end when it is not that. */
export function parseAllowedSigner(line: string): AllowedSigner | string {
  const words = wordsOf(line);
  if (words === undefined) return "has a quotation mark that is not closed";
  const [principals = "", second = "", ...others] = words;
  if (sshKeyTypes.includes(principals) || /^(?:sk-)?(?:ssh|ecdsa)-/.test(principals))
    return "begins with the key: put who holds it in front, as in `dev1@example.com ssh-ed25519 AAAA...`";
  const hasOptions = !sshKeyTypes.includes(second) && sshKeyTypes.includes(others[0] ?? "");
  const [type, text] = hasOptions ? [others[0], others[1]] : [second, others[0]];
  if (!sshKeyTypes.includes(type!) || text === undefined)
    return `is no line of an allowed-signers file: PRINCIPALS [OPTIONS] KEYTYPE KEY, with a key of ${sshKeyTypes.join(", ")}`;
  if (!/^[A-Za-z0-9+/]+=*$/.test(text)) return "has a key that is not base64";
  const key = readSshKey(Buffer.from(text, "base64"));
  if (typeof key === "string") return `has a key that ${key}`;
  if (key.type !== type) return `says ${type}, but its key is ${key.type}`;
  const options = hasOptions ? parseOptions(second) : { validAfterMs: null, validBeforeMs: null };
  if (typeof options === "string") return options;
  return { principals: unquoted(principals).split(","), key, ...options };
}

/** Cut at white space outside quotation marks. */
function wordsOf(line: string): string[] | undefined {
  if ((line.match(/"/g)?.length ?? 0) % 2 !== 0) return undefined;
  return line.match(/(?:"[^"]*"|[^\s"])+/g) ?? [];
}

const unquoted = (text: string): string => text.replaceAll('"', "");

type Options = Pick<AllowedSigner, "validAfterMs" | "validBeforeMs">;

function parseOptions(text: string): Options | string {
  let validAfterMs: number | null = null;
  let validBeforeMs: number | null = null;
  for (const option of text.match(/(?:"[^"]*"|[^,"])+/g) ?? []) {
    const at = option.indexOf("=");
    const name = (at === -1 ? option : option.slice(0, at)).toLowerCase();
    const value = at === -1 ? "" : unquoted(option.slice(at + 1));
    if (name === "namespaces") {
      if (!matchesList(value, gitNamespace)) return `is not for git: its namespaces are ${JSON.stringify(value)}`;
    } else if (name === "valid-after" || name === "valid-before") {
      const ms = parseMoment(value);
      if (ms === undefined) return `has a ${name} that is no YYYYMMDD[HHMM[SS]][Z]`;
      if (name === "valid-after") validAfterMs = ms;
      else validBeforeMs = ms;
    } else if (name === "cert-authority") return "names a certificate authority: only keys themselves are read";
    else return `has the option ${JSON.stringify(name)}, which is not known`;
  }
  return { validAfterMs, validBeforeMs };
}

/** OpenSSH's pattern lists: `*` and `?`, and `!` takes out. */
function matchesList(list: string, name: string): boolean {
  const matches = (pattern: string): boolean => {
    const escaped = pattern.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`);
    return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`).test(name);
  };
  const patterns = list.split(",");
  if (patterns.some((pattern) => pattern.startsWith("!") && matches(pattern.slice(1)))) return false;
  return patterns.some((pattern) => !pattern.startsWith("!") && matches(pattern));
}

function parseMoment(text: string): number | undefined {
  const found = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?Z?$/.exec(text);
  if (found === null) return undefined;
  const [, year, month, day, hour = "00", minute = "00", second = "00"] = found;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}
