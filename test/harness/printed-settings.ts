import { load } from "js-yaml";
import type { KubeObject } from "#proto/object.ts";

/** Objects of the manifests that `plumb cluster register` prints. */
export const printedObjects = (paste: string): KubeObject[] =>
  paste.split(/^---$/m).map((text) => load(text) as KubeObject);

/** What they set in the environment of the agent's process. */
export function printedSettings(paste: string): Record<string, string> {
  const deployment = printedObjects(paste).find(({ kind }) => kind === "Deployment") as unknown as PodTemplate;
  const [container] = deployment.spec.template.spec.containers;
  return Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value]));
}

type PodTemplate = {
  spec: { template: { spec: { containers: { env?: { name: string; value: string }[] }[] } } };
};
