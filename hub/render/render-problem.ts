/** Why an Application cannot be rendered: file and field first. For people; never content. */
export class RenderRefused extends Error {
  override readonly name = "RenderRefused";
}
