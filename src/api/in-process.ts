// Interfaces of daemon code that a command runs in its own process: the share engine and the gateway for one
// command, and the whole daemon in the foreground.
import type { Duplex } from "node:stream";
import type { ReaderProcess } from "../config/worker/reader-process.ts";
import type { StatusReport } from "./contract/contract.ts";
import type { Ask, OperationName, StepOperation } from "./operations/operations.ts";
import type { PageFiles } from "./page-files.ts";

/** How a command opens the engine in its own process. */
export interface InProcessOptions {
  /** Absolute. */
  readonly home: string;
  /** The file of `--config`, absolute; null: the home's own. */
  readonly configPath: string | null;
  /** "look" takes no lock, mounts nothing and writes nothing; "change" holds the home's lock until disposal. */
  readonly intent: "look" | "change";
  /** The text that commands show while they wait for the lock; it is stored beside the lock. */
  readonly command: string;
  /** When it aborts, the wait for the lock ends. */
  readonly signal: AbortSignal;
}

/** Performs some of the operations inside a command, without a daemon. */
export interface InProcess<Names extends OperationName> extends AsyncDisposable {
  readonly ask: Ask<Names>;
}

export type EngineOperation =
  | StepOperation
  | ("status" | "verify" | "unsent" | "aliases" | "reconcileAliases" | "folders");
export type ToolOperation = "tools" | "catalog" | "toolChanges" | "call";

/** The share engine, opened for one command. */
export type InProcessEngine = InProcess<EngineOperation>;

/** The gateway, opened for one command; disposing ends its backends. */
export interface InProcessGateway extends InProcess<ToolOperation> {
  /** Resolves once every backend is ready or has failed. */
  status(signal: AbortSignal): Promise<Pick<StatusReport, "gateway" | "backends">>;
  /**
   * Serves one client over lines of JSON-RPC, with the owner's rights, until the stream ends. `folder`: where the client
   * was started.
   */
  serveLines(stream: Duplex, folder?: string): void;
}

/** Lists and approves waiting entries inside a command, without a daemon. */
export type InProcessApprovals = InProcess<"approvals" | "approve">;

/** How the daemon is run in the foreground. */
export interface MonitorOptions {
  /** Absolute. */
  readonly home: string;
  readonly configPath: string | null;
  /**
   * `--interval`: time between checks of the shares, ms, in place of the file's `check_interval_secs`; null:
   * the file's value applies.
   */
  readonly intervalMs: number | null;
  readonly unmountOnExit: boolean;
  /** The command line that starts the next daemon at a handover. */
  readonly program: { readonly command: string; readonly args: readonly string[] };
  /** The page's files; absent: there is no page. */
  readonly page?: PageFiles | undefined;
  /** The process that reads the configuration, already started. */
  readonly reader: ReaderProcess;
  /**
   * When it aborts, the daemon stops gracefully: it begins no new steps, and steps under way finish within 5
   * s.
   */
  readonly signal: AbortSignal;
  /** When it aborts, the daemon stops at once. */
  readonly forceSignal: AbortSignal;
  /**
   * Registers a listener for SIGHUP, and returns a function that unregisters it. If a SIGHUP came before any
   * listener, the first listener is called for it, asynchronously.
   */
  readonly reloadRequests: (listener: () => void) => () => void;
}
