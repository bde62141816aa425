import { once } from "node:events";
import type { ClientDuplexStream, ServerDuplexStream } from "@grpc/grpc-js";

/**
 * One gRPC stream, both ways, as values. The only file that knows a grpc-js call: its end proves nothing (a cancelled,
 * killed or finished peer all look alike), so the protocol above needs its own goodbye and heartbeats.
 */
export type Duplex<In, Out> = {
  /** What the peer sends. Ends, without an error, whatever the reason; `failure` has it when there is one. */
  readonly messages: AsyncIterable<In>;
  /** Resolves when the message is accepted, waiting while the peer does not read. False when the stream is over. */
  send(message: Out): Promise<boolean>;
  /** Aborts when the stream is over. */
  readonly signal: AbortSignal;
  /** Why the stream broke, on the client's side. */
  failure(): Error | undefined;
  /** Says that nothing follows; what was sent still arrives, and the peer may answer until it ends too. */
  finish(): void;
  /** Ends at once, both ways: what is still on its way may be lost. */
  end(): void;
};

type Call<In, Out> = ClientDuplexStream<Out, In> | ServerDuplexStream<In, Out>;

export function duplexOf<In, Out>(call: Call<In, Out>): Duplex<In, Out> {
  const over = new AbortController();
  let failure: Error | undefined;
  const markOver = (): void => over.abort();
  // Without a listener of its own an error of the call would end the process.
  call.on("error", (error: Error) => {
    failure = error;
    markOver();
  });
  for (const event of ["cancelled", "close", "end"]) call.on(event, markOver);
  return {
    messages: messagesOf<In>(call as AsyncIterable<In>, call),
    signal: over.signal,
    failure: () => failure,
    async send(message) {
      if (over.signal.aborted) return false;
      if ((call as { write(message: Out): boolean }).write(message)) return true;
      try {
        await once(call, "drain", { signal: over.signal });
        return true;
      } catch {
        return false;
      }
    },
    finish: () => void call.end(),
    end() {
      call.end();
      if ("cancel" in call) call.cancel();
      markOver();
    },
  };
}

async function* messagesOf<In>(source: AsyncIterable<In>, call: object): AsyncGenerator<In, void, undefined> {
  // A plain loop that is left would destroy the call, and with it what is still to be said.
  const reader = (call as { iterator(options: { destroyOnReturn: boolean }): AsyncIterable<In> }).iterator({
    destroyOnReturn: false,
  });
  try {
    for await (const message of reader ?? source) yield message;
  } catch {
    // The call's own "error" has said why.
  }
}
