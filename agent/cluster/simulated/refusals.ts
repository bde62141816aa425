import { ApiError } from "#agent/cluster/errors.ts";
import type { Kind } from "./kinds.ts";

// What the API server says when it refuses, in its words.

const resourceOf = ({ resource, group }: Kind): string => (group === "" ? resource : `${resource}.${group}`);

const refusal = (status: number, reason: string, message: string, causes: { field: string; message: string }[] = []) =>
  new ApiError(status, { reason, message, details: { causes } });

export const notFound = (kind: Kind, name: string): ApiError =>
  refusal(404, "NotFound", `${resourceOf(kind)} ${JSON.stringify(name)} not found`);

export const namespaceMissing = (namespace: string): ApiError =>
  refusal(404, "NotFound", `namespaces ${JSON.stringify(namespace)} not found`);

export const namespaceTerminating = (kind: Kind, name: string, namespace: string): ApiError => {
  const message = `namespace ${namespace} is being terminated`;
  return refusal(
    403,
    "Forbidden",
    `${resourceOf(kind)} ${JSON.stringify(name)} is forbidden: ` +
      `unable to create new content in namespace ${namespace} because it is being terminated`,
    [{ field: "metadata.namespace", message }],
  );
};

export const alreadyExists = (kind: Kind, name: string): ApiError =>
  refusal(409, "AlreadyExists", `${resourceOf(kind)} ${JSON.stringify(name)} already exists`);

export const conflict = (kind: Kind, name: string, because: string): ApiError =>
  refusal(409, "Conflict", `Operation cannot be fulfilled on ${resourceOf(kind)} ${JSON.stringify(name)}: ${because}`);

export const modified = "the object has been modified; please apply your changes to the latest version and try again";

export const invalid = (kind: Kind, name: string, field: string, because: string): ApiError =>
  refusal(
    422,
    "Invalid",
    `${kind.kind}${kind.group === "" ? "" : `.${kind.group}`} ${JSON.stringify(name)} is invalid: ${field}: ${because}`,
    [{ field, message: because }],
  );

export const undeclaredField = (kind: Kind, place: string, field: string): ApiError =>
  untyped(kind, place, `.${field}: field not declared in schema`);

/** A configuration that does not fit the kind's types: final, though the server calls it an error of its own. */
export const untyped = (kind: Kind, place: string, because: string): ApiError =>
  refusal(
    500,
    "",
    `failed to create typed patch object (${place}; ${kind.group === "" ? "" : `${kind.group}/`}${kind.version}, ` +
      `Kind=${kind.kind}): ${because}`,
  );
