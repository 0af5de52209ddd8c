// Serves an MCP client on stdin and stdout with a gateway inside this process.
import { Duplex } from "node:stream";
import { finished } from "node:stream/promises";
import type { InProcessGateway } from "../api/in-process.ts";
import { type BridgeEnds, FIRST_LISTS_MS } from "./ends.ts";

/**
 * Serves the client with a gateway of this process, until the client has left; begins when its backends are ready or
 * have failed, or after 5 s. Rejects with the signal's reason.
 */
export async function serveHere(
  gateway: Pick<InProcessGateway, "status" | "serveLines">,
  { input, output, signal }: BridgeEnds,
): Promise<void> {
  // Node takes a pair of streams; its types do not say so.
  const pair = { readable: input, writable: output } as unknown as NodeJS.ReadWriteStream;
  const stream = Duplex.from(pair);
  const served = finished(stream, { signal });
  const ready = gateway.status(AbortSignal.any([signal, AbortSignal.timeout(FIRST_LISTS_MS)]));
  try {
    await Promise.race([ready, served]);
    if (!signal.aborted) gateway.serveLines(stream);
    await served;
  } catch {
    // The client broke off, or we do: either way nobody is left to be served.
    stream.destroy();
    signal.throwIfAborted();
  }
}
