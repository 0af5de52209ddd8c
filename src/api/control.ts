// The interfaces behind the management API: what a running daemon, or the engine run once in a command, can do.
import type { Duplex } from "node:stream";
import type { ForgottenToken, PageLink, Rights, ServerToken } from "./access-contract.ts";
import type { ApprovalsReport, ApproveReport, ApproveRequest } from "./approval-contract.ts";
import type { CatalogReport } from "./catalog-contract.ts";
import type {
  AliasReport,
  BackendLogsReport,
  BackendSwitchReport,
  CallReport,
  ClientsReport,
  ConfigCheckReport,
  ConfigReport,
  EditReport,
  FoldersReport,
  HandOverReport,
  HistoryReport,
  ReloadReport,
  RestartReport,
  StatusReport,
  StepResult,
  StreamEvent,
  SwitchToolsReport,
  SyncReport,
  ToolsReport,
  UnsentReport,
  VerifyReport,
} from "./contract.ts";
import type {
  FleetCheckReport,
  FleetLayerHistory,
  FleetLayerPut,
  FleetLayerReport,
  FleetLayerRequest,
  FleetLayerText,
  FleetReport,
} from "./fleet-contract.ts";
import type { PageFiles } from "./page-files.ts";
import type { AuditReport, AuditRequest, LogReport, LogRequest } from "./records-contract.ts";
import type {
  BackendSwitchRequest,
  CallRequest,
  CheckConfigRequest,
  EditRequest,
  EditTextRequest,
  FoldersRequest,
  ReloadRequest,
  RollbackRequest,
  SwitchTarget,
  SwitchToolsRequest,
  UnsentRequest,
} from "./requests.ts";

import type { TimelineReport } from "./timeline-contract.ts";
import type {
  ApproveToolsReport,
  ApproveToolsRequest,
  ToolChangesReport,
  ToolChangesRequest,
} from "./tool-changes-contract.ts";

/** Which shares a command means: null is all. Unknown names reject with `share_unknown`. */
export type ShareSelection = readonly string[] | null;

export interface DaemonControl {
  /** What is known now; never waits for a mount or a host. */
  status(): StatusReport;
  /** A fresh look at everything, no step taken. */
  verify(selection: ShareSelection, signal: AbortSignal): Promise<VerifyReport>;
  /** One cycle of each share, until it has nothing more to do at once. */
  reconcile(selection: ShareSelection, signal: AbortSignal): Promise<readonly StepResult[]>;
  mount(selection: ShareSelection, signal: AbortSignal): Promise<readonly StepResult[]>;
  unmount(
    selection: ShareSelection,
    options: { force: boolean },
    signal: AbortSignal,
  ): Promise<readonly StepResult[]>;
  /** `wait`: until open files close, or the signal aborts. */
  switchRoute(
    selection: ShareSelection,
    options: { to: SwitchTarget; force: boolean; wait: boolean },
    signal: AbortSignal,
  ): Promise<readonly StepResult[]>;
  /**
   * What waits for which server, and where; after a person's word: how it is then. Rejects with `usage` where that cannot
   * be done, also because files are open.
   */
  unsent(request: UnsentRequest, signal: AbortSignal): Promise<UnsentReport>;
}

/** The places by which people reach shares: aliases, and the folders inside. */
export interface PlaceControl {
  /** A fresh look at every alias; changes nothing. */
  aliases(signal: AbortSignal): Promise<AliasReport>;
  /** Makes, mends and removes their links, and tells how each is then. */
  reconcileAliases(signal: AbortSignal): Promise<AliasReport>;
  /**
   * The folders in a folder of a share, within a deadline. Rejects with `share_unknown`, `share_unavailable` (not
   * mounted, or no answer), `path_unknown` (no folder there, or it lies outside the share), `permission_denied` and
   * `usage` (a path that leads out).
   */
  folders(request: FoldersRequest, signal: AbortSignal): Promise<FoldersReport>;
}

/** What a running service can do with its configuration; every edit made here applies itself at once. */
export interface ConfigControl {
  sync(): SyncReport;
  /** Reads the file again and applies it; resolves at commit. A rejected file is a value, not an error. */
  reload(request: ReloadRequest, signal: AbortSignal): Promise<ReloadReport>;
  config(signal: AbortSignal): Promise<ConfigReport>;
  /**
   * Rejects with `config_changed` when the file is not what was expected, and with `commands_refused` when it would change
   * what runs and `rights` (default: the owner's) do not reach so far. Whoever has those approves what they change.
   */
  edit(request: EditRequest, signal: AbortSignal, rights?: Rights): Promise<EditReport>;
  editText(request: EditTextRequest, signal: AbortSignal, rights?: Rights): Promise<EditReport>;
  /** What a text would do as the file, held against what runs; mistakes are a value. Writes nothing. */
  check(request: CheckConfigRequest, signal: AbortSignal): Promise<ConfigCheckReport>;
  history(signal: AbortSignal): Promise<HistoryReport>;
  /** What waits for a person's approval. */
  approvals(): ApprovalsReport;
  /** Rejects with `entry_unknown`, `config_changed` (something else waits than was shown) and `secret_unavailable`. */
  approve(request: ApproveRequest, signal: AbortSignal): Promise<ApproveReport>;
  /** The text of an accepted content. */
  historyText(n: number, signal: AbortSignal): Promise<string>;
  rollback(request: RollbackRequest, signal: AbortSignal, rights?: Rights): Promise<EditReport>;
  /** Hears every event from now on; `afterId` first replays those after it that are kept. Returns its unregister. */
  listen(afterId: number | null, listener: (id: number, event: StreamEvent) => void): () => void;
}

/**
 * What can be asked of the gateway. Without one, all reject with `gateway_off`; unknown names reject with
 * `backend_unknown`.
 */
export interface GatewayControl {
  /** What is published; a single-shot command first waits until every backend is ready or has failed. */
  tools(signal: AbortSignal): Promise<ToolsReport>;
  /** Names are those that clients use. Rejects with `tool_unknown` and `secret_unavailable`. */
  switchTools(request: SwitchToolsRequest, signal: AbortSignal): Promise<SwitchToolsReport>;
  /** Clients that are connected now. */
  clients(signal: AbortSignal): Promise<ClientsReport>;
  /** All that clients are offered, and what is kept from them; bounded. */
  catalog(signal: AbortSignal): Promise<CatalogReport>;
  /** A tool's error is an answer; the owner may call whatever is published. */
  call(request: CallRequest, signal: AbortSignal): Promise<CallReport>;
  /** Tools that are not as they were approved. */
  toolChanges(request: ToolChangesRequest, signal: AbortSignal): Promise<ToolChangesReport>;
  /** Approves them as they were seen; what is another by now is left. */
  approveTools(request: ApproveToolsRequest, signal: AbortSignal): Promise<ApproveToolsReport>;
  restart(selection: readonly string[] | null, signal: AbortSignal): Promise<RestartReport>;
  /** Serves a backend over one of its routes, and holds it there unless it is the first. */
  switchRoute(request: BackendSwitchRequest, signal: AbortSignal): Promise<BackendSwitchReport>;
  logs(backend: string, signal: AbortSignal): Promise<BackendLogsReport>;
  /** What the audit has, newest first; also answers where no gateway is configured. Rejects with `timed_out`. */
  audit(request: AuditRequest, signal: AbortSignal): Promise<AuditReport>;
}

/** The machines that know of each other. */
export interface FleetControl {
  /**
   * What the machines tell, once it is known who of them is there: within seconds, mostly at once. Rejects with
   * `fleet_off` where no fleet is configured.
   */
  fleet(): Promise<FleetReport>;
  /** The configuration that all have in common, as it stands. Rejects with `fleet_off` and `fleet_unreachable`. */
  layer(signal: AbortSignal): Promise<FleetLayerReport>;
  layerHistory(signal: AbortSignal): Promise<FleetLayerHistory>;
  /** The text of a revision. Rejects with `history_unknown`, too. */
  layerText(revision: number, signal: AbortSignal): Promise<FleetLayerText>;
  /**
   * Puts one that is signed in its place. Rejects with `config_changed` when another one was first, `usage` for one that
   * this machine would not believe, and `permission_denied`.
   */
  putLayer(request: FleetLayerRequest, signal: AbortSignal): Promise<FleetLayerPut>;
  /** Tries what the server permits, changing nothing. Rejects with `fleet_off` and `fleet_unreachable`. */
  check(signal: AbortSignal): Promise<FleetCheckReport>;
}

/** How it was over the last day, as far as the daemon knows. */
export interface TimelineControl {
  timeline(): Promise<TimelineReport>;
}

/** What a daemon wrote about itself. */
export interface LogControl {
  /** Newest first. Rejects with `timed_out` when the disk does not answer. */
  log(request: LogRequest, signal: AbortSignal): Promise<LogReport>;
}

/** A daemon that can make room for the next one. */
export interface HandoverControl {
  /**
   * Starts the program that is installed now; resolves when that is ready to take over, and will. Rejects with
   * `handover_failed`, and all is as before.
   */
  begin(signal: AbortSignal): Promise<HandOverReport>;
}

/** The ways into the management API over HTTP, as their owner makes them. */
export interface AccessControl {
  /** Good for a minute, once. Rejects with `gateway_off` where nothing listens, or nothing is served there. */
  openPage(): Promise<PageLink>;
  /** The one before opens nothing any more. Rejects with `home_unwritable`. */
  makeToken(): Promise<ServerToken>;
  /** Rejects with `home_unwritable`. */
  forgetToken(): Promise<ForgottenToken>;
}

/** How the engine is opened inside a single-shot command. */
export interface InProcessOptions {
  /** Absolute. */
  readonly home: string;
  /** What `--config` names, absolute; null is the home's own. */
  readonly configPath: string | null;
  /** "look" takes no lock, mounts nothing, writes nothing; "change" holds the home's lock until it is disposed. */
  readonly intent: "look" | "change";
  /** Kept with the lock, for whoever waits for it. */
  readonly command: string;
  /** Gives up waiting for the lock. */
  readonly signal: AbortSignal;
  /** False: of shares only those are looked at that are asked about; `status` knows nothing of them. Default true. */
  readonly looksFirst?: boolean;
}

/** The engine run once inside a command. */
export interface InProcessControl extends DaemonControl, AsyncDisposable {
  readonly places: PlaceControl;
  /** Drops what is remembered of a share that is no longer configured, as a daemon does at once. */
  forget(share: string): Promise<void>;
}

/** Approving without a daemon; as `ConfigControl` has it. */
export interface ApprovalsControl extends AsyncDisposable {
  approvals(): Promise<ApprovalsReport>;
  approve(request: ApproveRequest): Promise<ApproveReport>;
}

/** The gateway run once inside a command; disposing ends its backends. */
export interface InProcessGateway extends AsyncDisposable {
  readonly control: GatewayControl;
  /** Once every backend is ready or has failed. */
  status(signal: AbortSignal): Promise<Pick<StatusReport, "gateway" | "backends">>;
  /** Serves one client that speaks lines of JSON-RPC, as the owner, until the stream ends. */
  serveLines(stream: Duplex): void;
}

/** How the daemon is run in the foreground. */
export interface MonitorOptions {
  /** Absolute. */
  readonly home: string;
  readonly configPath: string | null;
  /** Beats the file until the next start; null leaves it to the file. */
  readonly intervalMs: number | null;
  readonly unmountOnExit: boolean;
  /** What starts a daemon like this one, at a handover. */
  readonly program: { readonly command: string; readonly args: readonly string[] };
  /** The page's files; absent: there is no page. */
  readonly page?: PageFiles | undefined;
  /** Stop in order: no new step, a step begun is finished, 5 s in all. */
  readonly signal: AbortSignal;
  /** Stop now. */
  readonly forceSignal: AbortSignal;
  /**
   * Registers what a SIGHUP calls, and returns its unregister. One that came before is told once somebody listens,
   * never synchronously.
   */
  readonly reloadRequests: (listener: () => void) => () => void;
}
