import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { kubeconfigAccess } from "#agent/cluster/access.ts";
import { openKubernetes } from "#agent/cluster/kubernetes.ts";
import { openTransport } from "#agent/cluster/transport.ts";
import type { KubeObject } from "#proto/object.ts";
import type { ControlPlane } from "#test/harness/control-plane.ts";
import { printedObjects, printedSettings } from "#test/harness/printed-settings.ts";
import { startProcess, type RunningProcess } from "#test/harness/process.ts";

/**
 * Applies the manifests that `plumb cluster register` prints, and does what a kubelet does for their one Pod: gives the
 * agent's program its Secret as environment, the API server's address, and its service account's token.
 */
export async function startAgentPod(
  plane: ControlPlane,
  paste: string,
  program: string,
  folder: string,
): Promise<RunningProcess> {
  const objects = printedObjects(paste);
  const access = await kubeconfigAccess(plane.adminKubeconfig);
  await using people = openKubernetes(access, { manager: "kubectl" });
  for (const object of objects) await people.apply(object);
  const found = (kind: string): KubeObject => objects.find((object) => object.kind === kind)!;
  const { namespace, name } = found("ServiceAccount").metadata;
  await using transport = openTransport(access);
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 3_600 } };
  const granted = (await transport.call({ method: "POST", path, contentType: "application/json", body })) as {
    status: { token: string };
  };
  const account = join(folder, "service-account");
  await mkdir(account, { recursive: true });
  await writeFile(join(account, "ca.crt"), plane.caPem);
  await writeFile(join(account, "token"), granted.status.token);
  const server = new URL(plane.server);
  return startProcess(process.execPath, [program], {
    env: {
      ...(found("Secret")["stringData"] as Record<string, string>),
      ...printedSettings(paste),
      KUBERNETES_SERVICE_HOST: server.hostname,
      KUBERNETES_SERVICE_PORT: server.port,
      PLUMBLINE_SERVICE_ACCOUNT_FOLDER: account,
    },
  });
}
