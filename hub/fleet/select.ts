import type { ClusterId, EnvironmentName } from "#proto/ids.ts";

/** What a path or a value may be filled with. */
export type Parameters = {
  readonly environment: EnvironmentName;
  readonly cluster: { readonly name: ClusterId; readonly labels: Readonly<Record<string, string>> };
};

export type Substituted =
  | { readonly ok: true; readonly text: string; /** So its rendering cannot be shared. */ readonly perCluster: boolean }
  | { readonly ok: false; readonly problem: string };

// `$${` stands for a plain `${`; a `${` that is never closed is text.
const parameter = /\$?\$\{([^{}\n]*)\}/g;
const labelParameter = /^cluster\.labels\.(.+)$/;

/** Fills a text's parameters. A parameter that does not exist, or that this cluster has no label for, is a problem. */
export function substitute(text: string, parameters: Parameters): Substituted {
  let perCluster = false;
  let problem: string | undefined;
  const filled = text.replaceAll(parameter, (whole, name: string) => {
    if (whole.startsWith("$$")) return whole.slice(1);
    const value = valueOf(name, parameters);
    if (value === undefined) problem ??= missing(whole, name, parameters);
    perCluster ||= name.startsWith("cluster.");
    return value ?? "";
  });
  return problem === undefined ? { ok: true, text: filled, perCluster } : { ok: false, problem };
}

/** The parameters of a text that no target could ever have, as they are written. */
export function unknownParameters(text: string): string[] {
  const written = [...text.matchAll(parameter)].filter(([whole]) => !whole.startsWith("$$"));
  return written.filter(([, name]) => !isKnown(name!)).map(([whole]) => whole);
}

const isKnown = (name: string): boolean =>
  name === "environment" || name === "cluster.name" || labelParameter.test(name);

function valueOf(name: string, { environment, cluster }: Parameters): string | undefined {
  if (name === "environment") return environment;
  if (name === "cluster.name") return cluster.name;
  const label = labelParameter.exec(name)?.[1];
  return label !== undefined && Object.hasOwn(cluster.labels, label) ? cluster.labels[label] : undefined;
}

const missing = (whole: string, name: string, { cluster }: Parameters): string =>
  isKnown(name)
    ? `${whole}: cluster ${cluster.name} has no label ${name.slice("cluster.labels.".length)}`
    : `${whole} is no parameter: there are \${environment}, \${cluster.name} and \${cluster.labels.NAME}`;

/** Every parameter of a target by its name, as it is written between the braces. */
export const parameterValues = ({ environment, cluster }: Parameters): Record<string, string> => ({
  environment,
  "cluster.name": cluster.name,
  ...Object.fromEntries(Object.entries(cluster.labels).map(([name, value]) => [`cluster.labels.${name}`, value])),
});
