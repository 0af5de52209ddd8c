// The Config screen: shows the file, opens it in the user's editor, reviews and saves the changes, and shows the history.
import { basename } from "node:path";
import type { HistoryEntry } from "../../api/contract/config.ts";
import { mistakesText } from "../../api/words/outcome-words.ts";
import { expecting, isOwnError, MountaineerError } from "../../runtime/errors.ts";
import { onceMore } from "../../runtime/once-more.ts";
import type { DaemonLink } from "../link/daemon-link.ts";
import { attempt, errorLine } from "../terminal/attempt.ts";
import type { EditText } from "../terminal/lent-terminal.ts";
import type { Prompt } from "../terminal/prompt.ts";
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
  readonly link: Pick<DaemonLink, "ask" | "connection" | "listen">;
  readonly prompt: Prompt;
  readonly edit: EditText;
  /** Aborts when the program ends. */
  readonly signal: AbortSignal;
}

export function createConfigScreen(options: ConfigScreenOptions): Screen {
  const { link } = options;
  const state = createStore<ConfigState>(EMPTY_CONFIG);
  const { read, take, saved } = createConfigRequests(state, options);
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
      take(step);
      return step.used;
    },
    holdsKeys() {
      const { busy } = state.get();
      // Holds keys back until the file is read, because they would otherwise switch screens. Without a daemon no keys
      // are held back, so that the user can switch screens.
      return busy === "read" ? link.connection.get().kind === "connected" : busy !== null;
    },
    saved,
    warnUnsaved() {
      if (state.get().written === null) return false;
      const note = { tone: "warning", text: "not saved: Ctrl-S saves, q once more leaves" } as const;
      state.put({ note });
      return true;
    },
  };
}

function createConfigRequests(
  state: ReturnType<typeof createStore<ConfigState>>,
  { link, prompt, edit, signal }: ConfigScreenOptions,
) {
  /** The newest save or rollback. Resolves with the reason of its failure, or null. */
  let saving: Promise<string | null> = Promise.resolve(null);
  /** Resolves with the reason of a failure, or null. */
  const change = async (work: () => Promise<(now: ConfigState) => ConfigState>): Promise<string | null> => {
    let failure: string | null = null;
    const fail = (error: MountaineerError): void => {
      failure = errorLine(error);
      state.set(withFailure(state.get(), failure));
    };
    await attempt(async () => state.set((await work())(state.get())), fail, signal);
    return failure;
  };
  const readFile = (): Promise<ConfigFile> => link.ask("config", null, signal);
  const read = onceMore(async () => {
    if (state.get().file === null) {
      state.put({ busy: "read" });
      await change(async () => {
        const file = await readFile();
        return (now) => withFile(now, file);
      });
      return;
    }
    // While the daemon is away, the known file stays; the first line shows the lost connection.
    const file = await readFile().catch(expecting(isOwnError, null));
    if (file !== null) state.set(withFile(state.get(), file));
  }, signal);

  const openEditor = (text: string): Promise<void> =>
    attempt(
      async () => {
        const written = await edit(basename(state.get().file?.path ?? "config.toml"), text);
        take(withWritten(state.get(), written));
      },
      (error) => {
        state.set(withFailure(state.get(), errorLine(error)));
        // The file may have changed while the editor was open.
        read();
      },
      signal,
    );
  const rollBack = async (entry: HistoryEntry, sha256: string): Promise<string | null> => {
    let refusal: string | null = null;
    state.put({ busy: "rollback" });
    const failure = await change(async () => {
      const request = { n: entry.n, sha256: entry.sha256, expected_sha256: sha256 };
      const report = await link.ask("rollback", request, signal);
      refusal = mistakesText(report.errors);
      const file = await readFile();
      return (now) => withFile(withRollback(now, entry, report), file);
    });
    return failure ?? refusal;
  };
  const save = async ({ text, sha256 }: ActionOf<"save">): Promise<string | null> => {
    let refusal: string | null = null;
    const failure = await change(async () => {
      try {
        const request = { text, expected_sha256: sha256, source: "tui" } as const;
        const report = await link.ask("editText", request, signal);
        refusal = mistakesText(report.errors);
        return (now) => withSaved(now, text, report);
      } catch (error) {
        if (!(error instanceof MountaineerError) || error.code !== "config_changed") throw error;
        refusal = "somebody else changed the file";
        const fresh = await readFile();
        return (now) => withConflict(now, fresh);
      }
    });
    return failure ?? refusal;
  };
  const perform: { readonly [Kind in ConfigAction["kind"]]: (action: ActionOf<Kind>) => void } = {
    read,
    edit: ({ text }) => void openEditor(text),
    check: ({ text }) =>
      void change(async () => {
        const found = await link.ask("checkConfig", { text }, signal);
        return (now) => withCheck(now, found);
      }),
    save(action) {
      saving = save(action);
    },
    history: () =>
      void change(async () => {
        const { entries } = await link.ask("history", null, signal);
        const file = await readFile();
        return (now) => withHistory(withFile(now, file), entries);
      }),
    version: ({ entry }) =>
      void change(async () => {
        const text = await link.ask("historyText", { n: entry.n }, signal);
        return (now) => withVersion(now, entry, text);
      }),
    rollback: ({ entry, sha256 }) =>
      prompt.ask(`Roll back to version ${entry.n} (${entry.summary})?`, () => {
        saving = rollBack(entry, sha256);
      }),
    drop: () =>
      prompt.ask("Drop what you wrote and show the file again?", () =>
        state.set(withoutChanges(state.get())),
      ),
  };
  const take = (step: ReturnType<typeof pressConfigKey>): void => {
    state.set(step.state);
    // The cast is needed because TypeScript cannot match the function for a kind with the action of that
    // kind.
    if (step.action !== null) (perform[step.action.kind] as (action: ConfigAction) => void)(step.action);
  };
  return {
    read,
    take,
    async saved(): Promise<string | null> {
      const { busy } = state.get();
      return busy === "save" || busy === "rollback" ? saving : null;
    },
  };
}

type ActionOf<Kind extends ConfigAction["kind"]> = Extract<ConfigAction, { kind: Kind }>;
