// The open question, in a modal dialog. Escape cancels.
import { type ComponentChild, h } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { PageState } from "../daemon/live.ts";
import { type Store, useStore } from "../daemon/store.ts";
import type { Question } from "./app.ts";
import { alertLine } from "./elements.ts";

export interface OpenQuestion {
  readonly question: Question;
  readonly answer: (yes: boolean) => void;
}

interface QuestionProps extends OpenQuestion {
  readonly store: Store<PageState>;
}

export function QuestionDialog({ question, answer, store }: QuestionProps): ComponentChild {
  const dialog = useRef<HTMLDialogElement>(null);
  const outdated = useStore(store, (state) => question.outdated?.(state) ?? null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return h(
    "dialog",
    {
      ref: dialog,
      class: "question",
      "aria-labelledby": "question-title",
      onCancel: () => answer(false),
    },
    h("h2", { id: "question-title" }, question.title),
    h("div", { class: "question-body" }, question.body),
    alertLine(outdated),
    h(
      "div",
      { class: "row end" },
      question.isNotice === true
        ? null
        : h("button", { type: "button", onClick: () => answer(false) }, "Cancel"),
      h(
        "button",
        {
          type: "button",
          class: question.destroys ? "danger" : "main",
          disabled: outdated !== null,
          onClick: () => answer(true),
        },
        question.action,
      ),
    ),
  );
}
