import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Cluster } from "#agent/cluster/cluster.ts";
import { parseJson, stringifyJson } from "#proto/json.ts";
import type { KubeObject } from "#proto/object.ts";
import { createAuthority } from "#test/harness/authority.ts";

/** What a webhook says of one object: allowed, denied because, or changed by a JSON patch. */
export type Verdict = { readonly denied?: string; readonly patch?: readonly object[] };

export type Webhook = AsyncDisposable & {
  /** How often it was asked. */
  readonly asked: () => number;
  /** Nobody listens any more, until it is disposed. */
  close(): Promise<void>;
};

export type WebhookOptions = {
  readonly kind: "Validating" | "Mutating";
  /** Of the configuration; the webhook looks at ConfigMaps in the namespace of that name. */
  readonly name: string;
  readonly namespace: string;
  /** One second, if it is not said. */
  readonly timeoutSeconds?: number;
  judge(object: KubeObject): Verdict | Promise<Verdict>;
};

/** An admission webhook on loopback, and its configuration at the API server: its failures refuse the object. */
export async function startWebhook(people: Cluster, options: WebhookOptions): Promise<Webhook> {
  const authority = await createAuthority();
  const own = await authority.issue("CN=webhook", { dns: ["localhost"], ips: ["127.0.0.1"] });
  let asked = 0;
  const server = createServer({ cert: own.certificatePem, key: own.keyPem }, (incoming, answer) => {
    void (async () => {
      const chunks = await Array.fromAsync(incoming as AsyncIterable<Buffer>);
      const review = parseJson(Buffer.concat(chunks).toString("utf8")) as unknown as {
        request: { uid: string; object: KubeObject };
      };
      asked += 1;
      const { denied, patch } = await options.judge(review.request.object);
      const response = {
        uid: review.request.uid,
        allowed: denied === undefined,
        ...(denied === undefined ? {} : { status: { code: 403, message: denied } }),
        ...(patch === undefined
          ? {}
          : { patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") }),
      };
      answer.writeHead(200, { "content-type": "application/json" });
      answer.end(stringifyJson({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response }));
    })();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const configuration = await people.create({
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: `${options.kind}WebhookConfiguration`,
    metadata: { name: options.name },
    webhooks: [
      {
        name: `${options.name}.example.com`,
        clientConfig: {
          url: `https://127.0.0.1:${port}/`,
          caBundle: Buffer.from(authority.certificatePem).toString("base64"),
        },
        rules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: ["configmaps"] }],
        namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": options.namespace } },
        failurePolicy: "Fail",
        timeoutSeconds: options.timeoutSeconds ?? 1,
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
      },
    ],
  });
  const close = async (): Promise<void> => {
    if (!server.listening) return;
    server.closeAllConnections();
    await once(server.close(), "close");
  };
  return {
    asked: () => asked,
    close,
    async [Symbol.asyncDispose]() {
      const { name, uid = "" } = configuration.metadata;
      const { apiVersion, kind } = configuration;
      await people.delete({ apiVersion, group: "admissionregistration.k8s.io", kind, namespace: "", name }, { uid });
      await close();
    },
  };
}
