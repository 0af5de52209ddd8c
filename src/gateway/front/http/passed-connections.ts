// Connections that wait between two requests, and go on to another process as they are: whatever their clients have sent
// meanwhile is read there.
import type { Server } from "node:http";
import { type AddressInfo, Socket, type SocketConstructorOpts } from "node:net";
import { isLoopbackHost } from "../../../runtime/http/host-guard.ts";
import type { Clock } from "../../../runtime/time/clock.ts";

/** There, or gone with that process; here: it was not sent, and is ours; unknown: it was sent, and nothing came of it. */
export type PassedTo = "there" | "here" | "unknown";
/**
 * Passes one connection, by its handle, to the process that has taken over. Settles within seconds, and never rejects.
 */
export type PassConnection = (handle: object) => Promise<PassedTo>;

/** What a socket is to the system; Node's types do not know of it. */
interface StreamHandle {
  readonly writeQueueSize?: number;
  readStart(): unknown;
  readStop(): unknown;
}

/** Between two looks at what waits by then. */
const BETWEEN_LOOKS_MS = 50;
/** On their way at once when there is no time; the next ones follow when they are there. */
const AT_ONCE = 64;
/** Until then all go in about a second, a few at a look: whoever comes is work for the one that takes it. */
const LOOKS = 20;
const LEAST_AT_ONCE = 2;

/**
 * Passes on what waits, now and whenever another one does, until the signal; resolves when nothing is on its way. A few
 * at a time; `allAtOnce`: as fast as they get there. Never rejects.
 */
export async function passWaiting(
  server: Server,
  connections: ReadonlyMap<Socket, unknown>,
  pass: PassConnection,
  {
    clock,
    signal,
    allAtOnce,
  }: { readonly clock: Clock; readonly signal: AbortSignal; readonly allAtOnce: boolean },
): Promise<void> {
  const few = Math.min(AT_ONCE, Math.max(LEAST_AT_ONCE, Math.ceil(connections.size / LOOKS)));
  let getsThere = true;
  for (;;) {
    // What waits when time is over is passed all the same, for as long as it gets there.
    const isLast = signal.aborted;
    if (isLast && !getsThere) return;
    const atOnce = isLast || allAtOnce ? AT_ONCE : few;
    const waiting = waitingOf(server, [...connections.keys()]).slice(0, atOnce);
    const passed = await Promise.all(waiting.map((socket) => passOne(socket, pass)));
    getsThere = passed.every((where) => where === "there");
    if (isLast && passed.length < atOnce) return;
    const isMore = allAtOnce && getsThere && passed.length === atOnce;
    if (!isLast && !isMore) await clock.sleep(BETWEEN_LOOKS_MS, signal).catch(() => {});
  }
}

/** A connection that another process has passed, as an HTTP server makes those that it accepts. */
export function openPassed(handle: object): Socket {
  // What the system keeps for a connection has come with it.
  const options = { handle, allowHalfOpen: true, readable: true, writable: true };
  return new Socket(options as SocketConstructorOpts);
}

/** Whether its client could have come to `bound`, where a server listens; the process before may have listened elsewhere. */
export function cameTo({ localAddress = "", localPort }: Socket, bound: AddressInfo): boolean {
  if (localPort !== bound.port) return false;
  if (bound.address === "0.0.0.0" || bound.address === "::") return true;
  const [came, here] = [asIPv4(localAddress), asIPv4(bound.address)];
  return came === here || (isLoopbackHost(came) && isLoopbackHost(here));
}

/** Those on which no request has begun, and nothing is left of an answer. */
function waitingOf(server: Server, sockets: readonly Socket[]): Socket[] {
  const found: Socket[] = [];
  // Which ones have answered all and heard nothing since the parser knows, and it tells by having them closed alone.
  for (const socket of sockets) {
    socket.destroy = () => {
      found.push(socket);
      return socket;
    };
  }
  try {
    server.closeIdleConnections();
  } finally {
    for (const socket of sockets) Reflect.deleteProperty(socket, "destroy");
  }
  // Whoever has sent nothing yet counts there as one whose request is coming.
  for (const socket of sockets) if (socket.bytesRead === 0) found.push(socket);
  return found.filter((socket) => {
    const unsent = handleOf(socket)?.writeQueueSize ?? 0;
    return !socket.destroyed && !socket.writableEnded && socket.writableLength === 0 && unsent === 0;
  });
}

/** From here on nothing is read here, unless it stays. */
async function passOne(socket: Socket, pass: PassConnection): Promise<PassedTo> {
  const handle = handleOf(socket);
  if (handle === null) return "here";
  handle.readStop();
  const where = await pass(handle);
  // This process's end of it alone: the connection is open for as long as one has it.
  if (where !== "here") socket.destroy();
  else if (!socket.destroyed) handle.readStart();
  return where;
}

function handleOf(socket: Socket): StreamHandle | null {
  const { _handle: handle } = socket as { readonly _handle?: StreamHandle | null };
  return handle ?? null;
}

/** An IPv4 address that is written as IPv6 as such; any other as it is. */
function asIPv4(address: string): string {
  return address.replace(/^::ffff:(?=[0-9.]+$)/u, "");
}
