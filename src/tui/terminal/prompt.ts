// The question a person is asked before something that cannot be taken back, and the word of what became of an action.
import type { Words } from "../../api/words/words.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Key } from "./key.ts";
import { createStore, type Readable } from "./store.ts";

export type Note = Words;

export interface PromptState {
  /** What is asked; null: nothing. */
  readonly question: string | null;
  /** What is under way, in the order it was begun: `mounting core`. */
  readonly running: readonly string[];
  /** What became of the last one; stays until the next. */
  readonly note: Note | null;
}

export interface Prompt {
  readonly state: Readable<PromptState>;
  /** `y` runs it; any other key leaves it. A question that stands is replaced. */
  ask(question: string, onYes: () => void): void;
  note(note: Note | null): void;
  /**
   * Runs `work` beside everything else and notes what it says. The same `name` that still runs is not run twice. A
   * MountaineerError is noted; aborted work says nothing.
   */
  run(name: string, work: () => Promise<Note | null>): void;
  /** True: the key was for the question. */
  onKey(key: Key): boolean;
}

export function createPrompt(signal: AbortSignal): Prompt {
  const state = createStore<PromptState>({ question: null, running: [], note: null });
  let onYes: (() => void) | null = null;
  const put = (part: Partial<PromptState>): void => state.set({ ...state.get(), ...part });
  const work = async (name: string, doing: () => Promise<Note | null>): Promise<void> => {
    const end = (note: Note | null): void =>
      put({
        running: state.get().running.filter((other) => other !== name),
        ...(note === null ? {} : { note }),
      });
    try {
      end(await doing());
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof MountaineerError)) throw error;
      end({ tone: "bad", text: errorLine(error) });
    }
  };
  return {
    state,
    ask(question, run) {
      onYes = run;
      put({ question, note: null });
    },
    note: (note) => put({ note }),
    run(name, doing) {
      if (state.get().running.includes(name)) {
        put({ note: { tone: "warning", text: `${name}: already under way` } });
        return;
      }
      put({ running: [...state.get().running, name], note: null });
      void work(name, doing);
    },
    onKey(key) {
      if (state.get().question === null) return false;
      const run = onYes;
      onYes = null;
      put({ question: null });
      if (key.kind === "character" && key.text === "y") run?.();
      return true;
    },
  };
}

/** The error in one line, with its hint. */
export function errorLine(error: MountaineerError): string {
  const [first = ""] = errorText(error).split("\n", 1);
  return error.hint === null || first.includes(error.hint) ? first : `${first}; ${error.hint}`;
}
