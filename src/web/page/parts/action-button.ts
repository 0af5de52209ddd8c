// A button for an action: it asks for confirmation if the action has a question, and shows the outcome.
import { type ComponentChild, h } from "preact";
import { type Action, busyQuestion, sentence } from "../../../api/labels/actions.ts";
import { type Outcome, openFileText } from "../../../api/labels/outcome-labels.ts";
import type { App, ViewProps } from "./app.ts";
import { WorkButton } from "./elements.ts";
import { shown } from "./text.ts";

const LINES_SHOWN = 20;

interface ActionButtonProps extends ViewProps {
  readonly action: Action;
  readonly kind?: "main";
}

export function ActionButton({ app, action, kind }: ActionButtonProps): ComponentChild {
  const label = shown(action.label);
  const [, about] = action.id;
  return h(WorkButton, {
    label,
    run: () => run(app, action),
    // The accessible name contains the visible label.
    ...(about === undefined ? {} : { accessibleName: `${label}: ${shown(about)}` }),
    ...(kind === undefined ? {} : { kind }),
  });
}

async function run(app: App, action: Action): Promise<void> {
  const { question } = action;
  if (question !== null && !(await confirmFirst(app, action, question.title, question.text))) return;
  await app.attempt(sentence(action.name), async () => {
    const perform = (force: boolean): Promise<Outcome> =>
      action.perform(
        (name, input, signal) => app.requests.call(name, input, { signal }),
        new AbortController().signal,
        force,
      );
    let outcome = await perform(false);
    // If files are open, the person sees which processes hold them and decides.
    const busy = busyQuestion(action, outcome);
    if (busy !== null) {
      if (!(await confirmFirst(app, action, busy.title, busy.text, openFiles(outcome)))) return;
      outcome = await perform(true);
    }
    const { tone, text, hint } = outcome;
    const { undo } = action;
    const isDone = tone === "good" && undo !== undefined;
    app.notify(
      tone,
      `${text}${hint === null ? "" : ` (${hint})`}`,
      ...(isDone ? [() => run(app, undo)] : []),
    );
  });
}

function confirmFirst(
  app: App,
  { label }: Action,
  title: string,
  text: string,
  lines: readonly string[] = [],
): Promise<boolean> {
  const list = lines.slice(0, LINES_SHOWN).map((line) => h("li", { key: line }, shown(line)));
  const body = [h("p", {}, shown(text)), list.length === 0 ? null : h("ul", {}, list)];
  return app.confirm({ title: shown(title), body, action: label, destroys: true });
}

function openFiles({ results }: Outcome): readonly string[] {
  return results.flatMap(({ holders }) => holders.map(openFileText));
}
