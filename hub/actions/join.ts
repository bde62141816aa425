import { X509Certificate } from "node:crypto";
import { agentManifests } from "#hub/api/paste.ts";
import { tenantFlags } from "#hub/api/tenant-profile.ts";
import { fingerprintOf } from "#proto/fingerprint.ts";
import type { TenantProfile } from "#proto/token.ts";
import type { ActionParts } from "./parts.ts";

type JoinParts = Pick<ActionParts, "identity" | "grpcAddress" | "agentImage">;
type Join = { readonly command: string; readonly paste: string };

/** The one line that joins a cluster, and the manifests that do the same. */
export function joinOf({ identity, grpcAddress, agentImage }: JoinParts, token: string, tenant?: TenantProfile): Join {
  const ca = new X509Certificate(identity.authority.certificatePem);
  const caPin = fingerprintOf(ca.raw);
  const line = { hub: grpcAddress, token, caPin, root: identity.fingerprint };
  const flags = tenant === undefined ? "" : ` ${tenantFlags(tenant)}`;
  const command = `plumb agent join --hub ${line.hub} --ca-pin ${caPin} --root ${line.root} --token ${token}${flags} --kubeconfig FILE`;
  return {
    command,
    paste: agentManifests({ ...line, image: agentImage, ...(tenant === undefined ? {} : { tenant }) }),
  };
}
