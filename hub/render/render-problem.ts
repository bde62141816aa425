/** Why an Application cannot be rendered: file and field first. For people; never content. */
export class RenderRefused extends Error {
  override readonly name: string = "RenderRefused";
}

/** The machine stood in the way, or a limit of time or memory did: the same files may be rendered another time. */
export class RenderUnfinished extends RenderRefused {
  override readonly name = "RenderUnfinished";
}
