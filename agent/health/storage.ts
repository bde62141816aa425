import type { KubeObject } from "#proto/object.ts";
import {
  asObject,
  conditionsOf,
  current,
  explain,
  failed,
  inProgress,
  section,
  text,
  type Health,
} from "./condition.ts";

export function claimHealth(object: KubeObject): Health {
  const phase = text(section(object, "status")["phase"]);
  if (phase === "Lost") return failed("its volume is lost");
  if (phase !== "Bound") return inProgress(`is ${phase || "not seen by its controller yet"}, not Bound`);
  const conditions = conditionsOf(object);
  for (const type of ["ControllerResizeError", "NodeResizeError", "ModifyVolumeError"]) {
    const error = conditions.get(type);
    if (error?.status === "True") return failed(explain(error));
  }
  for (const type of ["Resizing", "ModifyingVolume"]) {
    const change = conditions.get(type);
    if (change?.status === "True") return inProgress(explain(change));
  }
  // The pod that uses it grows the file system when it starts again, which may be never.
  const pending = conditions.get("FileSystemResizePending");
  return current(pending?.status === "True" ? explain(pending) : "");
}

export function volumeHealth(object: KubeObject): Health {
  const status = section(object, "status");
  const said = [text(status["reason"]), text(status["message"])].filter(Boolean).join(": ");
  switch (text(status["phase"])) {
    case "Available":
    case "Bound":
      return current();
    case "Released":
      return current("Released: its claim is gone, and it is bound to no other");
    case "Failed":
      return failed(said || "its reclamation failed");
    case "Pending":
      return inProgress(said || "is Pending");
    default:
      return inProgress("is not seen by its controller yet");
  }
}

export function attachmentHealth(object: KubeObject): Health {
  const status = section(object, "status");
  if (status["attached"] === true) return current();
  const error = text(asObject(status["attachError"])["message"]);
  return inProgress(error === "" ? "is not attached" : `is not attached: ${error}`);
}
