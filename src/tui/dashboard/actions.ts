// What a person does to shares, backends and the daemon from here: asked about where it takes something away, run, and noted.
import { type Action, actionsFor, actionWith, busyQuestion, type Question } from "../../api/words/actions.ts";
import type { DaemonLink } from "../link/daemon-link.ts";
import type { Prompt } from "../terminal/prompt.ts";

export type Actions = ReturnType<typeof createActions>;

const NOTHING = { shares: [], backends: [] };

export function createActions(link: DaemonLink, prompt: Prompt, signal: AbortSignal) {
  /** What open files kept from being done. */
  let held: { readonly action: Action; readonly question: Question } | null = null;
  const all = (): readonly Action[] => actionsFor(link.status.get() ?? NOTHING);
  const ask = ({ title, text }: Question, run: () => void): void => prompt.ask(`${title} ${text}`, run);
  const run = (action: Action, force: boolean): void =>
    prompt.run(action.name, async () => {
      const outcome = await action.perform((await link.daemon()).ask, signal, force);
      const { tone, text, hint } = outcome;
      const note = { tone, text: hint === null ? text : `${text}; ${hint}` };
      const question = force ? null : busyQuestion(action, outcome);
      if (question === null) return note;
      held = { action, question };
      return { ...note, text: `! asks to do it anyway; ${note.text}` };
    });
  const start = (action: Action): void => {
    if (action.question === null) run(action, false);
    else ask(action.question, () => run(action, false));
  };
  return {
    all,
    start,
    /** False: there is no such action. */
    startWith(...id: readonly string[]): boolean {
      const action = actionWith(all(), ...id);
      if (action !== null) start(action);
      return action !== null;
    },
    /** Asks whether to do anyway what open files kept from being done; false: nothing was. */
    force(): boolean {
      if (held === null) return false;
      const { action, question } = held;
      held = null;
      ask(question, () => run(action, true));
      return true;
    },
  };
}
