// The Config screen: the file, its way into the person's editor and back, a look at what a save would do before it, and the history.
import { basename } from "node:path";
import type { DaemonClient } from "../../api/client/client.ts";
import type { ConfigCheckReport, HistoryEntry } from "../../api/contract.ts";
import { mistakesText } from "../../api/words/outcome-words.ts";
import { expecting, isOwnError, MountaineerError } from "../../runtime/errors.ts";
import { onceMore } from "../../runtime/once-more.ts";
import type { DaemonLink } from "../link/daemon-link.ts";
import type { EditText } from "../terminal/lent-terminal.ts";
import { errorLine, type Prompt } from "../terminal/prompt.ts";
import type { KeyHelp, Screen } from "../terminal/screen.ts";
import { createStore } from "../terminal/store.ts";
import { configHints, configLines } from "./config-lines.ts";
import {
  type ConfigAction,
  type ConfigFile,
  type ConfigState,
  EMPTY_CONFIG,
  pressConfigKey,
  withCheck,
  withConfigSize,
  withConflict,
  withFailure,
  withFile,
  withHistory,
  withoutChanges,
  withRollback,
  withSaved,
  withVersion,
  withWritten,
} from "./config-state.ts";

const KEYS: readonly KeyHelp[] = [
  { keys: "Enter", does: "opens your editor (VISUAL, EDITOR or vi), then shows what a save would change" },
  { keys: "Ctrl-S", does: "shows that again; Enter then saves it" },
  { keys: "Esc", does: "drops what you wrote, after a question" },
  { keys: "h", does: "the history: who changed what and when" },
  { keys: "r", does: "in the history: rolls back to that version, after a question" },
];

interface ConfigScreenOptions {
  readonly link: Pick<DaemonLink, "connection" | "daemon" | "listen">;
  readonly prompt: Prompt;
  readonly edit: EditText;
  /** Ends with the program. */
  readonly signal: AbortSignal;
}

export function createConfigScreen(options: ConfigScreenOptions): Screen {
  const { link } = options;
  const state = createStore<ConfigState>(EMPTY_CONFIG);

  const { read, perform, saved } = createConfigErrands(state, options);
  return {
    key: "g",
    view: "Settings",
    title: "Config",
    about: "the configuration: edit, check, compare, roll back",
    keys: KEYS,
    changes: state,
    open(shown) {
      read();
      const unregister = link.listen((notice) => {
        const isChange =
          notice.kind === "connected" || (notice.kind === "event" && notice.event.kind !== "transition");
        if (isChange) read();
      });
      shown.addEventListener("abort", unregister, { once: true });
    },
    resize: (size) => state.set(withConfigSize(state.get(), size)),
    draw: (size) => configLines(state.get(), size),
    hints: () => configHints(state.get()),
    onKey(key) {
      const step = pressConfigKey(state.get(), key);
      state.set(step.state);
      if (step.action !== null) perform(step.action);
      return step.used;
    },
    holdsKeys() {
      const { busy } = state.get();
      // Until the text is there, keys would be another screen's; but who cannot have it must be able to go.
      return busy === "read" ? link.connection.get().kind === "connected" : busy !== null;
    },
    saved,
    warnUnsaved() {
      if (state.get().written === null) return false;
      const note = { tone: "warning", text: "not saved: Ctrl-S saves, q once more leaves" } as const;
      state.set({ ...state.get(), note });
      return true;
    },
  };
}

/** Shows what became of it; resolves with what it failed with, or null. */
type Attempt = (
  work: (client: DaemonClient) => Promise<(now: ConfigState) => ConfigState>,
) => Promise<string | null>;

/** What is asked of the daemon; the answers go into the state. */
function createConfigErrands(
  state: ReturnType<typeof createStore<ConfigState>>,
  { link, prompt, edit, signal }: ConfigScreenOptions,
): { read(): void; perform(action: ConfigAction): void; saved(): Promise<string | null> } {
  /** Settles when the newest save or rollback is answered: what kept it from being done, or null. */
  let saving: Promise<string | null> = Promise.resolve(null);
  const attempt: Attempt = async (work) => {
    try {
      const next = await work(await link.daemon());
      state.set(next(state.get()));
      return null;
    } catch (error) {
      if (signal.aborted) return null;
      if (!(error instanceof MountaineerError)) throw error;
      const failure = errorLine(error);
      state.set(withFailure(state.get(), failure));
      return failure;
    }
  };
  const read = onceMore(async () => {
    if (state.get().file === null) {
      state.set({ ...state.get(), busy: "read" });
      await attempt(async (client) => {
        const file = await fileOf(client, signal);
        return (now) => withFile(now, file);
      });
      return;
    }
    const reading = link.daemon().then((client) => fileOf(client, signal));
    // What is known stays; the first line says that the daemon is away.
    const file = await reading.catch(expecting(isOwnError, null));
    if (file !== null) state.set(withFile(state.get(), file));
  }, signal);

  const { rollBack, saveText } = createSaves(state, attempt, signal);

  const write = async (text: string): Promise<void> => {
    try {
      const written = await edit(basename(state.get().file?.path ?? "config.toml"), text);
      const step = withWritten(state.get(), written);
      state.set(step.state);
      if (step.action !== null) perform(step.action);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof MountaineerError)) throw error;
      state.set(withFailure(state.get(), errorLine(error)));
      // It may be another one by now.
      read();
    }
  };

  const perform = (action: ConfigAction): void => {
    switch (action.kind) {
      case "read":
        read();
        break;
      case "edit":
        void write(action.text);
        break;
      case "check":
        void attempt(async (client) => {
          const found = await checkOf(client, action.text, signal);
          return (now) => withCheck(now, found);
        });
        break;
      case "save":
        saving = saveText(action);
        break;
      case "history":
        void attempt(async (client) => {
          const { entries } = await client.ask("history", null, signal);
          const file = await fileOf(client, signal);
          return (now) => withHistory(withFile(now, file), entries);
        });
        break;
      case "version":
        void attempt(async (client) => {
          const text = await client.ask("historyText", { n: action.entry.n }, signal);
          return (now) => withVersion(now, action.entry, text);
        });
        break;
      case "rollback": {
        const { entry, sha256 } = action;
        prompt.ask(`Roll back to version ${entry.n} (${entry.summary})?`, () => {
          saving = rollBack(entry, sha256);
        });
        break;
      }
      case "drop":
        prompt.ask("Drop what you wrote and show the file again?", () =>
          state.set(withoutChanges(state.get())),
        );
    }
  };
  const saved = async (): Promise<string | null> => {
    const { busy } = state.get();
    return busy === "save" || busy === "rollback" ? saving : null;
  };
  return { read, perform, saved };
}

/** Each resolves with what kept it from being done, or null. */
function createSaves(
  state: ReturnType<typeof createStore<ConfigState>>,
  attempt: Attempt,
  signal: AbortSignal,
) {
  const rollBack = async (entry: HistoryEntry, sha256: string): Promise<string | null> => {
    let refusal: string | null = null;
    state.set({ ...state.get(), busy: "rollback" });
    const failure = await attempt(async (client) => {
      const request = { n: entry.n, sha256: entry.sha256, expected_sha256: sha256 };
      const report = await client.ask("rollback", request, signal);
      refusal = mistakesText(report.errors);
      const file = await fileOf(client, signal);
      return (now) => withFile(withRollback(now, entry, report), file);
    });
    return failure ?? refusal;
  };
  const saveText = async (action: Extract<ConfigAction, { kind: "save" }>): Promise<string | null> => {
    let refusal: string | null = null;
    const failure = await attempt(async (client) => {
      const answer = await save(client, action, signal);
      refusal = answer.refusal;
      return answer.next;
    });
    return failure ?? refusal;
  };
  return { rollBack, saveText };
}

async function fileOf(client: DaemonClient, signal: AbortSignal): Promise<ConfigFile> {
  const { path, sha256, text } = await client.ask("config", null, signal);
  return { path, sha256, text };
}

/** null: a daemon of an older version, which checks when it saves. */
async function checkOf(
  client: DaemonClient,
  text: string,
  signal: AbortSignal,
): Promise<ConfigCheckReport | null> {
  return client.ask("checkConfig", { text }, signal).catch(expecting("protocol", null));
}

/** A file that was changed underneath is read again, and shown beside what was typed. */
async function save(
  client: DaemonClient,
  { text, sha256 }: Extract<ConfigAction, { kind: "save" }>,
  signal: AbortSignal,
): Promise<{ refusal: string | null; next: (now: ConfigState) => ConfigState }> {
  try {
    const report = await client.ask("editText", { text, expected_sha256: sha256, source: "tui" }, signal);
    return { refusal: mistakesText(report.errors), next: (now) => withSaved(now, text, report) };
  } catch (error) {
    if (!(error instanceof MountaineerError) || error.code !== "config_changed") throw error;
    const fresh = await fileOf(client, signal);
    return { refusal: "somebody else changed the file", next: (now) => withConflict(now, fresh) };
  }
}
