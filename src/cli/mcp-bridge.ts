// Owns the way between an MCP client on stdin and stdout and a gateway: bytes both ways, nothing added.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Duplex, type Readable, type Writable } from "node:stream";
import { finished } from "node:stream/promises";
import type { DaemonClient } from "../api/client.ts";
import type { InProcessGateway } from "../api/control.ts";
import { gatewayOff } from "../api/gateway-names.ts";
import { MountaineerError, systemErrorCode } from "../runtime/errors.ts";

export interface BridgeEnds {
  readonly input: Readable;
  readonly output: Writable;
  /** Leaves at once. */
  readonly signal: AbortSignal;
}

/**
 * Carries bytes until the client has left and everything is answered. Rejects with `gateway_off` when the daemon has no
 * gateway, `daemon_unreachable` when it ends the connection first, and the signal's reason.
 */
export async function bridge(
  daemon: Pick<DaemonClient, "mcpSocketPath" | "status">,
  { input, output, signal }: BridgeEnds,
): Promise<void> {
  const socket = await connected(daemon, signal);
  let clientLeft = false;
  let said = false;
  // Whoever reads has gone: nothing more can be answered.
  const onOutputGone = (): void => {
    clientLeft = true;
    socket.destroy();
  };
  const onAbort = (): void => void socket.destroy();
  signal.addEventListener("abort", onAbort, { once: true });
  output.once("error", onOutputGone).once("close", onOutputGone);
  input.once("end", () => {
    clientLeft = true;
  });
  // A client that breaks off, rather than ends, is gone, too.
  input.once("error", onOutputGone);
  socket.once("data", () => {
    said = true;
  });
  // All that it said has been passed on; what the client says from here on nobody hears.
  socket.once("end", () => socket.destroy());
  try {
    if (signal.aborted) onAbort();
    input.pipe(socket);
    socket.pipe(output, { end: false });
    await once(socket, "close").catch((error: unknown) => {
      // A connection that breaks is one that has ended; which side it was is told below.
      if (systemErrorCode(error) === null) throw error;
    });
  } finally {
    input.unpipe(socket);
    signal.removeEventListener("abort", onAbort);
    output.off("error", onOutputGone).off("close", onOutputGone);
    input.off("error", onOutputGone);
    socket.destroy();
  }
  signal.throwIfAborted();
  if (!clientLeft) throw await whyEnded(daemon, said, signal);
}

async function connected(
  daemon: Pick<DaemonClient, "mcpSocketPath" | "status">,
  signal: AbortSignal,
): Promise<Socket> {
  const socket = connect({ path: daemon.mcpSocketPath, allowHalfOpen: true });
  try {
    await once(socket, "connect", { signal });
    return socket;
  } catch {
    socket.destroy();
    signal.throwIfAborted();
    throw await whyEnded(daemon, false, signal);
  }
}

async function whyEnded(
  daemon: Pick<DaemonClient, "status">,
  said: boolean,
  signal: AbortSignal,
): Promise<MountaineerError> {
  if (said) return ended("the daemon ended the connection", "it was stopped, or has crashed");
  const { gateway } = await daemon.status(signal);
  if (gateway === undefined) return gatewayOff();
  return ended(
    "the daemon's gateway takes no MCP client here",
    "too many may be connected; its log has more, and a restart of the daemon may help",
  );
}

function ended(message: string, hint: string): MountaineerError {
  return new MountaineerError("daemon_unreachable", message, { hint, retry: "later" });
}

/** Many clients ask for the lists once, right after the handshake; what starts slower than this is told of later. */
const FIRST_LISTS_MS = 5_000;

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
