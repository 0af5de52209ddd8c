// The client of a running daemon: finds its socket, sends requests with deadlines, and validates every answer.
import { errorText, MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { connectPrivately, type HomeSocket } from "../../runtime/process/private-socket.ts";
import { type Clock, systemClock } from "../../runtime/time/clock.ts";
import { errorFromBody } from "../operations/http-errors.ts";
import {
  type CallOperation,
  type OperationName,
  type OutputOf,
  requestPath,
} from "../operations/operations.ts";
import { OPERATIONS } from "../operations/table.ts";
import { readDaemonInfo } from "../socket/daemon-info.ts";
import { defaultSocketPath, MCP_SOCKET } from "../socket/private-socket.ts";
import { type BackendPhases, backendPhases } from "./backend-phases.ts";
import { type EventStream, openEventStream } from "./event-client.ts";
import { exchange, type HttpEndpoint, type Listener, strange } from "./http-exchange.ts";

// Limit for silence, ms. While a request runs, the daemon sends a 102 every 2 s, and its thread never blocks,
// so longer silence means a hang.
const SILENCE_DEADLINE_MS = 6_000;
const CONNECT_DEADLINE_MS = 2_000;

export interface DaemonClient {
  /**
   * Resolves with the parsed answer, including fields that this version does not know. Besides the
   * operation's own errors, rejects with `daemon_unreachable` and `protocol`. An aborted signal rejects with
   * `aborted`, and cancels the operation in the daemon.
   */
  readonly call: CallOperation;
  /** "" for a daemon reached over HTTP. */
  readonly socketPath: string;
  /** Exists if the daemon has a gateway. */
  readonly mcpSocket: HomeSocket;
  /** From daemon.json; null if not known. */
  readonly pid: number | null;
  /** From daemon.json, ISO 8601 UTC; together with the pid it identifies a daemon. */
  readonly startedAt: string | null;
  /** Phases of the enabled backends; null while no gateway is configured. Reads answers of any daemon version. */
  backendPhases(signal: AbortSignal): Promise<BackendPhases | null>;
  /**
   * Resolves once no later event can be missed. The stream lasts until the daemon ends it: when the daemon
   * stops, or after a `gap` because this reader is too slow. It does not reconnect; `followDaemon` does.
   * `afterId`: the stream begins with the events after this id that the daemon has kept; null (default): with
   * the next event.
   */
  openEvents(signal: AbortSignal, from?: { readonly afterId?: number | null }): Promise<EventStream>;
}

export interface ConnectOptions {
  readonly clock?: Clock;
  /** How long the daemon may send nothing before it counts as hung. */
  readonly silenceMs?: number;
}

/**
 * Connects to the daemon of this home. Resolves with null if none listens: there is no socket, or a dead
 * daemon has left it. Rejects with `permission_denied` if the socket belongs to another user, and as `requireOwnSocket`
 * does if another user may have made it.
 */
export async function connectToDaemon(
  home: string,
  options: ConnectOptions = {},
): Promise<DaemonClient | null> {
  const info = await readDaemonInfo(home);
  const usual = defaultSocketPath(home);
  let foreign: unknown = null;
  // Also tries the default path: after a crash, daemon.json may be older than the socket.
  for (const path of new Set(info === null ? [usual] : [info.socket, usual])) {
    const at = { path, home };
    const isHere = await isListening(at).catch((error) => {
      if (systemErrorCode(error) !== "daemon_unreachable") throw error;
      foreign = error;
    });
    if (isHere === true) {
      const own = info?.socket === path ? info : null;
      const mcpSocket = { path: own?.mcp_socket ?? defaultSocketPath(home, MCP_SOCKET), home };
      const { pid = null, started_at: startedAt = null } = own ?? {};
      return createClient({ at, socketPath: path, mcpSocket, pid, startedAt }, options);
    }
  }
  if (foreign !== null) throw foreign;
  return null;
}

async function isListening(at: HomeSocket): Promise<boolean> {
  const { path } = at;
  const socket = await connectPrivately(at).catch((error) => {
    if (error instanceof MountaineerError) throw error;
    if (systemErrorCode(error) !== "ENOENT" && systemErrorCode(error) !== "ENOTDIR")
      throw notAllowed(path, error);
  });
  if (socket === undefined) return false;
  return new Promise((resolve, reject) => {
    // Connecting waits while the daemon's backlog is full, so a time-out also shows that a daemon listens. The request
    // will show whether the daemon hangs.
    socket.setTimeout(CONNECT_DEADLINE_MS, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error) => {
      const code = systemErrorCode(error);
      if (code === "EACCES" || code === "EPERM") reject(notAllowed(path, error));
      else resolve(code === "EAGAIN");
    });
  });
}

function notAllowed(path: string, cause: unknown): MountaineerError {
  return new MountaineerError(
    "permission_denied",
    `the daemon's socket may not be opened: ${errorText(cause)}`,
    {
      cause,
      hint: `run this as the user who owns ${path}`,
    },
  );
}

/**
 * Connects to a daemon over HTTP. Rejects with `usage` for an address that would show the token to the
 * network, `daemon_unreachable` while no daemon answers or it is starting, and `not_signed_in` for a wrong
 * token.
 */
export async function connectToEndpoint(
  endpoint: HttpEndpoint,
  signal: AbortSignal,
  options: ConnectOptions = {},
): Promise<DaemonClient> {
  requirePrivate(endpoint.origin);
  const nothing = { socketPath: "", mcpSocket: { path: "", home: "" }, pid: null, startedAt: null };
  const status = createClient({ at: endpoint, ...nothing }, options).call("status", null, signal);
  const { global } = await status.catch((error: unknown) => {
    throw unreachableAt(endpoint.origin, error);
  });
  return createClient({ at: endpoint, ...nothing, pid: global.pid, startedAt: global.started_at }, options);
}

/** The hints of `daemon_unreachable` are for a daemon of this machine. */
function unreachableAt({ host }: URL, error: unknown): unknown {
  if (!(error instanceof MountaineerError) || error.code !== "daemon_unreachable") return error;
  return new MountaineerError("daemon_unreachable", `${host}: ${error.message}`, {
    cause: error,
    hint: "there: mountaineer status, and [server.management].enabled; here: the address, and whether it is reached",
    retry: "later",
  });
}

/** Throws `usage` for an address that would show the token to the network. */
export function requirePrivate({ protocol, hostname }: URL): void {
  if (protocol === "https:") return;
  if (protocol === "http:" && /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname)) return;
  throw new MountaineerError("usage", `the token would go to ${hostname} where others can read it`, {
    hint: "use https://, or a tunnel: ssh -L 9000:127.0.0.1:9000 and http://127.0.0.1:9000",
  });
}

interface FoundDaemon extends Pick<DaemonClient, "socketPath" | "mcpSocket" | "pid" | "startedAt"> {
  /** The socket, or the HTTP endpoint. */
  readonly at: Listener["at"];
}

function createClient(
  { at, socketPath, mcpSocket, pid, startedAt }: FoundDaemon,
  options: ConnectOptions,
): DaemonClient {
  const { clock = systemClock, silenceMs = SILENCE_DEADLINE_MS } = options;
  const listener: Listener = { at, pid, clock, silenceMs };
  const answer = async (name: OperationName, input: object | null, signal: AbortSignal): Promise<unknown> => {
    const { method, path } = OPERATIONS[name];
    const { status, value } = await exchange(listener, {
      path: requestPath(name, input),
      method,
      body: method === "GET" ? null : input,
      signal,
    });
    if (status === 200) return value;
    if (status === 404 || status === 405) refuseUnknown(errorFromBody(value), name);
    throw errorFromBody(value) ?? strange(`it answered ${path} with HTTP ${status}`);
  };
  const call: CallOperation = async (name, input, signal) => {
    const value = await answer(name, input, signal);
    const { path, output } = OPERATIONS[name];
    const fault = output.faultIn(value);
    if (fault === null) return value as OutputOf<typeof name>;
    const where = fault.path === "" ? "its root" : fault.path;
    throw strange(`its answer to ${path} is wrong at ${where}: expected ${fault.expected}`);
  };
  return {
    call,
    socketPath,
    mcpSocket,
    pid,
    startedAt,
    backendPhases: async (signal) => backendPhases(await answer("status", null, signal)),
    openEvents: (signal, { afterId = null } = {}) => openEventStream(listener, { signal, afterId }),
  };
}

/**
 * Throws if `error` means that the daemon is of an earlier version and does not know the operation: it answers 404 with
 * the code `protocol`. All other 404s have other codes.
 */
function refuseUnknown(error: MountaineerError | null, name: OperationName): void {
  if (error?.code !== "protocol") return;
  throw new MountaineerError(
    "protocol",
    `the running daemon is another version of Mountaineer, and does not know ${OPERATIONS[name].path}`,
    {
      cause: error,
      hint: "mountaineer restart runs the installed version",
    },
  );
}
