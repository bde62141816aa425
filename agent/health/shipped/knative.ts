import type { ShippedRule } from "../rules.ts";

// Ready is Unknown while anything moves, and False only when it will not be without a change.
const rule = {
  failed: "condition(object, 'Ready') == 'False'",
  inProgress: "condition(object, 'Ready') != 'True'",
  current: "condition(object, 'Ready') == 'True'",
};

export const knative: readonly ShippedRule[] = [
  {
    group: "serving.knative.dev",
    kinds: ["Service", "Configuration", "Route", "Revision", "DomainMapping"],
    ...rule,
  },
  { group: "eventing.knative.dev", kinds: ["Broker", "Trigger"], ...rule },
  { group: "messaging.knative.dev", kinds: ["Channel", "Subscription", "InMemoryChannel"], ...rule },
  {
    group: "sources.knative.dev",
    kinds: ["ApiServerSource", "ContainerSource", "PingSource", "SinkBinding"],
    ...rule,
  },
];
