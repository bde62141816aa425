import type { ShippedRule } from "../rules.ts";
import { isStale } from "./stale.ts";

const parts = (field: string): string => `object.?status.?${field}.orValue([])`;

/** Routes and policies: each of their parents says whether it takes them. */
const attached = (field: "parents" | "ancestors"): Pick<ShippedRule, "failed" | "inProgress" | "current"> => ({
  failed: `${parts(field)}.exists(p, !(${isStale("p.?conditions.orValue([])")}) && (
    (condition(p, 'Accepted') == 'False' && reason(p, 'Accepted') != 'Pending') || condition(p, 'ResolvedRefs') == 'False'))`,
  inProgress: `size(${parts(field)}) == 0 || ${parts(field)}.exists(p,
    ${isStale("p.?conditions.orValue([])")} || condition(p, 'Accepted') != 'True')`,
  current: `${parts(field)}.all(p, condition(p, 'Accepted') == 'True')`,
});

export const gatewayApi: readonly ShippedRule[] = [
  {
    group: "gateway.networking.k8s.io",
    kinds: ["GatewayClass"],
    failed: "condition(object, 'Accepted') == 'False'",
    inProgress: "condition(object, 'Accepted') != 'True'",
    current: "condition(object, 'Accepted') == 'True'",
  },
  {
    group: "gateway.networking.k8s.io",
    kinds: ["Gateway"],
    failed: `(condition(object, 'Accepted') == 'False' && reason(object, 'Accepted') != 'Pending')
      || (condition(object, 'Programmed') == 'False' && reason(object, 'Programmed') in ['Invalid', 'AddressNotUsable', 'NoResources'])
      || ${parts("listeners")}.exists(l, !(${isStale("l.?conditions.orValue([])")})
        && (condition(l, 'Accepted') == 'False' || condition(l, 'ResolvedRefs') == 'False'))`,
    inProgress: "condition(object, 'Accepted') != 'True' || condition(object, 'Programmed') != 'True'",
    current: "condition(object, 'Accepted') == 'True' && condition(object, 'Programmed') == 'True'",
  },
  {
    group: "gateway.networking.k8s.io",
    kinds: ["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"],
    ...attached("parents"),
  },
  { group: "gateway.networking.k8s.io", kinds: ["BackendTLSPolicy"], ...attached("ancestors") },
];
