// Passes idle connections to another process at a handover. That process also reads what their clients have sent during
// the handover.
import type { Server } from "node:http";
import { type AddressInfo, Socket, type SocketConstructorOpts } from "node:net";
import { isLoopbackHost, plainAddress } from "../../../runtime/http/host-guard.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { ClientHandle, Principal } from "../../client-handle.ts";
import type { SessionRecord } from "../session/session-record.ts";

/** there: the other process has the connection; here: it was not sent; unknown: it was sent, but not acknowledged. */
export type PassedTo = "there" | "here" | "unknown";
/**
 * Passes one connection, by its handle, to the process that has taken over. `stream`: an event stream continues there;
 * null: the connection is idle. Settles within seconds; never rejects.
 */
export type HandOffConnection = (handle: object, stream?: HandedOffStream | null) => Promise<PassedTo>;

/** A stream of HTTP+SSE. */
export interface StreamIdentity {
  /** Unguessable. */
  readonly id: string;
  readonly principal: Principal;
  /** What the client can read. */
  readonly limit: Pick<ClientHandle, "messageLimitBytes">;
}

/** A stream on which no call is in flight. */
export interface HandedOffStream extends StreamIdentity {
  /** Null: the client has not begun a session. */
  readonly session: SessionRecord | null;
}

/** A socket's libuv handle, which Node's types leave out. */
interface StreamHandle {
  readStart(): unknown;
  readStop(): unknown;
}

const BETWEEN_ROUNDS_MS = 50;
const MOST_AT_ONCE = 64;
/**
 * All connections are passed on in about 20 rounds (1 s), because each connection is work for the receiving process.
 */
const ROUNDS = 20;
const LEAST_AT_ONCE = 2;

/**
 * Passes idle connections in rounds until the signal aborts, then passes those that are idle at that moment.
 * `allAtOnce`: without pauses. `onPassed` is called once, when no idle connection was left. Never rejects.
 */
export async function passIdle(
  server: Server,
  connections: ReadonlyMap<Socket, unknown>,
  pass: HandOffConnection,
  {
    clock,
    signal,
    allAtOnce,
    onPassed,
  }: {
    readonly clock: Clock;
    readonly signal: AbortSignal;
    readonly allAtOnce: boolean;
    readonly onPassed?: (() => void) | undefined;
  },
): Promise<void> {
  const share = Math.min(MOST_AT_ONCE, Math.max(LEAST_AT_ONCE, Math.ceil(connections.size / ROUNDS)));
  let [hasFailed, hasPassed] = [false, false];
  for (;;) {
    const isOver = signal.aborted;
    if (isOver && hasFailed) return;
    const most = isOver || allAtOnce ? MOST_AT_ONCE : share;
    const idle = idleOf(server, [...connections.keys()]).slice(0, most);
    const passed = await Promise.all(idle.map((socket) => passOne(socket, pass)));
    hasFailed = passed.some((where) => where !== "there");
    const wasFull = passed.length === most;
    if (!wasFull && !hasPassed) {
      hasPassed = true;
      onPassed?.();
    }
    if (isOver && !wasFull) return;
    const goesOn = isOver || (allAtOnce && wasFull && !hasFailed);
    if (!goesOn) await clock.sleep(BETWEEN_ROUNDS_MS, signal).catch(() => {});
  }
}

/** The options are those that an HTTP server gives its sockets. */
export function openPassed(handle: object): Socket {
  const options = { handle, allowHalfOpen: true, readable: true, writable: true };
  return new Socket(options as SocketConstructorOpts);
}

/** True if the client connected to `bound`. The previous daemon may also have listened on other addresses. */
export function cameTo({ localAddress = "", localPort }: Socket, bound: AddressInfo): boolean {
  if (localPort !== bound.port) return false;
  if (bound.address === "0.0.0.0" || bound.address === "::") return true;
  const [came, here] = [plainAddress(localAddress), plainAddress(bound.address)];
  return came === here || (isLoopbackHost(came) && isLoopbackHost(here));
}

/** Connections on which no request has begun and no byte of a response is unsent. */
function idleOf(server: Server, sockets: readonly Socket[]): Socket[] {
  // Only Node's HTTP parser knows whether a request has begun, and only `closeIdleConnections` asks the
  // parser. `destroy` is replaced for this call, to see which sockets Node would close.
  const idle: Socket[] = [];
  for (const socket of sockets) {
    socket.destroy = () => {
      idle.push(socket);
      return socket;
    };
  }
  try {
    server.closeIdleConnections();
  } finally {
    for (const socket of sockets) Reflect.deleteProperty(socket, "destroy");
  }
  // Node counts a connection without any request as one whose request has begun.
  for (const socket of sockets) if (socket.bytesRead === 0) idle.push(socket);
  return idle.filter(
    ({ destroyed, writableEnded, writableLength }) => !destroyed && !writableEnded && writableLength === 0,
  );
}

/** Stops reading before the connection is sent, so that only one process reads each byte. */
export async function passOne(socket: Socket, pass: HandOffConnection): Promise<PassedTo> {
  const handle = handleOf(socket);
  if (handle === null) return "here";
  handle.readStop();
  const where = await pass(handle);
  // Closes this process's descriptor; the connection stays open in the other process.
  if (where !== "here") socket.destroy();
  else handle.readStart();
  return where;
}

function handleOf(socket: Socket): StreamHandle | null {
  const { _handle: handle } = socket as { readonly _handle?: StreamHandle | null };
  return handle ?? null;
}
