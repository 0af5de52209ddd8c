// The interfaces of the daemon's code inside a command: the engine run once, and the daemon in the foreground.
import type { Duplex } from "node:stream";
import type { ReaderProcess } from "../config/worker/reader-process.ts";
import type { StatusReport } from "./contract.ts";
import type { Ask, OperationName } from "./operations.ts";
import type { PageFiles } from "./page-files.ts";

/** How the engine is opened inside a single-shot command. */
export interface InProcessOptions {
  /** Absolute. */
  readonly home: string;
  /** What `--config` names, absolute; null is the home's own. */
  readonly configPath: string | null;
  /** "look" takes no lock, mounts nothing, writes nothing; "change" holds the home's lock until it is disposed. */
  readonly intent: "look" | "change";
  /** Noted with the lock, for commands that wait for it. */
  readonly command: string;
  /** Gives up waiting for the lock. */
  readonly signal: AbortSignal;
}

/** What answers some of the operations inside a command, in a daemon's stead. */
export interface InProcess<Names extends OperationName> extends AsyncDisposable {
  readonly ask: Ask<Names>;
}

export type EngineOperation =
  | ("status" | "verify" | "reconcile" | "mount" | "wake" | "unmount" | "switchRoute" | "unsent")
  | ("aliases" | "reconcileAliases" | "folders");
export type ToolOperation = "tools" | "catalog" | "toolChanges" | "call";

/** The share engine run once. */
export interface InProcessEngine extends InProcess<EngineOperation> {
  /** Drops what is remembered of a share that is no longer configured, as a daemon does at once. */
  forget(share: string): Promise<void>;
}

/** The gateway run once; disposing ends its backends. */
export interface InProcessGateway extends InProcess<ToolOperation> {
  /** Once every backend is ready or has failed. */
  status(signal: AbortSignal): Promise<Pick<StatusReport, "gateway" | "backends">>;
  /** Serves one client that speaks lines of JSON-RPC, as the owner, until the stream ends. */
  serveLines(stream: Duplex): void;
}

/** Approving without a daemon. */
export type InProcessApprovals = InProcess<"approvals" | "approve">;

/** How the daemon is run in the foreground. */
export interface MonitorOptions {
  /** Absolute. */
  readonly home: string;
  readonly configPath: string | null;
  /** Overrides the file until the next start; null leaves it to the file. */
  readonly intervalMs: number | null;
  readonly unmountOnExit: boolean;
  /** What starts a daemon like this one, at a handover. */
  readonly program: { readonly command: string; readonly args: readonly string[] };
  /** The page's files; absent: there is no page. */
  readonly page?: PageFiles | undefined;
  /** Started ahead; reads the configuration. */
  readonly reader: ReaderProcess;
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
