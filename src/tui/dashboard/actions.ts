// Runs actions on shares, backends and the daemon: asks before harmful ones, and shows the results.

import type { DaemonConnection } from "../../api/client/daemon-connection.ts";
import {
  type Action,
  actionsFor,
  actionWith,
  busyQuestion,
  type Question,
} from "../../api/labels/actions.ts";
import type { Prompt } from "../terminal/prompt.ts";

export type Actions = ReturnType<typeof createActions>;

const NOTHING = { shares: [], backends: [] };

export function createActions(link: DaemonConnection, prompt: Prompt, signal: AbortSignal) {
  /** The last action that open files have prevented. */
  let pending: { readonly action: Action; readonly question: Question } | null = null;
  const all = (): readonly Action[] => actionsFor(link.status.get() ?? NOTHING);
  const confirm = ({ title, text }: Question, run: () => void): void =>
    prompt.confirm(`${title} ${text}`, run);
  const run = (action: Action, force: boolean): void =>
    prompt.run(action.name, async () => {
      const outcome = await action.perform(link.call, signal, force);
      const { tone, text, hint } = outcome;
      const notice = { tone, text: hint === null ? text : `${text}; ${hint}` };
      const question = force ? null : busyQuestion(action, outcome);
      if (question === null) return notice;
      pending = { action, question };
      return { ...notice, text: `! asks to do it anyway; ${notice.text}` };
    });
  const start = (action: Action): void => {
    if (action.question === null) run(action, false);
    else confirm(action.question, () => run(action, false));
  };
  return {
    all,
    start,
    /** Starts the action with this id; false if it is not possible now. */
    startWith(...id: readonly string[]): boolean {
      const action = actionWith(all(), ...id);
      if (action !== null) start(action);
      return action !== null;
    },
    /** Asks whether to force the action that open files have prevented. Returns false if there is no such action. */
    force(): boolean {
      if (pending === null) return false;
      const { action, question } = pending;
      pending = null;
      confirm(question, () => run(action, true));
      return true;
    },
  };
}
