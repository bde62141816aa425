import type { Wanted } from "#hub/render/manifests.ts";

/** One Application of the corpus, and the plain tool's own words for the same. */
export type CorpusCase = {
  readonly name: string;
  /** Below test/corpus. */
  readonly folder: string;
  readonly render: Wanted["render"];
  readonly namespace: string;
  readonly values?: Wanted["helm"]["values"];
  readonly tool: "kubectl" | "kustomize" | "helm";
  readonly arguments: readonly string[];
};

const template = (release: string, folder: string, namespace: string, ...more: string[]): string[] => [
  "template",
  release,
  folder,
  `--namespace=${namespace}`,
  "--include-crds",
  "--skip-tests",
  "--kube-version=1.36.0",
  ...more,
];
/** kubectl's own reading of plain files: the annotation is taken off again. */
export const marker = "corpus.plumbline.dev/read";
const read = (folder: string): string[] => ["annotate", "--local", "-R", "-f", folder, `${marker}=x`, "-o", "json"];

/**
 * kube-prometheus-stack without what cannot be here: Grafana's chart is not in the corpus, and the webhook's certificate is
 * made by hooks that run images, which nothing here does.
 */
export const stackValues = {
  grafana: { enabled: false },
  prometheusOperator: { admissionWebhooks: { enabled: false }, tls: { enabled: false } },
};

export const cases: readonly CorpusCase[] = [
  {
    name: "kube-prometheus",
    folder: "kube-prometheus/manifests",
    render: "plain",
    namespace: "monitoring",
    tool: "kubectl",
    arguments: read("kube-prometheus/manifests"),
  },
  {
    name: "kube-prometheus-stack",
    folder: "kube-prometheus-stack",
    render: "helm",
    namespace: "stack",
    values: stackValues,
    tool: "helm",
    arguments: template(
      "kube-prometheus-stack",
      "kube-prometheus-stack",
      "stack",
      "--set=grafana.enabled=false,prometheusOperator.admissionWebhooks.enabled=false,prometheusOperator.tls.enabled=false",
    ),
  },
  {
    name: "podinfo-overlay",
    folder: "podinfo/deploy/overlays/production",
    render: "kustomize",
    namespace: "podinfo",
    tool: "kustomize",
    arguments: ["build", "podinfo/deploy/overlays/production"],
  },
  {
    name: "podinfo-chart",
    folder: "podinfo/charts/podinfo",
    render: "helm",
    namespace: "podinfo-chart",
    tool: "helm",
    arguments: template("podinfo-chart", "podinfo/charts/podinfo", "podinfo-chart"),
  },
  {
    name: "demo-kustomize",
    folder: "microservices-demo/kustomize",
    render: "kustomize",
    namespace: "demo-kustomize",
    tool: "kubectl",
    arguments: ["kustomize", "microservices-demo/kustomize"],
  },
  {
    name: "demo-chart",
    folder: "microservices-demo/helm-chart",
    render: "helm",
    namespace: "demo-chart",
    tool: "helm",
    arguments: template("demo-chart", "microservices-demo/helm-chart", "demo-chart"),
  },
  {
    name: "demo-release",
    folder: "microservices-demo/release",
    render: "plain",
    namespace: "demo-release",
    tool: "kubectl",
    arguments: read("microservices-demo/release/kubernetes-manifests.yaml"),
  },
];
