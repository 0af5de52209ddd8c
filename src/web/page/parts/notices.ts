// Notices about the outcome of actions, at the foot of the page. Screen readers announce them.
import { type ComponentChild, h } from "preact";
import type { Tone } from "../../../api/labels/label.ts";
import { printableLines } from "../../../runtime/text/plain-text.ts";
import { type Store, useStore } from "../daemon/store.ts";
import type { Undo } from "./app.ts";
import { WorkButton } from "./elements.ts";

export interface Notice {
  readonly id: number;
  readonly tone: Tone;
  readonly text: string;
  /** What the Undo button runs; null: no single step reverts the action. */
  readonly undo: Undo | null;
}

export interface NoticeState {
  readonly notices: readonly Notice[];
  /** A sentence only for screen readers. */
  readonly spoken: string;
}

const MOST_NOTICES = 4;
/** How long a notice is shown; a bad one stays until it is closed. */
const NOTICE_MS = 8000;
/** How long a notice with Undo is shown; deciding takes longer than reading. */
export const UNDO_MS = 20_000;

export const NO_NOTICES: NoticeState = { notices: [], spoken: "" };

export function addNotice(
  store: Store<NoticeState>,
  tone: Tone,
  text: string,
  undo: Undo | null = null,
): void {
  const { notices } = store.get();
  const id = (notices.at(-1)?.id ?? 0) + 1;
  store.set({ notices: [...notices, { id, tone, text, undo }].slice(-MOST_NOTICES) });
  if (tone !== "bad") setTimeout(() => removeNotice(store, id), undo === null ? NOTICE_MS : UNDO_MS);
}

function removeNotice(store: Store<NoticeState>, id: number): void {
  store.set({ notices: store.get().notices.filter((notice) => notice.id !== id) });
}

export function Notices({ store }: { readonly store: Store<NoticeState> }): ComponentChild {
  const notices = useStore(store, (state) => state.notices);
  const spoken = useStore(store, (state) => state.spoken);
  return h(
    "div",
    { class: "notices" },
    h("p", { class: "unseen", role: "status" }, spoken),
    h(
      "div",
      { role: "log", "aria-label": "Notices" },
      notices.map(({ id, tone, text, undo }) =>
        h(
          "div",
          { key: id, class: `notice ${tone}` },
          h("p", {}, printableLines(text).replaceAll("`", "")),
          undo === null
            ? null
            : h(WorkButton, {
                label: "Undo",
                accessibleName: `Undo: ${printableLines(text)}`,
                kind: "quiet",
                run() {
                  removeNotice(store, id);
                  return undo();
                },
              }),
          h(
            "button",
            {
              type: "button",
              class: "quiet",
              "aria-label": `Close: ${printableLines(text)}`,
              onClick: () => removeNotice(store, id),
            },
            "✕",
          ),
        ),
      ),
    ),
  );
}
