// Serves an MCP client on stdin and stdout with a gateway of this process, where no daemon runs.
import { Duplex } from "node:stream";
import { finished } from "node:stream/promises";
import type { WithoutDaemonGateway } from "../api/in-process.ts";
import { type BridgeEnds, FIRST_LISTS_MS } from "./mcp-bridge.ts";

/**
 * Serves the client with a gateway of this process until the client leaves. Begins when the backends are ready or have
 * failed, or after 5 s. Rejects with the signal's reason.
 */
export async function serveHere(
  gateway: WithoutDaemonGateway,
  { input, output, signal }: BridgeEnds,
  folder: string | null = null,
): Promise<void> {
  // Node accepts a pair of streams, but its types do not.
  const pair = { readable: input, writable: output } as unknown as NodeJS.ReadWriteStream;
  const stream = Duplex.from(pair);
  const served = finished(stream, { signal });
  const ready = gateway.whenStarted(AbortSignal.any([signal, AbortSignal.timeout(FIRST_LISTS_MS)]));
  try {
    await Promise.race([ready, served]);
    if (!signal.aborted) gateway.serveLines(stream, folder ?? undefined);
    await served;
  } catch {
    // The client or we closed the stream: there is no client left to serve.
    stream.destroy();
    signal.throwIfAborted();
  }
}
