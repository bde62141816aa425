import { ask } from "#cli/client.ts";
import type { CliConfig } from "#cli/config.ts";
import { usage } from "#cli/errors.ts";
import { plain, print, symbol, type Format } from "#cli/output.ts";
import type { WhyAnswer } from "#proto/api.ts";

/** `plumb why CLUSTER APPLICATION [OBJECT]`, or `plumb why ENVIRONMENT/APPLICATION [CLUSTER] [OBJECT]`. */
export async function why(
  config: CliConfig,
  words: readonly string[],
  options: { readonly output: Format },
): Promise<void> {
  const query = new URLSearchParams(questionOf(words));
  const answer = await ask<WhyAnswer>(config, "GET", `/api/v1/why?${query.toString()}`);
  print(
    options.output,
    answer,
    () => whyText(config, answer),
    () => [`application/${answer.environment}/${answer.application}`],
  );
}

/** What the words ask for; a first word with a slash is an environment and an application. */
export function questionOf(words: readonly string[]): Record<string, string> {
  const [first = "", second, third, ...more] = words;
  const [environment = "", application = "", ...parts] = first.split("/");
  const isPlace = first.includes("/");
  if (isPlace && (parts.length > 0 || environment === "" || application === ""))
    throw usage(`${first} is no environment and application: write prod/api`);
  if (!isPlace && second === undefined) throw usage(`name an application too: plumb why ${first} APPLICATION`);
  const place = isPlace ? { environment, application } : { cluster: first, application: second! };
  const cluster = isPlace && second !== undefined ? { cluster: second } : {};
  // "Deployment shop/web" may come as two words.
  const object = [third, ...more].filter((word) => word !== undefined).join(" ");
  return { ...place, ...cluster, ...(object === "" ? {} : { object }) };
}

export function whyText(config: CliConfig, { summary, lines, next, commands, health }: WhyAnswer): string {
  const rows = [...lines, { about: "next", text: next }, ...commands.map((text) => ({ about: "do", text }))];
  const width = Math.max(...rows.map(({ about }) => about.length)) + 2;
  const indent = " ".repeat(width + 2);
  // The word stands once; a chain is read whole, so that no line is cut.
  const text = rows.map(({ about, text }, index) => {
    const isRepeated = rows[index - 1]?.about === about;
    return `${isRepeated ? indent : `  ${about.padEnd(width)}`}${plain(text)}\n`;
  });
  return `${symbol(config, health)} ${plain(summary)}\n${text.join("")}`;
}
