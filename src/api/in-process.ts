// Interfaces of daemon code that a command runs in its own process: the parts that it needs without a daemon, and the
// whole daemon in the foreground.
import type { Duplex } from "node:stream";
import type { CallOperation, StepOperation } from "./operations/operations.ts";
import type { PageFiles } from "./page-files.ts";

/** How a command opens a home in its own process. */
export interface WithoutDaemonOptions {
  /** Absolute. */
  readonly home: string;
  /** The file of `--config`, absolute; null: the home's own. */
  readonly configPath: string | null;
  /**
   * "look" takes no lock, mounts nothing and writes nothing; the others hold the home's lock until disposal, and "approve"
   * also writes approvals.
   */
  readonly intent: "look" | "change" | "approve";
  /** The text that commands show while they wait for the lock; it is stored beside the lock. */
  readonly command: string;
  /** When it aborts, the wait for the lock ends. */
  readonly signal: AbortSignal;
}

/** The operations that work without a daemon. */
export type WithoutDaemonOperation =
  | StepOperation
  | ("status" | "verify" | "aliases" | "reconcileAliases")
  | ("tools" | "catalog" | "people" | "toolChanges" | "call")
  | ("approvals" | "approve");

/** A home, opened for one command without a daemon; disposing ends what was started. */
export interface WithoutDaemon extends AsyncDisposable {
  readonly call: CallOperation<WithoutDaemonOperation>;
  /** Starts the gateway and its backends. Rejects with `gateway_off`. */
  gateway(): Promise<WithoutDaemonGateway>;
}

export interface WithoutDaemonGateway {
  /** Resolves once every backend is ready or has failed. */
  whenStarted(signal: AbortSignal): Promise<void>;
  /**
   * Serves one client over lines of JSON-RPC, with the owner's rights, until the stream ends. `folder`: where the client
   * was started.
   */
  serveLines(stream: Duplex, folder?: string): void;
}

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
  /** Programs that the daemon may start, with their files. It keeps running when they are removed. */
  readonly neededPrograms: readonly string[];
  /** Keeps the code that V8 has compiled for the next start; called once this one is over. Blocks the thread for 20 ms. */
  readonly keepCompiledCode: () => void;
  /** The page's files; absent: there is no page. */
  readonly page?: PageFiles | undefined;
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

/** What a person reads before they answer. No secret is in it. */
export interface RestoreReport {
  /** `time`: ISO 8601 UTC. `version`: of Mountaineer. */
  readonly made: Readonly<Record<"time" | "machine" | "version" | "user" | "home", string>>;
  /** What will run, and who may do what: the entries of the configuration that takes effect, as in the file. */
  readonly runs: readonly { readonly id: string; readonly text: string }[];
  /** Entries of the file that wait for an approval there as well. */
  readonly waits: readonly string[];
  readonly people: readonly string[];
  /** Programs that act for people. */
  readonly programs: readonly string[];
  readonly hasManagementToken: boolean;
  /** The servers with a sign-in. */
  readonly signIns: readonly string[];
  readonly secrets: readonly string[];
  /** Earlier versions of the configuration, to which a person may go back. */
  readonly versions: number;
  /** The machine's name in its fleet. `key`: the secret with its key, which a copy does not get; null: it is elsewhere. */
  readonly fleet: { readonly name: string; readonly key: string | null } | null;
  /** What this machine lacks. */
  readonly missing: readonly string[];
  /** Ended since, and valid again; null: the present home is not the later self of the backup, or there is none. */
  readonly broughtBack: readonly string[] | null;
}
