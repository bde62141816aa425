import { expect, test } from "vitest";
import { ConfigProblem, readConfig } from "./config.ts";

const inCluster = { KUBERNETES_SERVICE_HOST: "10.0.0.1" };

test("an agent is an admin without limits unless its own settings say otherwise; the command line goes first", () => {
  expect(readConfig(inCluster).authority).toEqual({
    profile: "admin",
    defaultServiceAccount: "",
    limits: { kinds: "any", namespaces: "any" },
  });
  const env = {
    ...inCluster,
    PLUMBLINE_PROFILE: "tenant",
    PLUMBLINE_DEFAULT_SERVICE_ACCOUNT: "shop/deployer",
    PLUMBLINE_ALLOW_KINDS: "apps/Deployment, ConfigMap",
    PLUMBLINE_ALLOW_NAMESPACES: "shop",
  };
  expect(readConfig(env, { allowNamespaces: "team-*" }).authority).toEqual({
    profile: "tenant",
    defaultServiceAccount: "shop/deployer",
    limits: { kinds: ["apps/Deployment", "ConfigMap"], namespaces: ["team-*"] },
  });
});

test.each([{ PLUMBLINE_PROFILE: "root" }, { PLUMBLINE_DEFAULT_SERVICE_ACCOUNT: "deployer" }])(
  "a setting that cannot be meant is refused by name: %j",
  (wrong) => {
    expect(() => readConfig({ ...inCluster, ...wrong })).toThrow(ConfigProblem);
    expect(() => readConfig({ ...inCluster, ...wrong })).toThrow(Object.keys(wrong)[0]);
  },
);
