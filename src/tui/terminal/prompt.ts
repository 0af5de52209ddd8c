// The question before an action that cannot be undone, the actions under way, and the result of the last one.
import type { Label } from "../../api/labels/label.ts";
import { createStore, type Readable } from "../../runtime/store.ts";
import { attempt, errorLine } from "./attempt.ts";
import type { Key } from "./key.ts";

export type Notice = Label;

export interface PromptState {
  /** The open question; null: none. */
  readonly question: string | null;
  /** Names of the actions under way, oldest first: `mount core`. */
  readonly running: readonly string[];
  /** Result of the last action, until the next one starts. */
  readonly notice: Notice | null;
}

export type Prompt = ReturnType<typeof createPrompt>;

export function createPrompt(signal: AbortSignal) {
  const state = createStore<PromptState>({ question: null, running: [], notice: null });
  let onYes = (): void => {};
  const { put } = state;
  return {
    state: state as Readable<PromptState>,
    /** Asks the user: `y` runs `run`, any other key does not. Replaces an open question. */
    confirm(question: string, run: () => void): void {
      onYes = run;
      put({ question });
    },
    notice(notice: Notice | null): void {
      put({ notice });
    },
    /**
     * Runs `work` in the background and shows the note it resolves with, or its MountaineerError. Does nothing while an
     * action of the same `name` runs.
     */
    run(name: string, work: () => Promise<Notice | null>): void {
      const end = (notice: Notice | null): void => {
        const running = state.get().running.filter((other) => other !== name);
        put(notice === null ? { running } : { running, notice });
      };
      if (state.get().running.includes(name)) {
        put({ notice: { tone: "warning", text: `${name}: already under way` } });
        return;
      }
      put({ running: [...state.get().running, name], notice: null });
      void attempt(
        async () => end(await work()),
        (error) => end({ tone: "bad", text: errorLine(error) }),
        signal,
      );
    },
    /** False if no question is open. */
    onKey(key: Key): boolean {
      if (state.get().question === null) return false;
      put({ question: null });
      if (key.kind === "character" && key.text === "y") onYes();
      return true;
    },
  };
}
