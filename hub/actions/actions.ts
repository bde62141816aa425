import { readFile } from "node:fs/promises";
import { X509Certificate } from "node:crypto";
import { stringify } from "yaml";
import type { Actions, Outcome } from "#hub/api/actions.ts";
import type { Actor } from "#hub/api/authorise.ts";
import { agentManifests } from "#hub/api/paste.ts";
import { tenantFlags } from "#hub/api/tenant-profile.ts";
import { describeFollow } from "#hub/decide/inputs.ts";
import { kinds } from "#hub/fleet/kinds/kinds.ts";
import type { Fleet } from "#hub/fleet/fleet.ts";
import { createDeliveries } from "#hub/git/deliveries.ts";
import { checkWebhook } from "#hub/git/webhook.ts";
import type { GitSigner } from "#hub/git/sign.ts";
import type { Identity } from "#hub/identity/identity.ts";
import { refuse, type Refusal } from "#hub/loop/refusal.ts";
import type { RecordStore } from "#hub/loop/records.ts";
import { findRevision } from "#hub/loop/find-revision.ts";
import { createAcceptRewrite } from "#hub/loop/accept-rewrite.ts";
import type { Source } from "#hub/loop/sources.ts";
import { describeStop } from "#hub/loop/stops.ts";
import type { Clock } from "#lib/clock.ts";
import { clusterId, environmentName, applicationName, isDnsLabel, type ClusterId, type Revision } from "#proto/ids.ts";
import {
  checkJoinToken,
  joinTokenLifeMs,
  mintJoinToken,
  tenantBytes,
  tenantBytesLimit,
  type TenantProfile,
} from "#proto/token.ts";
import { fingerprintOf } from "#proto/fingerprint.ts";

const pushTries = 5;
export const provedLooks = 10;
export const provedLookMs = 200;

export type ActionParts = {
  readonly identity: Identity;
  readonly signer: GitSigner;
  readonly fleetSource: Source;
  readonly branch: string;
  readonly folder: string;
  readonly fleet: () => Fleet;
  /** Reads the fleet's newest commit. */
  readonly refresh: () => Promise<void>;
  /** Decides once more with everything heard until now. */
  readonly round: () => Promise<void>;
  readonly sourceOf: (application: string) => Source | undefined;
  readonly sourceByName: (name: string) => Source | undefined;
  readonly webhookSecretFile: (repository: string) => string | undefined;
  readonly records: RecordStore;
  /** Whether any cluster has said that it runs, or holds, it. */
  readonly isReported: (application: string) => boolean;
  /** Revisions that documents of clusters name, of one repository; for the fleet's own, its commits too. */
  readonly inUse: (source: Source) => Iterable<Revision>;
  readonly revoked: (cluster: ClusterId, because: string) => Promise<void>;
  readonly grpcAddress: string;
  readonly agentImage: string;
  readonly clock: Clock;
};

/** What people do through the API: commits on `main` that the hub signs, with who asked in their trailers. */
export function createActions(parts: ActionParts): Actions {
  const { identity, fleetSource, clock, records } = parts;

  /** Commits on top of whatever `main` is, checking again each time it has moved. */
  const change = async <Value>(
    actor: Actor,
    compute: (
      fleet: Fleet,
    ) => { path: string; document: object | null; subject: string; reason: string; value: Value } | Refusal,
  ): Promise<Outcome<Value & { commit: string; file: string }>> => {
    for (let attempt = 1; attempt <= pushTries; attempt += 1) {
      await parts.refresh();
      const stop = fleetSource.stops().find((stop) => stop.branch === parts.branch);
      // A commit on top of a history that nobody accepted would accept it.
      if (stop !== undefined)
        return refuse(
          409,
          describeStop(stop),
          `plumb accept-rewrite ${fleetSource.name} ${parts.branch}, or push back what was there`,
        );
      const computed = compute(parts.fleet());
      if ("ok" in computed) return computed;
      const { path, document, subject, reason, value } = computed;
      const trailers = [
        `Plumbline-Actor: ${actor.name}`,
        ...(reason === "" ? [] : [`Plumbline-Reason: ${oneLine(reason)}`]),
      ];
      const pushed = await fleetSource.commit(
        {
          branch: parts.branch,
          expect: fleetSource.head(parts.branch),
          files: new Map([[path, document === null ? null : stringify(document)]]),
          message: `${subject}\n\n${trailers.join("\n")}\n`,
        },
        parts.signer,
      );
      if (pushed.kind === "pushed") {
        await parts.refresh();
        return { ok: true, ...value, commit: pushed.commit, file: path };
      }
      if (pushed.kind === "declined")
        return refuse(
          409,
          `${parts.branch} does not take the hub's commit: ${pushed.because}`,
          `commit ${path} yourself, or let the hub push`,
        );
      await fleetSource.following.look();
    }
    return refuse(503, `${parts.branch} keeps moving`, "try again");
  };

  /** Also what Git has dropped since: that is what Removals are for. */
  const isHeardOf = (fleet: Fleet, application: string): boolean =>
    [...fleet.applications.values()].some(({ name }) => name === application) ||
    records.now().rollouts.some((rollout) => rollout.application === application) ||
    parts.isReported(application);
  const isHeard = createDeliveries();
  const acceptOf = createAcceptRewrite(parts);
  const joinOf = (token: string, tenant?: TenantProfile) => {
    const ca = new X509Certificate(identity.authority.certificatePem);
    const caPin = fingerprintOf(ca.raw);
    const line = { hub: parts.grpcAddress, token, caPin, root: identity.fingerprint };
    const flags = tenant === undefined ? "" : ` ${tenantFlags(tenant)}`;
    const command = `plumb agent join --hub ${line.hub} --ca-pin ${caPin} --root ${line.root} --token ${token}${flags} --kubeconfig FILE`;
    return {
      line,
      command,
      paste: agentManifests({ ...line, image: parts.agentImage, ...(tenant === undefined ? {} : { tenant }) }),
    };
  };

  return {
    async register(actor, { name, labels, tenant }) {
      if (!isDnsLabel(name))
        return refuse(
          400,
          `${name} cannot be a cluster's name`,
          "use lower-case letters, digits and hyphens, at most 63",
        );
      if (tenant !== undefined && tenantBytes(tenant) > tenantBytesLimit)
        return refuse(
          400,
          `the tenant's namespaces, kinds and ServiceAccounts are ${tenantBytes(tenant)} bytes, at most ${tenantBytesLimit} fit into a join token`,
          "list fewer, or widen the limits and Roles on the cluster itself: docs/authority.md",
        );
      const cluster = clusterId(name);
      await records.load();
      const record = records.now().clusters.get(cluster);
      if (record !== undefined)
        return refuse(
          409,
          `${name} has ${record.revoked ? "been revoked" : "joined already"}`,
          "a name is used once: register another",
        );
      const document = { apiVersion: "plumbline.dev/v1", kind: "Cluster", metadata: { name, labels } };
      const checked = kinds.Cluster.safeParse(document);
      if (!checked.success) return refuse(400, `a label is not valid: ${checked.error.issues[0]?.message ?? ""}`, "");
      const path = `${parts.folder}/clusters/${name}.yaml`;
      const known = parts.fleet().clusters.get(cluster);
      const outcome =
        known === undefined
          ? await change(actor, () => ({ path, document, subject: `register ${name}`, reason: "", value: {} }))
          : ({ ok: true, commit: fleetSource.head(parts.branch) ?? "", file: known.file } as const);
      if (!outcome.ok) return outcome;
      const token = mintJoinToken(cluster, identity.tokenSecret, clock.now(), tenant);
      const { command, paste } = joinOf(token, tenant);
      const expiresAt = new Date(clock.now() + joinTokenLifeMs).toISOString();
      return {
        ok: true,
        cluster: name,
        commit: outcome.commit,
        file: outcome.file,
        joinCommand: command,
        paste,
        expiresAt,
      };
    },

    async revoke(actor, name, reason) {
      await records.load();
      const cluster = isDnsLabel(name) ? clusterId(name) : undefined;
      const record = cluster && records.now().clusters.get(cluster);
      if (cluster === undefined || record === undefined)
        return refuse(404, `${name} has not joined`, "plumb cluster list shows those that did");
      await records.revoke(cluster, reason === "" ? `revoked by ${actor.name}` : `${reason} (${actor.name})`);
      await parts.revoked(cluster, reason);
      return { ok: true, commit: records.now().commit, file: `clusters/${name}.yaml` };
    },

    async promote(actor, { environment, application, revision, reason, allowPrune }) {
      const source = parts.sourceOf(application);
      if (source === undefined)
        return refuse(404, `there is no application ${application}`, "plumb status shows those there are");
      const asked = revision ?? (await provedSoon(parts, environment, application));
      if (asked === undefined)
        return (
          notPromotable(parts.fleet(), environment, application) ??
          refuse(
            409,
            `no revision of ${application} has been proved before ${environment}`,
            "wait for the environment before it, or name a revision",
          )
        );
      const found = await findRevision(source, asked, clock);
      if (found === undefined)
        return refuse(
          404,
          `${asked} is no commit of ${application}'s repository${afterThat(source.problem())}`,
          "push it first, or name more digits",
        );
      return change(actor, (fleet) => {
        const refused = notPromotable(fleet, environment, application);
        if (refused !== undefined) return refused;
        const spec = {
          environment,
          application,
          revision: found,
          ...(reason === "" ? {} : { reason }),
          ...(allowPrune === undefined ? {} : { allowPrune }),
        };
        const document = { apiVersion: "plumbline.dev/v1", kind: "Promotion", metadata: { name: application }, spec };
        const before = fleet.promotions.get(`${environment}/${application}`);
        const path = before?.file ?? `${parts.folder}/promotions/${environment}/${application}.yaml`;
        return {
          path,
          document,
          subject: `promote ${application} ${found.slice(0, 7)} to ${environment}`,
          reason,
          value: { revision: found },
        };
      });
    },

    remove: (actor, { application, scope, mode, reason }) =>
      change(actor, (fleet) => {
        const where = "environment" in scope ? scope.environment : scope.cluster;
        if (!isDnsLabel(application) || !isDnsLabel(where))
          return refuse(400, "names are lower-case letters, digits and hyphens", "");
        const isKnown =
          "environment" in scope
            ? fleet.environments.has(environmentName(where))
            : fleet.clusters.has(clusterId(where));
        if (!isKnown)
          return refuse(
            404,
            `there is no ${"environment" in scope ? "environment" : "cluster"} ${where}`,
            `${"environment" in scope ? "plumb status" : "plumb cluster list"} shows those there are`,
          );
        // It would lie in wait for the Application that is called so one day.
        if (!isHeardOf(fleet, application))
          return refuse(
            404,
            `there is no application ${application}: neither Git, the record nor any cluster knows it`,
            "plumb status shows those there are; for a cluster that is away, commit the Removal yourself",
          );
        const name = `${applicationName(application)}-${where}`.slice(0, 63).replace(/-+$/, "");
        const spec = { application, ...scope, mode, reason: reason === "" ? `asked by ${actor.name}` : reason };
        const document = { apiVersion: "plumbline.dev/v1", kind: "Removal", metadata: { name }, spec };
        const verb = mode === "delete" ? "remove" : "let go of";
        return {
          path: `${parts.folder}/removals/${name}.yaml`,
          document,
          subject: `${verb} ${application} in ${where}`,
          reason,
          value: {},
        };
      }),

    acceptRewrite: acceptOf,

    paste(cluster, token) {
      const check = checkJoinToken(token, identity.tokenSecret, clock.now());
      if (!check.ok || check.token.cluster !== cluster) return undefined;
      return joinOf(token, check.token.tenant).paste;
    },

    async webhook(repository, headers, body) {
      const source = parts.sourceByName(repository);
      const file = parts.webhookSecretFile(repository);
      if (source === undefined || file === undefined) return { ok: false, because: "no webhook is expected here" };
      const secret = await readFile(file, "utf8").catch(() => undefined);
      if (secret === undefined) return { ok: false, because: "the file of the webhook's secret cannot be read" };
      const check = checkWebhook(headers, body, secret.trim(), clock.now());
      if (!check.ok) return check;
      // Said again, or by somebody who listened: it was looked at.
      if (!isHeard(repository, headers)) source.following.poke();
      return { ok: true, because: "" };
    },
  };
}

/** Why nothing can be promoted there, whatever the revision. */
function notPromotable(fleet: Fleet, environment: string, application: string): Refusal | undefined {
  const target = [...fleet.environments.values()].find(({ name }) => name === environment);
  const app = [...fleet.applications.values()].find(({ name }) => name === application);
  if (target === undefined)
    return refuse(404, `there is no environment ${environment}`, "plumb status shows those there are");
  if (app?.environments.includes(target.name) !== true)
    return refuse(
      409,
      `${application} is not delivered to ${environment}`,
      "add it to the Application's environments first",
    );
  if ("follow" in target.revisions)
    return refuse(
      409,
      `${environment} follows ${describeFollow(target.revisions.follow)}: it takes no promotions`,
      "change what it follows, in Git, instead",
    );
  return undefined;
}

/** A person who saw the environment before turn green asks at once; its receipts arrive within the second. */
async function provedSoon(parts: ActionParts, environment: string, application: string): Promise<string | undefined> {
  for (let look = 0; ; look += 1) {
    await parts.round();
    const found = newestQualified(parts.fleet(), parts.records, environment, application);
    if (found !== undefined || look === provedLooks) return found;
    await parts.clock.sleep(provedLookMs);
  }
}

const afterThat = (problem: string): string => (problem === "" ? "" : `, which cannot be reached now: ${problem}`);

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ").trim();

function newestQualified(
  fleet: Fleet,
  records: RecordStore,
  environment: string,
  application: string,
): string | undefined {
  const target = [...fleet.environments.values()].find(({ name }) => name === environment);
  if (target === undefined || !("promotedFrom" in target.revisions)) return undefined;
  const qualified = target.revisions.promotedFrom.map(
    (from) =>
      records.now().rollouts.find((record) => record.environment === from && record.application === application)
        ?.qualified ?? [],
  );
  const [first = [], ...others] = qualified;
  return first.findLast((revision) => others.every((list) => list.includes(revision)));
}
