// Sample configuration controls for tests of the API and the command line.
import type { ApprovalsReport, WaitingEntryWire } from "../../src/api/contract/approvals.ts";
import type {
  ConfigMistakeWire,
  ConfigReport,
  EditReport,
  HistoryEntry,
  ReloadReport,
  SyncEvent,
  SyncReport,
} from "../../src/api/contract/config.ts";
import type { StreamEvent } from "../../src/api/contract/contract.ts";
import type { Control, InputOf, OutputOf } from "../../src/api/operations/operations.ts";
import type { Events } from "../../src/api/server/event-streams.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { secondsAgo } from "./sample-report.ts";

export const SHA256 = "0123456789abcdef".repeat(4);

export function sampleSyncEvent(changes: Partial<SyncEvent> = {}): SyncEvent {
  return {
    id: 1,
    time: "14:32:05",
    iso: secondsAgo(5),
    generation: 2,
    type: "changed",
    details: "1 share reloaded",
    ...changes,
  };
}

export function sampleSyncReport(changes: Partial<SyncReport> = {}): SyncReport {
  return {
    config_path: "/home/ada/.mountaineer/config.toml",
    sha256: SHA256,
    generation: 2,
    watching: "live",
    last_sync: secondsAgo(5),
    last_error: null,
    degraded: null,
    file_missing: false,
    settings: { enabled: true, poll_interval: 2, debounce: 1, detection: "mtime", on_failure: "backoff" },
    events: [sampleSyncEvent()],
    ...changes,
  };
}

/** Without its events. */
export function sampleSync(changes: Partial<SyncReport> = {}): Omit<SyncReport, "events"> {
  const { events: _, ...sync } = sampleSyncReport(changes);
  return sync;
}

/** What the stream tells of it. */
export function sampleSyncState(changes: Partial<SyncReport> = {}): StreamEvent {
  return { kind: "sync_state", sync: sampleSync(changes) };
}

export function sampleCheck(changes: Partial<OutputOf<"checkConfig">> = {}): OutputOf<"checkConfig"> {
  const would_change = sampleReload({ dry_run: true, reloaded: false });
  return { mistakes: [], would_change, waits_for_approval: ["backends.files"], ...changes };
}

export function sampleReload(changes: Partial<ReloadReport> = {}): ReloadReport {
  const none = { added: [], removed: [], changed: [] };
  return {
    reloaded: true,
    dry_run: false,
    generation: 3,
    sha256: SHA256,
    settings: [],
    shares: none,
    backends: none,
    middleware: [],
    errors: [],
    failure: null,
    summary: "settings reloaded",
    ...changes,
  };
}

export function sampleApprovals(): ApprovalsReport {
  const entry = {
    id: "backends.files",
    name: "files",
    kind: "runs",
    summary: "server files would run evil instead",
    approved: 'command = "serve"\n',
    waiting: 'command = "evil"\n',
    digest: SHA256,
  };
  return { mode: "commands", asked: null, lost: null, waiting: [entry] };
}

export function sampleEdit(changes: Partial<EditReport> = {}): EditReport {
  const path = "/home/ada/.mountaineer/config.toml";
  return { changed: true, path, sha256: SHA256, errors: [], reload: sampleReload(), ...changes };
}

export function sampleConfig(changes: Partial<ConfigReport> = {}): ConfigReport {
  const path = "/home/ada/.mountaineer/config.toml";
  return { path, format: "toml", sha256: SHA256, text: "# é\n", running_sha256: SHA256, ...changes };
}

export function sampleMistake(changes: Partial<ConfigMistakeWire> = {}): ConfigMistakeWire {
  return {
    file: "/home/ada/.mountaineer/config.toml",
    line: 3,
    column: 1,
    path: "global.share_root",
    found: "an unknown key",
    expected: "a key of `[global]`",
    hint: "did you mean `shares_root`?",
    ...changes,
  };
}

export function sampleEntry(n: number, changes: Partial<HistoryEntry> = {}): HistoryEntry {
  return {
    n,
    time: secondsAgo(60 * n),
    sha256: SHA256,
    source: "file",
    summary: "settings reloaded",
    ...changes,
  };
}

type ConfigControl = Pick<
  Control,
  | ("sync" | "reload" | "config" | "edit" | "editText" | "checkConfig" | "approvals" | "approve")
  | ("history" | "historyText" | "rollback")
>;

export interface ScriptedConfig extends ConfigControl, Events {
  readonly calls: { readonly name: string; readonly request: unknown; readonly signal: AbortSignal }[];
  /** Tells all listeners, with the next id. */
  emit(event: StreamEvent): void;
  readonly listenerCount: number;
  /** Accepted contents, newest first. */
  readonly texts: string[];
  /** What waits for approval. */
  readonly waiting: WaitingEntryWire[];
  readonly edits: InputOf<"edit">[];
  readonly approved: InputOf<"approve">[];
}

export interface ConfigScript {
  readonly sync?: SyncReport;
  readonly config?: ConfigReport;
  readonly reload?: () => ReloadReport | Promise<ReloadReport>;
  readonly edit?: () => EditReport | Promise<EditReport>;
}

/** A control that notes every call and answers what the script says; it keeps every event for replay. */
export function scriptedConfig(script: ConfigScript = {}): ScriptedConfig {
  const calls: ScriptedConfig["calls"] = [];
  const kept: { id: number; event: StreamEvent }[] = [];
  const listeners = new Set<(id: number, event: StreamEvent) => void>();
  const texts = ["# now\n", "# before\n"];
  const waiting = [...sampleApprovals().waiting];
  const edits: InputOf<"edit">[] = [];
  const approved: InputOf<"approve">[] = [];
  const textOf = (n: number): string => {
    const text = texts[n];
    if (text === undefined) throw new MountaineerError("history_unknown", `the history has no entry ${n}`);
    return text;
  };
  const edit = async (name: string, request: unknown, signal: AbortSignal): Promise<EditReport> => {
    calls.push({ name, request, signal });
    return (await script.edit?.()) ?? sampleEdit();
  };
  return {
    calls,
    texts,
    waiting,
    edits,
    approved,
    sync: () => script.sync ?? sampleSyncReport(),
    async reload(request, signal) {
      calls.push({ name: "reload", request, signal });
      return (await script.reload?.()) ?? sampleReload({ dry_run: request.dry_run === true });
    },
    config: async () => script.config ?? sampleConfig(),
    edit(request, signal) {
      edits.push(request);
      return edit("edit", request, signal);
    },
    editText: (request, signal) => edit("editText", request, signal),
    rollback: (request, signal) => edit("rollback", request, signal),
    approvals: () => ({ ...sampleApprovals(), waiting }),
    async approve(request, signal) {
      calls.push({ name: "approve", request, signal });
      approved.push(request);
      const ids = request.entries.map(({ id }) => id);
      return { approved: ids, reload: sampleReload(), now: { ...sampleApprovals(), waiting: [] } };
    },
    async checkConfig(request, signal) {
      calls.push({ name: "checkConfig", request, signal });
      return sampleCheck();
    },
    history: async () => ({ entries: texts.map((_, n) => sampleEntry(n)) }),
    historyText: async ({ n }) => textOf(n),
    listen(afterId, listener) {
      if (afterId !== null) for (const { id, event } of kept) if (id > afterId) listener(id, event);
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    emit(event) {
      const id = kept.length + 1;
      kept.push({ id, event });
      for (const listener of [...listeners]) listener(id, event);
    },
    get listenerCount() {
      return listeners.size;
    },
  };
}
