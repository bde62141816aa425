import { fieldManager, type Cluster, type ObjectAddress } from "#agent/cluster/cluster.ts";
import { ServerAway, WatchExpired } from "#agent/cluster/errors.ts";
import { groupOf, type KubeObject } from "#proto/object.ts";
import { connectTo } from "./client.ts";
import { controllerManager, establishedStatus, statusOf } from "./controllers.ts";
import { createDeletion } from "./deletion.ts";
import { createFaults, type Fault, type RequestMatcher, type SimulatedRequest } from "./faults.ts";
import { createKinds, type Kind } from "./kinds.ts";
import { notFound } from "./refusals.ts";
import { createStore, type Change, type Snapshot } from "./store.ts";
import { createWatching, served } from "./watching.ts";
import { createWrites, groupKindOf, secondOf } from "./writes.ts";

export type SimulatedOptions = {
  readonly version?: string;
  readonly now?: () => number;
  /** Workloads get the status of ready ones, one turn of the event loop after each change. */
  readonly controllers?: boolean;
};

export type Edit = {
  readonly manager: string;
  /** "Apply" forces; what `change` makes of an empty configuration is what is applied. */
  readonly operation?: "Update" | "Apply";
  /** "status" writes only status; any other is told in managedFields ("scale"). */
  readonly subresource?: string;
};

/** A Kubernetes API server in memory, and the hands that meddle with it. Nothing it does here counts as a request. */
export type SimulatedCluster = {
  /** A client; by default the agent's. */
  connect(manager?: string): Cluster;
  edit(address: ObjectAddress, change: (object: KubeObject) => void, edit: Edit): KubeObject;
  /** Deletes as anyone might; nothing happens when there is nothing. */
  remove(address: ObjectAddress): void;
  get(address: ObjectAddress): KubeObject | undefined;
  /** The next requests that match fail; "timeoutAfterWrite" does the write and loses its answer. */
  fail(matcher: RequestMatcher, fault: Fault, times?: number): void;
  /** No request fails any more. */
  heal(): void;
  /** Runs before the next requests that match, which wait for it. */
  before(matcher: RequestMatcher, run: (request: SimulatedRequest) => void | Promise<void>, times?: number): void;
  /** Open watches end as by a lost connection. */
  cutWatches(): void;
  /** Earlier versions are forgotten: open watches and those from an earlier version throw WatchExpired. */
  expireWatches(): void;
  /** Open watches hear nothing more, until `noticeSilence` ends them with WatchSilent. */
  silence(): void;
  noticeSilence(): void;
  bookmarks(): void;
  /** "patch deployments" to the number of such requests, of one manager or all. */
  requests(manager?: string): Record<string, number>;
  snapshot(): Snapshot;
  /** The store as it was, its versions too, as an etcd restored from a backup. Open watches are cut. */
  restore(snapshot: Snapshot): void;
  /** Resolves when the controllers have nothing more to do. */
  settled(): Promise<void>;
};

export function createSimulatedCluster(options: SimulatedOptions = {}): SimulatedCluster {
  const now = options.now ?? Date.now;
  const kinds = createKinds();
  const faults = createFaults();
  const work = new Set<string>();
  const store = createStore((change) => follow(change));
  const writes = createWrites(store, now);
  const deletion = createDeletion(store, now);
  const watching = createWatching(store);
  const kindOf = (object: KubeObject): Kind | undefined => kinds.find(object.apiVersion, object.kind);

  const follow = (change: Change): void => {
    if (change.groupKind === definitions) define(change);
    deletion.follow(change);
    if (options.controllers === true && change.after !== undefined) control(change.after);
    watching.wake();
  };
  const define = ({ before, after }: Change): void => {
    const definition = after ?? before;
    if (definition === undefined) return;
    if (after !== undefined) return kinds.define(definition);
    kinds.forget(definition);
    const spec = definition["spec"] as { group: string; names: { kind: string } };
    const groupKind = groupKindOf({ group: spec.group, kind: spec.names.kind });
    for (const object of store.list(groupKind)) store.drop(groupKind, object);
  };
  const writeStatus = (object: KubeObject, manager: string, status: KubeObject[string]): void => {
    const kind = kindOf(object);
    if (kind === undefined || status === undefined) return;
    const { resourceVersion: _, ...metadata } = object.metadata;
    writes.replace(kind, { ...object, metadata, status }, { manager, subresource: "status" });
  };
  const establish = (definition: KubeObject): void => {
    const live = store.get(definitions, "", definition.metadata.name);
    if (live !== undefined) writeStatus(live, "kube-apiserver", establishedStatus(live, secondOf(now())));
  };
  const control = (object: KubeObject): void => {
    const key = [object.apiVersion, object.kind, object.metadata.namespace ?? "", object.metadata.name].join("/");
    if (work.has(key)) return;
    work.add(key);
    setImmediate(() => {
      work.delete(key);
      const { namespace = "", name } = object.metadata;
      const live = store.get(groupKindOf({ group: groupOf(object.apiVersion), kind: object.kind }), namespace, name);
      if (live?.metadata.deletionTimestamp === undefined && live !== undefined)
        writeStatus(live, controllerManager, statusOf(live, secondOf(now())));
    });
  };
  const find = ({ apiVersion, kind, namespace, name }: ObjectAddress): { kind: Kind; live: KubeObject | undefined } => {
    const found = kinds.find(apiVersion, kind);
    if (found === undefined) throw new Error(`${apiVersion} ${kind} is not served`);
    return { kind: found, live: store.get(groupKindOf(found), namespace, name) };
  };
  // A definition is served from its first write on; that it is, is a write of its own.
  const establishing = {
    apply: (...[kind, ...rest]: Parameters<typeof writes.apply>) => established(kind, writes.apply(kind, ...rest)),
    create: (...[kind, ...rest]: Parameters<typeof writes.create>) => established(kind, writes.create(kind, ...rest)),
    replace: (...[kind, ...rest]: Parameters<typeof writes.replace>) =>
      established(kind, writes.replace(kind, ...rest)),
  };
  const established = (kind: Kind, answer: KubeObject): KubeObject => {
    if (groupKindOf(kind) === definitions) establish(answer);
    return answer;
  };
  const version = options.version ?? "v1.36.3";
  const parts = { version, store, kinds, writes: establishing, deletion, watching, faults };
  for (const name of ["default", "kube-system", "kube-public", "kube-node-lease"]) {
    const namespace = kinds.find("v1", "Namespace");
    const object = { apiVersion: "v1", kind: "Namespace", metadata: { name } };
    if (namespace !== undefined) writes.create(namespace, object, { manager: "kube-apiserver" });
  }

  return {
    connect: (manager = fieldManager) => connectTo(parts, manager),
    edit(address, change, { manager, operation = "Update", subresource }) {
      const { kind, live } = find(address);
      const named = { apiVersion: address.apiVersion, kind: address.kind, metadata: metadataOf(address) };
      if (live === undefined && operation === "Update") throw notFound(kind, address.name);
      const object = operation === "Apply" || live === undefined ? named : served(live, kind);
      change(object);
      const how = { manager, ...(subresource === undefined ? {} : { subresource }) };
      const written =
        operation === "Apply"
          ? establishing.apply(kind, object, { ...how, force: true })
          : establishing.replace(kind, object, how);
      return served(written, kind);
    },
    remove(address) {
      const { kind, live } = find(address);
      if (live !== undefined) deletion.delete(kind, live);
    },
    get(address) {
      const { kind, live } = find(address);
      return live === undefined ? undefined : served(live, kind);
    },
    fail: (matcher, fault, times = 1) => faults.add(matcher, fault, times),
    heal: () => faults.clear(),
    before: (matcher, run, times = 1) => faults.before(matcher, run, times),
    cutWatches: () => watching.end(new Error("the connection of the watch was lost")),
    expireWatches() {
      store.forgetChanges();
      watching.end(new WatchExpired("too old resource version"));
    },
    silence: () => watching.silence(),
    noticeSilence: () => watching.notice(),
    bookmarks: () => watching.bookmarks(),
    requests: (manager) => faults.counts(manager),
    snapshot: () => store.snapshot(),
    restore(snapshot) {
      const had = store.list(definitions);
      store.restore(snapshot);
      for (const definition of had) kinds.forget(definition);
      for (const definition of store.list(definitions)) kinds.define(definition);
      watching.end(new ServerAway("the server was away"));
    },
    async settled() {
      while (work.size > 0) await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

const definitions = "apiextensions.k8s.io/CustomResourceDefinition";

const metadataOf = ({ namespace, name }: ObjectAddress): KubeObject["metadata"] => ({
  name,
  ...(namespace === "" ? {} : { namespace }),
});
