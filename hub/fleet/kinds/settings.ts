import { z } from "zod";
import { compileCel } from "#lib/cel.ts";
import { application, cluster, environment, reference, subject, text, unique } from "../fields.ts";

const address = z.string().superRefine((text, context) => {
  const problem = addressProblem("git", text);
  if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
});

const digits = z
  .union([z.string(), z.int()])
  .transform(String)
  .refine((text) => /^[0-9]{1,20}$/.test(text), { error: "must be the number that the app's settings show" });

const githubApp = z.strictObject({
  id: digits,
  installation: digits,
  /** https://HOST/api/v3 of a GitHub of one's own. */
  api: address.default("https://api.github.com"),
});

export const repositorySpec = z
  .strictObject({
    /** What lies there: Git, a Helm repository (an index.yaml and archives), or charts in an OCI registry. */
    type: z.enum(["git", "helm", "oci"]).default("git"),
    url: text.max(2_048),
    /** Over https "user:password" or a token; over ssh a private key; with githubApp the app's private key. */
    credentials: reference.optional(),
    /** How a token is shown: most forges want it as the password of basic, some as a bearer. */
    authorization: z.enum(["basic", "bearer"]).default("basic"),
    /** The authorities, in PEM, that the server's certificate may come from, instead of those of the system. */
    ca: reference.optional(),
    clientCertificate: z.strictObject({ certificate: reference, key: reference }).optional(),
    githubApp: githubApp.optional(),
    /** Lines as in known_hosts; required by ssh. */
    hostKeys: unique(text).default([]),
    webhookSecret: reference.optional(),
  })
  .superRefine(({ type, url, credentials, hostKeys, ca, clientCertificate, githubApp }, context) => {
    const problem = addressProblem(type, url);
    if (problem !== undefined) context.addIssue({ code: "custom", path: ["url"], message: problem });
    if (githubApp !== undefined && credentials === undefined)
      context.addIssue({
        code: "custom",
        path: ["credentials"],
        message: "must name the private key of the GitHub App",
      });
    if (type !== "git" && githubApp !== undefined)
      context.addIssue({ code: "custom", path: ["githubApp"], message: "is for Git repositories" });
    if (!url.startsWith("ssh://")) return;
    for (const [name, value] of Object.entries({ ca, clientCertificate, githubApp }))
      if (value !== undefined) context.addIssue({ code: "custom", path: [name], message: "is for https:// addresses" });
    if (hostKeys.length === 0)
      context.addIssue({
        code: "custom",
        path: ["hostKeys"],
        message: "must name a line of known_hosts: over ssh no server is taken on trust",
      });
    if (credentials === undefined)
      context.addIssue({ code: "custom", path: ["credentials"], message: "must name a private key, which ssh needs" });
  });

const rolesError = { error: "must be viewer, approver, operator, admin, or promoter with its environments" };
const role = z
  .union(
    [z.enum(["viewer", "approver", "operator", "admin"]), z.strictObject({ promoter: unique(environment).min(1) })],
    rolesError,
  )
  .transform((role) =>
    typeof role === "string" ? { role } : { role: "promoter" as const, environments: role.promoter },
  );

export const accessSpec = z.strictObject({
  grants: z.array(z.strictObject({ to: unique(subject).min(1), roles: z.array(role).min(1) })).default([]),
  tokens: z
    .array(
      z.strictObject({
        name: text.max(63),
        sha256: z.string().regex(/^[0-9a-f]{64}$/, { error: "must be the SHA-256 of the token in hex" }),
        roles: z.array(role).min(1),
      }),
    )
    .default([]),
});

const cel = text.max(10_000).superRefine((text, context) => {
  const compiled = compileCel(text);
  if (!compiled.ok) context.addIssue({ code: "custom", message: `is no rule in CEL: ${compiled.problem}` });
});
/** CEL over `object`, tried in the order failed, inProgress, current; none true is Unknown. */
export const healthRuleSpec = z
  .strictObject({
    apiVersion: z
      .string()
      .regex(/^(?:[a-z0-9.-]+\/)?v[0-9a-z]+$/, { error: "must be an apiVersion such as example.com/v1" }),
    kind: text,
    current: cel,
    inProgress: cel.optional(),
    failed: cel.optional(),
  })
  .transform(({ inProgress, failed, ...rule }) => ({
    ...rule,
    inProgress: inProgress ?? null,
    failed: failed ?? null,
  }));

/** Empty lists match everything. The address is a secret: whoever knows it may write there. */
export const notificationSpec = z.strictObject({
  events: unique(z.string().regex(/^[a-z][a-z-]*$/, { error: "is no type of event" })).min(1),
  environments: unique(environment).default([]),
  applications: unique(application).default([]),
  clusters: unique(cluster).default([]),
  to: z.strictObject({ kind: z.enum(["webhook", "slack", "teams"]), address: reference }),
});

const accepted = {
  git: {
    schemes: /^(?:https?|ssh):\/\//,
    said: "must be an https:// or ssh:// address",
    hint: " (ssh://git@host/path for the short ssh form)",
  },
  helm: { schemes: /^https?:\/\//, said: "must be an https:// address, as `helm repo add` takes it", hint: "" },
  oci: { schemes: /^oci:\/\//, said: "must be an oci:// address of the folder that holds the charts", hint: "" },
} as const;

/** Whether this hub may reach the host is its own setting, checked when it connects. Never repeats the address. */
function addressProblem(type: keyof typeof accepted, text: string): string | undefined {
  const { schemes, said, hint } = accepted[type];
  if (!schemes.test(text)) return `${said}${hint}`;
  if (!URL.canParse(text)) return said;
  const url = new URL(text);
  if (url.password !== "" || (url.username !== "" && url.protocol !== "ssh:"))
    return "holds credentials: take them out, revoke them, and name new ones under credentials";
  if (url.search !== "" || url.hash !== "") return "must end with the path: no query, which may hold credentials";
  return /[\s\p{Cc}]/u.test(text) || url.hostname.startsWith("-") ? said : undefined;
}
