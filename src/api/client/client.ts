// The client of a running daemon: finds its socket, asks with deadlines, and checks every answer.
import { lstat } from "node:fs/promises";
import { connect } from "node:net";
import { errorText, MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { type Clock, systemClock } from "../../runtime/time/clock.ts";
import type { ApprovalsReport } from "../approval-contract.ts";
import { type BackendPhases, backendPhases } from "../backend-phases.ts";
import type { HandOverReport, StatusReport, SyncReport } from "../contract.ts";
import type { ConfigControl, DaemonControl, GatewayControl, PlaceControl } from "../control.ts";
import { errorFromBody } from "../http-errors.ts";
import { type InputOf, OPERATIONS, type OperationName, type OutputOf, requestPath } from "../operations.ts";
import { type DaemonNote, readDaemonNote } from "../socket/daemon-note.ts";
import { defaultSocketPath, MCP_SOCKET } from "../socket/private-socket.ts";
import { type EventStream, openEventStream, type StreamedEvent } from "./event-client.ts";
import { exchange, type Listener, strange } from "./http-exchange.ts";

// The daemon's thread never blocks and says every 2 s that a request is under way, so 6 s of silence are a hang.
const SILENCE_DEADLINE_MS = 6_000;
const CONNECT_DEADLINE_MS = 2_000;

/** The control of a daemon, as far as it can be had from outside: everything takes a while, and may be cancelled. */
export interface RemoteControl extends Omit<DaemonControl, "status"> {
  status(signal: AbortSignal): Promise<StatusReport>;
}

/** The configuration of a running daemon, likewise. */
interface RemoteConfig extends Omit<ConfigControl, "sync" | "listen" | "approvals"> {
  approvals(signal: AbortSignal): Promise<ApprovalsReport>;
  sync(signal: AbortSignal): Promise<SyncReport>;
}

interface FollowFrom {
  /** Events after this one that are still kept come first; null, and by default, only those from now on. */
  readonly afterId?: number | null;
}

/** Every call may also reject with `daemon_unreachable`, `protocol`, or `aborted` when its signal did. */
export interface DaemonClient extends RemoteControl, RemoteConfig {
  readonly socketPath: string;
  /** As `HandoverControl.begin`. */
  handOver(signal: AbortSignal): Promise<HandOverReport>;
  /** Where it serves MCP clients, if it has a gateway. */
  readonly mcpSocketPath: string;
  /** A call that is cancelled here is cancelled there. */
  readonly gateway: GatewayControl;
  readonly places: PlaceControl;
  /** As its daemon.json says; null when that is not known. */
  readonly pid: number | null;
  /** Likewise, ISO 8601 UTC; with the pid it tells one daemon from the next. */
  readonly startedAt: string | null;
  /** Of the backends that are enabled; null while no gateway is configured. Understands a daemon of any version. */
  backendPhases(signal: AbortSignal): Promise<BackendPhases | null>;
  /**
   * What happens from now on, until the daemon ends the stream: when it stops, or after a `gap` because this reader
   * is too slow. Survives nothing by itself; `followDaemon` does.
   */
  events(signal: AbortSignal, from?: FollowFrom): AsyncGenerator<StreamedEvent, void, undefined>;
  /** The same, resolved once no later event can be missed. */
  openEvents(signal: AbortSignal, from?: FollowFrom): Promise<EventStream>;
}

export interface ConnectOptions {
  readonly clock?: Clock;
  /** How long a daemon may show no sign of life. */
  readonly silenceMs?: number;
}

/**
 * The daemon of this home, or null when none listens: no socket, or one that a dead daemon left. Rejects with
 * `permission_denied` when it is somebody else's.
 */
export async function connectToDaemon(
  home: string,
  options: ConnectOptions = {},
): Promise<DaemonClient | null> {
  const note = await readDaemonNote(home);
  const usual = defaultSocketPath(home);
  // The usual path too: after a crash the note may be older than the socket beside it.
  for (const path of new Set(note === null ? [usual] : [note.socket, usual])) {
    if (await isListening(path)) {
      const own = note?.socket === path ? note : null;
      const mcpSocketPath = own?.mcp_socket ?? defaultSocketPath(home, MCP_SOCKET);
      return createClient({ socketPath: path, mcpSocketPath, note: own }, options);
    }
  }
  return null;
}

async function isListening(path: string): Promise<boolean> {
  try {
    await lstat(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT" || systemErrorCode(error) === "ENOTDIR") return false;
    throw notAllowed(path, error);
  }
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    // A full backlog leaves the caller waiting: somebody is there, and the request will tell how well.
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

interface FoundDaemon {
  readonly socketPath: string;
  readonly mcpSocketPath: string;
  readonly note: DaemonNote | null;
}

function createClient(
  { socketPath, mcpSocketPath, note }: FoundDaemon,
  options: ConnectOptions,
): DaemonClient {
  const { clock = systemClock, silenceMs = SILENCE_DEADLINE_MS } = options;
  const pid = note?.pid ?? null;
  const listener: Listener = { socketPath, pid, clock, silenceMs };
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
  const ask: Ask = async (name, input, signal) => {
    const value = await answer(name, input, signal);
    const { path, output } = OPERATIONS[name];
    const fault = output.faultIn(value);
    if (fault === null) return value as OutputOf<typeof name>;
    const where = fault.path === "" ? "its root" : fault.path;
    throw strange(`its answer to ${path} is wrong at ${where}: expected ${fault.expected}`);
  };
  return {
    socketPath,
    mcpSocketPath,
    pid,
    startedAt: note?.started_at ?? null,
    backendPhases: async (signal) => backendPhases(await answer("status", null, signal)),
    ...shareCalls(ask),
    gateway: {
      tools: (signal) => ask("tools", null, signal),
      call: (request, signal) => ask("call", request, signal),
      toolChanges: (request, signal) => ask("toolChanges", request, signal),
      approveTools: (request, signal) => ask("approveTools", request, signal),
      restart: (backends, signal) => ask("restart", { backends }, signal),
      switchRoute: (request, signal) => ask("switchBackend", request, signal),
      logs: (backend, signal) => ask("logs", { backend }, signal),
    },
    places: {
      aliases: (signal) => ask("aliases", null, signal),
      reconcileAliases: (signal) => ask("reconcileAliases", null, signal),
      folders: (request, signal) => ask("folders", request, signal),
    },
    handOver: (signal) => ask("handOver", null, signal),
    sync: (signal) => ask("sync", null, signal),
    reload: (request, signal) => ask("reload", request, signal),
    config: (signal) => ask("config", null, signal),
    edit: (request, signal) => ask("edit", request, signal),
    editText: (request, signal) => ask("editText", request, signal),
    approvals: (signal) => ask("approvals", null, signal),
    approve: (request, signal) => ask("approve", request, signal),
    history: (signal) => ask("history", null, signal),
    historyText: (n, signal) => ask("historyText", { n }, signal),
    rollback: (request, signal) => ask("rollback", request, signal),
    async *events(signal, { afterId = null } = {}) {
      using stream = await openEventStream(listener, { signal, afterId });
      yield* stream.events;
    },
    openEvents: (signal, { afterId = null } = {}) => openEventStream(listener, { signal, afterId }),
  };
}

/** A daemon that is still of the version before an upgrade answers so; what it does not find has codes of its own. */
function refuseUnknown(error: MountaineerError | null, name: OperationName): void {
  if (error?.code !== "protocol") return;
  throw new MountaineerError(
    "protocol",
    `the daemon that runs is of another version of Mountaineer, and does not know ${OPERATIONS[name].path}`,
    {
      cause: error,
      // One that cannot hand over is not helped by `mountaineer restart`.
      hint:
        name === "handOver"
          ? "this once: mountaineer install renews a service and restarts it; stop one in a terminal and start it again"
          : "mountaineer restart runs the version that is installed; a daemon that does not know it: stop it and start it again",
    },
  );
}

/** Resolves with the value itself, so that fields of a newer daemon are kept. */
type Ask = <Name extends OperationName>(
  name: Name,
  input: InputOf<Name> & (object | null),
  signal: AbortSignal,
) => Promise<OutputOf<Name>>;

function shareCalls(ask: Ask): RemoteControl {
  const steps = async (report: Promise<OutputOf<"mount">>) => (await report).results;
  return {
    status: (signal) => ask("status", null, signal),
    verify: (shares, signal) => ask("verify", { shares }, signal),
    reconcile: (shares, signal) => steps(ask("reconcile", { shares }, signal)),
    mount: (shares, signal) => steps(ask("mount", { shares }, signal)),
    unmount: (shares, { force }, signal) => steps(ask("unmount", { shares, force }, signal)),
    switchRoute: (shares, { to, force, wait }, signal) =>
      steps(ask("switchRoute", { shares, to, force, wait }, signal)),
  };
}
