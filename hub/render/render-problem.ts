/** Why an Application cannot be rendered: file and field first. For people; never content. */
export class RenderRefused extends Error {
  override readonly name: string = "RenderRefused";
}

/** The machine stood in the way, whatever the files hold: they are tried again soon. */
export class RenderUnfinished extends RenderRefused {
  override readonly name = "RenderUnfinished";
}

/** A limit of time or memory ended it: most likely it would again, but a machine with less to do may get further. */
export class RenderOverrun extends RenderRefused {
  override readonly name = "RenderOverrun";
}

/** The same refusal in other words. */
export function reworded(error: RenderRefused, message: string): RenderRefused {
  const Kind = error.constructor as typeof RenderRefused;
  return new Kind(message, { cause: error });
}
