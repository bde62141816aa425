import type { Json, JsonObject } from "#proto/object.ts";

/** The server's defaults of a Pod's spec, with those that its owner's kind adds. */
export function defaultPodSpec(spec: JsonObject, more: JsonObject): void {
  fill(spec, {
    restartPolicy: "Always",
    dnsPolicy: "ClusterFirst",
    schedulerName: "default-scheduler",
    terminationGracePeriodSeconds: 30,
    securityContext: {},
    ...more,
  });
  // The old name of the field is kept beside the new one.
  if (spec["serviceAccountName"] !== undefined) spec["serviceAccount"] = spec["serviceAccountName"];
  for (const name of ["containers", "initContainers"])
    for (const container of items(spec[name])) ofContainer(container);
  for (const volume of items(spec["volumes"])) ofVolume(volume);
}

function ofContainer(container: JsonObject): void {
  const image = typeof container["image"] === "string" ? container["image"] : "";
  const tag = /:([^/@]+)(@.*)?$/.exec(image)?.[1];
  const isLatest = !image.includes("@") && (tag === undefined || tag === "latest");
  fill(container, {
    imagePullPolicy: isLatest ? "Always" : "IfNotPresent",
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
    resources: {},
  });
  for (const port of items(container["ports"])) fill(port, { protocol: "TCP" });
  for (const variable of items(container["env"])) {
    const reference = (variable["valueFrom"] as JsonObject | undefined)?.["fieldRef"];
    if (reference !== undefined) fill(reference as JsonObject, { apiVersion: "v1" });
  }
  for (const name of ["livenessProbe", "readinessProbe", "startupProbe"]) {
    const probe = container[name] as JsonObject | undefined;
    if (probe === undefined) continue;
    fill(probe, { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 });
    if (probe["httpGet"] !== undefined) fill(probe["httpGet"] as JsonObject, { path: "/", scheme: "HTTP" });
  }
}

function ofVolume(volume: JsonObject): void {
  for (const name of ["configMap", "secret", "downwardAPI", "projected"])
    if (volume[name] !== undefined) fill(volume[name] as JsonObject, { defaultMode: 420 });
  if (volume["hostPath"] !== undefined) fill(volume["hostPath"] as JsonObject, { type: "" });
  if (Object.keys(volume).length === 1 && volume["name"] !== undefined) volume["emptyDir"] = {};
}

const items = (value: Json | undefined): JsonObject[] => (Array.isArray(value) ? (value as JsonObject[]) : []);

/** Adds what is missing; gives the whole. */
export function fill(target: JsonObject, defaults: JsonObject): JsonObject {
  for (const [name, value] of Object.entries(defaults)) target[name] ??= structuredClone(value);
  return target;
}
