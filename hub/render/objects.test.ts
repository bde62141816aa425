import { describe, expect, test } from "vitest";
import { objectsOf } from "#hub/render/objects.ts";
import { describeRef, refOf } from "#proto/object.ts";

const render = (...texts: string[]) =>
  objectsOf(
    texts.map((text, n) => ({ path: `deploy/${n}.yaml`, bytes: Buffer.from(text) })),
    "shop",
  );
const names = (...texts: string[]) => render(...texts).map((object) => describeRef(refOf(object)));

test("fills the Application's namespace in where a kind has one, and takes it off where not", () => {
  expect(
    names(
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}",
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: own}",
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, namespace: wrong}",
    ),
  ).toEqual(["ConfigMap shop/a", "ConfigMap own/a", "Namespace shop"]);
});

test("K8 a namespace that is taken off is told, where it was written", () => {
  const told: string[] = [];
  const text = `apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: other, namespace: wrong}`;
  objectsOf([{ path: "deploy/a.yaml", bytes: Buffer.from(text) }], "shop", {
    doubt: (sentence) => told.push(sentence),
  });
  expect(told).toEqual([
    "deploy/a.yaml:4: Namespace other names the namespace wrong, and its kind has none: it is taken off",
  ]);
});

test("asks the CRD in the bundle whether its kind has a namespace", () => {
  const crd = (scope: string): string =>
    `apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x.example.dev}\nspec: {group: example.dev, scope: ${scope}, names: {kind: X}}\n---\napiVersion: example.dev/v1\nkind: X\nmetadata: {name: a}`;
  expect(names(crd("Cluster"))[1]).toBe("X a");
  expect(names(crd("Namespaced"))[1]).toBe("X shop/a");
});

test("flattens Lists", () => {
  const list =
    "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}";
  expect(names(list)).toEqual(["ConfigMap shop/a", "ConfigMap shop/b"]);
});

test("takes off what would be drift for ever: nulls, status and the server's own metadata", () => {
  const exported =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, uid: u, resourceVersion: '7', creationTimestamp: null}\ndata: {kept: '1', unset: null}\nstatus: {x: 1}";
  expect(render(exported)).toEqual([
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a", namespace: "shop" }, data: { kept: "1" } },
  ]);
});

test("turns stringData into data, which it overrides", () => {
  const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {a: b2xk, b: eA==}\nstringData: {a: new}";
  expect(render(secret)[0]).toEqual({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "a", namespace: "shop" },
    data: { a: "bmV3", b: "eA==" },
  });
});

describe("refuses, naming file and line", () => {
  const good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}";
  test.each([
    [
      "a second object of one identity, naming both places",
      [good, good],
      "deploy/1.yaml:1: ConfigMap shop/a is also in deploy/0.yaml:1",
    ],
    [
      "the same object under another version",
      [
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}",
        "apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: a}",
      ],
      "Deployment shop/a is also in",
    ],
    [
      "generateName",
      ["apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}"],
      "metadata.generateName cannot be used",
    ],
    [
      "a document without kind",
      [`${good}\n---\napiVersion: v1\nmetadata: {name: a}`],
      "deploy/0.yaml:5: kind is missing",
    ],
    [
      "a name that YAML reads as a number",
      ["apiVersion: v1\nkind: Pod\nmetadata: {name: 12}"],
      "metadata.name must be a string, and YAML reads the number 12: put it in quotes",
    ],
    [
      "a document of the fleet",
      [`${good}\n---\napiVersion: plumbline.dev/v1\nkind: Cluster\nmetadata: {name: eu-1}`],
      "deploy/0.yaml:5: is a document of the fleet, which no cluster knows",
    ],
    [
      "annotations that no API server takes",
      [`${good}\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  annotations: {a: ${"x".repeat(262_144)}}`],
      "deploy/0.yaml:9: metadata.annotations have 262145 bytes, and Kubernetes takes 262144 at the most",
    ],
    ["text that is no object", ["just text"], "must be a mapping"],
    [
      "a number in stringData",
      ["apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {port: 80}"],
      "stringData.port must be a string",
    ],
  ])("%s", (_name, texts, message) => {
    expect(() => render(...texts)).toThrow(message);
  });

  test("a namespaced object without any namespace", () => {
    const files = [{ path: "a.yaml", bytes: Buffer.from(good) }];
    expect(() => objectsOf(files, "")).toThrow("a.yaml:1: ConfigMap a has no namespace");
  });
});
