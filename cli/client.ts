import type { CliConfig } from "#cli/config.ts";
import { CliError, exitCode, usage } from "#cli/errors.ts";
import { plain } from "#cli/output.ts";
import type { ErrorAnswer } from "#proto/api.ts";

const answerWithinMs = 60_000;

/** Asks the hub's API. Throws CliError with the exit code that fits the answer. */
export async function ask<Answer>(
  config: CliConfig,
  method: "GET" | "POST",
  path: string,
  body?: object,
): Promise<Answer> {
  const response = await send(config, method, path, AbortSignal.timeout(answerWithinMs), body);
  const said = await response.text();
  try {
    return JSON.parse(said) as Answer;
  } catch {
    throw noHub(config);
  }
}

/** Asks the hub's API for what is no text. */
export async function download(config: CliConfig, path: string): Promise<Uint8Array> {
  const response = await send(config, "GET", path, AbortSignal.timeout(answerWithinMs));
  if (response.headers.get("content-type") !== "application/octet-stream") throw noHub(config);
  return new Uint8Array(await response.arrayBuffer());
}

const noHub = ({ hub }: CliConfig): CliError =>
  new CliError(
    exitCode.unreachable,
    `what answers at ${hub} is no hub`,
    "name the hub's HTTP address by --hub or PLUMBLINE_HUB",
  );

/** The data of server-sent events, as they come, until the signal. */
export async function* follow<Message>(config: CliConfig, path: string, signal: AbortSignal): AsyncGenerator<Message> {
  const response = await send(config, "GET", path, signal);
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body!) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    const messages = text.split("\n\n");
    text = messages.pop()!;
    for (const message of messages) {
      const data = message
        .split("\n")
        .flatMap((line) => (line.startsWith("data: ") ? [line.slice(6)] : []))
        .join("\n");
      if (data !== "") yield JSON.parse(data) as Message;
    }
  }
}

async function send(
  config: CliConfig,
  method: string,
  path: string,
  signal: AbortSignal,
  body?: object,
): Promise<Response> {
  if (!/^https?:$/.test(URL.parse(config.hub)?.protocol ?? ""))
    throw usage(`${config.hub} is no address of a hub: write http://HOST:PORT or https://HOST`);
  const headers: Record<string, string> = {};
  if (config.token !== undefined) headers["authorization"] = `Bearer ${config.token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(`${config.hub}${path}`, {
      method,
      headers,
      signal,
      ...(body && { body: JSON.stringify(body) }),
    });
  } catch (cause) {
    if (signal.aborted && (signal.reason as Error).name !== "TimeoutError") throw cause;
    throw new CliError(
      exitCode.unreachable,
      `the hub at ${config.hub} does not answer${codeOf(cause)}`,
      "start one with plumb hub, or name it by --hub or PLUMBLINE_HUB",
    );
  }
  if (response.ok) return response;
  const said = (await response.json().catch(() => undefined)) as ErrorAnswer | undefined;
  // A hub says what is not there; another server has only its page.
  if (said?.error === undefined && response.status === 404) throw noHub(config);
  const message = said?.error?.message ?? `the hub answered ${response.status}`;
  throw new CliError(codeFor(response.status), plain(message), plain(said?.error?.do ?? ""));
}

/** Why not, as the system names it: ECONNREFUSED is another problem than ENOTFOUND. */
function codeOf(error: unknown): string {
  const code = error instanceof Error && (error.cause as { code?: unknown } | undefined)?.code;
  return typeof code === "string" ? ` (${code})` : "";
}

function codeFor(status: number): number {
  if (status === 401 || status === 403) return exitCode.notAllowed;
  if (status === 409) return exitCode.no;
  return status === 502 || status === 503 || status === 504 ? exitCode.unreachable : exitCode.failed;
}
