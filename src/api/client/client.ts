// Owns the asking of a running daemon over its socket: finding it, deadlines, and trust in nothing it answers.
import { lstat } from "node:fs/promises";
import { connect } from "node:net";
import { errorText, MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { type Clock, systemClock } from "../../runtime/time/clock.ts";
import { type BackendPhases, backendPhases } from "../backend-phases.ts";
import {
  type AliasReport,
  type BackendLogsReport,
  type CallReport,
  CONFIG_OPERATIONS,
  type ConfigReport,
  type DaemonNote,
  type EditReport,
  type EditRequest,
  type EditTextRequest,
  type FoldersReport,
  GATEWAY_OPERATIONS,
  type HistoryReport,
  MANAGE_PREFIX,
  OPERATIONS,
  type OperationName,
  PLACE_OPERATIONS,
  type ReloadReport,
  type RestartReport,
  type RollbackRequest,
  type ShareRequest,
  type StatusReport,
  type StepReport,
  type SwitchRequest,
  type SyncReport,
  type ToolsReport,
  type UnmountRequest,
  type VerifyReport,
} from "../contract.ts";
import type { ConfigControl, DaemonControl, GatewayControl, PlaceControl } from "../control.ts";
import { errorFromBody } from "../http-errors.ts";
import { readDaemonNote } from "../socket/daemon-note.ts";
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
export interface RemoteConfig extends Omit<ConfigControl, "sync" | "listen"> {
  sync(signal: AbortSignal): Promise<SyncReport>;
}

export interface FollowFrom {
  /** Events after this one that are still kept come first; null, and by default, only those from now on. */
  readonly afterId?: number | null;
}

/** Every call may also reject with `daemon_unreachable`, `protocol`, or `aborted` when its signal did. */
export interface DaemonClient extends RemoteControl, RemoteConfig {
  readonly socketPath: string;
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
  const ask = async (name: string, method: string, body: object | null, signal: AbortSignal) => {
    const { status, value } = await exchange(listener, {
      path: `${MANAGE_PREFIX}/${name}`,
      method,
      body,
      signal,
    });
    if (status === 200) return value;
    throw errorFromBody(value) ?? strange(`it answered ${name} with HTTP ${status}`);
  };
  return {
    socketPath,
    mcpSocketPath,
    pid,
    gateway: gatewayCalls(ask),
    places: placeCalls(ask),
    startedAt: note?.started_at ?? null,
    backendPhases: async (signal) => backendPhases(await ask("status", OPERATIONS.status, null, signal)),
    ...shareCalls(ask),
    ...configCalls(ask),
    async *events(signal, { afterId = null } = {}) {
      using stream = await openEventStream(listener, { signal, afterId });
      yield* stream.events;
    },
    openEvents: (signal, { afterId = null } = {}) => openEventStream(listener, { signal, afterId }),
  };
}

type AskJson = (name: string, method: string, body: object | null, signal: AbortSignal) => Promise<unknown>;

function shareCalls(askFor: AskJson): RemoteControl {
  const ask = (operation: OperationName, body: object | null, signal: AbortSignal) =>
    askFor(operation, OPERATIONS[operation], body, signal);
  const askForSteps = async (
    operation: OperationName,
    body: ShareRequest | UnmountRequest | SwitchRequest,
    signal: AbortSignal,
  ) => {
    const value = await ask(operation, body, signal);
    const { stepReportSchema } = await import("./contract-schemas.ts");
    return expectShape<StepReport>(stepReportSchema, value, operation).results;
  };
  const shares = (selection: readonly string[] | null) => (selection === null ? null : [...selection]);
  return {
    async status(signal) {
      const value = await ask("status", null, signal);
      const { statusReportSchema } = await import("./contract-schemas.ts");
      return expectShape<StatusReport>(statusReportSchema, value, "status");
    },
    async verify(selection, signal) {
      const value = await ask("verify", { shares: shares(selection) }, signal);
      const { verifyReportSchema } = await import("./contract-schemas.ts");
      return expectShape<VerifyReport>(verifyReportSchema, value, "verify");
    },
    reconcile: (selection, signal) => askForSteps("reconcile", { shares: shares(selection) }, signal),
    mount: (selection, signal) => askForSteps("mount", { shares: shares(selection) }, signal),
    unmount: (selection, { force }, signal) =>
      askForSteps("unmount", { shares: shares(selection), force }, signal),
    switchRoute: (selection, { to, force, wait }, signal) =>
      askForSteps("switch", { shares: shares(selection), to, force, wait }, signal),
  };
}

function configCalls(askFor: AskJson): RemoteConfig {
  const ask = (operation: keyof typeof CONFIG_OPERATIONS, body: object | null, signal: AbortSignal) =>
    askFor(operation, CONFIG_OPERATIONS[operation], body, signal);
  const askForEdit = async (
    operation: "config/edit" | "config/text" | "config/rollback",
    body: EditRequest | EditTextRequest | RollbackRequest,
    signal: AbortSignal,
  ) => {
    const value = await ask(operation, body, signal);
    const { editReportSchema } = await import("./config-contract-schemas.ts");
    return expectShape<EditReport>(editReportSchema, value, operation);
  };
  return {
    async sync(signal) {
      const value = await ask("sync", null, signal);
      const { syncReportSchema } = await import("./config-contract-schemas.ts");
      return expectShape<SyncReport>(syncReportSchema, value, "sync");
    },
    async reload(request, signal) {
      const value = await ask("reload", request, signal);
      const { reloadReportSchema } = await import("./config-contract-schemas.ts");
      return expectShape<ReloadReport>(reloadReportSchema, value, "reload");
    },
    async config(signal) {
      const value = await ask("config", null, signal);
      const { configReportSchema } = await import("./config-contract-schemas.ts");
      return expectShape<ConfigReport>(configReportSchema, value, "config");
    },
    edit: (request, signal) => askForEdit("config/edit", request, signal),
    editText: (request, signal) => askForEdit("config/text", request, signal),
    rollback: (request, signal) => askForEdit("config/rollback", request, signal),
    async history(signal) {
      const value = await ask("config/history", null, signal);
      const { historyReportSchema } = await import("./config-contract-schemas.ts");
      return expectShape<HistoryReport>(historyReportSchema, value, "config/history");
    },
    async historyText(n, signal) {
      const name = `config/history/${n}`;
      const value = await askFor(name, "GET", null, signal);
      if (typeof value !== "string") throw strange(`its answer to ${name} is no text`);
      return value;
    },
  };
}

function placeCalls(askFor: AskJson): PlaceControl {
  const ask = (operation: keyof typeof PLACE_OPERATIONS, body: object | null, signal: AbortSignal) =>
    askFor(operation, PLACE_OPERATIONS[operation], body, signal);
  const askForAliases = async (operation: "aliases" | "aliases/reconcile", signal: AbortSignal) => {
    const value = await ask(operation, null, signal);
    const { aliasReportSchema } = await import("./contract-schemas.ts");
    return expectShape<AliasReport>(aliasReportSchema, value, operation);
  };
  return {
    aliases: (signal) => askForAliases("aliases", signal),
    reconcileAliases: (signal) => askForAliases("aliases/reconcile", signal),
    async folders(request, signal) {
      const value = await ask("folders", request, signal);
      const { foldersReportSchema } = await import("./contract-schemas.ts");
      return expectShape<FoldersReport>(foldersReportSchema, value, "folders");
    },
  };
}

function gatewayCalls(askFor: AskJson): GatewayControl {
  const ask = (operation: keyof typeof GATEWAY_OPERATIONS, body: object | null, signal: AbortSignal) =>
    askFor(operation, GATEWAY_OPERATIONS[operation], body, signal);
  return {
    async tools(signal) {
      const value = await ask("tools", null, signal);
      const { toolsReportSchema } = await import("./contract-schemas.ts");
      return expectShape<ToolsReport>(toolsReportSchema, value, "tools");
    },
    async call(request, signal) {
      const value = await ask("call", request, signal);
      const { callReportSchema } = await import("./contract-schemas.ts");
      return expectShape<CallReport>(callReportSchema, value, "call");
    },
    async restart(selection, signal) {
      const body = { backends: selection === null ? null : [...selection] };
      const value = await ask("backends/restart", body, signal);
      const { restartReportSchema } = await import("./contract-schemas.ts");
      return expectShape<RestartReport>(restartReportSchema, value, "backends/restart");
    },
    async logs(backend, signal) {
      const value = await ask("backends/logs", { backend }, signal);
      const { backendLogsReportSchema } = await import("./contract-schemas.ts");
      return expectShape<BackendLogsReport>(backendLogsReportSchema, value, "backends/logs");
    },
  };
}

interface Schema<T> {
  safeParse(
    value: unknown,
  ): { success: true; data: T } | { success: false; error: { issues: readonly Issue[] } };
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** Returns the value itself, not the schema's copy, so that fields of a newer daemon are kept. */
function expectShape<T>(schema: Schema<T>, value: unknown, operation: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return value as T;
  const [issue] = parsed.error.issues;
  throw strange(
    `its answer to ${operation} is wrong at ${issue?.path.join(".") || "its root"}: ${issue?.message}`,
  );
}
