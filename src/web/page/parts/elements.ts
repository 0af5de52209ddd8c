// Small parts that several views draw: buttons with a busy state, conditions, diffs, marks.
import { type ComponentChild, type ComponentChildren, createContext, h } from "preact";
import { useContext, useEffect, useRef, useState } from "preact/hooks";
import type { Condition } from "../../../api/contract/contract.ts";
import {
  type Label,
  SEVERITY_TONES,
  type Tone,
  WAITING_CODE,
  worstConditionFirst,
} from "../../../api/labels/label.ts";
import { openFileText } from "../../../api/labels/outcome-labels.ts";
import { printableLines, shellWord } from "../../../runtime/text/plain-text.ts";
import { forText, isWhole, shown } from "./text.ts";

interface WorkButtonProps {
  readonly label: string;
  /** The accessible name, if the label does not say what the button acts on: "Mount: CORE". */
  readonly accessibleName?: string;
  readonly kind?: "main" | "danger" | "quiet";
  readonly off?: boolean;
  readonly run: () => Promise<unknown>;
}

/** True while the daemon does not answer; buttons that need the daemon are hidden then. */
export const Gone = createContext(false);

/** The daemon's home, which commands name if it is not the usual one; "": not known. */
export const CommandHome = createContext("");

const USUAL_HOME = /^(?:\/(?:root|(?:home|Users)\/[^/]+)\/\.mountaineer)?$/;

/** The text with the home in front of each `mountaineer` command in it. */
function namingHome(text: string, home: string): string {
  if (USUAL_HOME.test(home)) return text;
  const named = `MOUNTAINEER_HOME=${shellWord(home)} mountaineer `;
  return text.replace(/(?<![\w=./-])mountaineer (?!https?:)(?=[a-z])/g, () => named);
}

/**
 * A button for work that takes time. While the work runs, the button shows that it is busy, and a click does not
 * start the work again.
 */
export function WorkButton({
  label,
  accessibleName,
  kind,
  off = false,
  run,
}: WorkButtonProps): ComponentChild {
  const isGone = useContext(Gone);
  const [busy, setBusy] = useState(false);
  const isBusy = useRef(false);
  const start = async (): Promise<void> => {
    // The button is not `disabled` while the work runs, because a disabled button loses the focus.
    if (isBusy.current || off) return;
    isBusy.current = true;
    setBusy(true);
    try {
      await run();
    } finally {
      isBusy.current = false;
      setBusy(false);
    }
  };
  if (isGone) return null;
  return h(
    "button",
    {
      type: "button",
      class: kind,
      disabled: off,
      "aria-busy": busy,
      "aria-label": accessibleName,
      onClick: () => void start(),
    },
    label,
    busy ? " …" : "",
  );
}

export function mark(tone: Tone, text: string): ComponentChild {
  return h("span", { class: `mark ${tone}` }, shown(text));
}

/** The cell of a row's state. `cause`: null while the row's panel, which has it too, is open. */
export function stateAndCause(tone: Tone, text: string, cause: string | null): ComponentChild {
  return [
    mark(tone, text),
    cause === null ? null : h("span", { key: "why", class: "why" }, " ", withCode(cause)),
  ];
}

export function conditionList(conditions: readonly Condition[], now: number): ComponentChild | null {
  if (conditions.length === 0) return null;
  return h(
    "ul",
    { class: "conditions" },
    worstConditionFirst(conditions).map((condition) => {
      const since = forText(condition.since, now);
      return h(
        "li",
        { key: `${condition.code} ${condition.since}`, class: SEVERITY_TONES[condition.severity] },
        h("strong", {}, `${condition.severity}: `),
        withCode(condition.title),
        since === null ? null : h("span", { class: "dim" }, ` (${since})`),
        condition.hint === null ? null : h("p", { class: "hint" }, withCode(condition.hint)),
        condition.code === WAITING_CODE
          ? h("a", { href: "#/settings/approvals" }, "Review and approve")
          : null,
        (condition.holders ?? []).length === 0
          ? null
          : h(
              "ul",
              {},
              (condition.holders ?? [])
                .slice(0, 20)
                .map((holder) => h("li", { key: openFileText(holder) }, shown(openFileText(holder)))),
            ),
      );
    }),
  );
}

/** A paragraph with foreign text; nothing for null and "". */
export function line(
  kind: "dim" | "facts" | "hint" | "problem" | "ready",
  text: string | null,
): ComponentChild {
  return text === null || text === "" ? null : h("p", { class: kind }, withCode(text));
}

/** Draws `text` as a line that screen readers announce at once; draws nothing for null. `kind` is the style. */
export function alertLine(text: string | null, kind: "problem" | "ready" = "problem"): ComponentChild {
  return text === null ? null : h("p", { class: kind, role: "alert" }, withCode(text));
}

/** Faults, which have neither code nor time, in the style of conditions; null if there are none. */
export function faultList(faults: readonly Label[], label?: string): ComponentChild {
  if (faults.length === 0) return null;
  return h(
    "ul",
    { class: "conditions", "aria-label": label },
    faults.map(({ tone, text }, index) =>
      h(
        "li",
        { key: index, class: tone },
        h("strong", {}, tone === "bad" ? "error: " : "warning: "),
        withCode(text),
      ),
    ),
  );
}

export function searchField(
  id: string,
  label: string,
  value: string,
  onValue: (value: string) => void,
): ComponentChild {
  const onInput = ({ target }: Event): void => onValue((target as HTMLInputElement).value);
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    h("input", { id, value, onInput, type: "search", autocomplete: "off" }),
  );
}

/** The search above a list: a field for words, `more` fields, and how many entries are found. */
export function searchPart(
  field: {
    readonly id: string;
    /** If another search is on the page; else "Search". */
    readonly label?: string | undefined;
    readonly text: string;
    readonly onText: (text: string) => void;
  },
  found: string | null,
  ...more: ComponentChild[]
): ComponentChild {
  return h(
    "div",
    { class: "filters", role: "search", "aria-label": field.label },
    searchField(field.id, field.label ?? "Search", field.text, field.onText),
    more,
    found === null ? null : h("p", { class: "dim", role: "status" }, found),
  );
}

/** A field that chooses one of `values`; "" is shown as "all". */
export function choiceField<Value extends string>(
  id: string,
  label: string,
  values: readonly Value[],
  value: Value,
  onValue: (value: Value) => void,
): ComponentChild {
  const put = ({ target }: Event): void => {
    const chosen = values.find((each) => each === (target as HTMLSelectElement).value);
    if (chosen !== undefined) onValue(chosen);
  };
  const options = values.map((each) => h("option", { key: each, value: each }, shown(each) || "all"));
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    h("select", { id, value, onChange: put }, options),
  );
}

interface ChoiceRow {
  readonly key: string;
  readonly name: string;
  /** The chosen thing, for the button's accessible name. */
  readonly accessibleName: string;
  readonly isChosen?: boolean;
  readonly choose: () => void;
}

/** A list item with a name, facts, and the button that chooses it. The chosen item's button is marked as pressed. */
export function choiceRow(
  { key, name, accessibleName, isChosen, choose }: ChoiceRow,
  ...facts: ComponentChild[]
): ComponentChild {
  const label = { "aria-label": `Choose ${shown(accessibleName)}`, "aria-pressed": isChosen };
  return h(
    "li",
    { key, class: "row" },
    h("strong", {}, shown(name)),
    facts,
    h("button", { type: "button", onClick: choose, ...label }, "Choose"),
  );
}

export function code(text: string): ComponentChild {
  return h("code", {}, breakable(text));
}

/** Foreign text whose paths and addresses may continue on the next line after a slash. */
function breakable(text: string): ComponentChild[] {
  return shown(text)
    .split(/(?<=[^/]\/)/)
    .flatMap((part, at) => (at === 0 ? [part] : [h("wbr", {}), part]));
}

const COPIED_MS = 2_000;

/** Text to paste elsewhere, with a copy button where the browser allows pages to copy. */
export function Copyable({ text: given }: { readonly text: string }): ComponentChild {
  const text = namingHome(given, useContext(CommandHome));
  const [isCopied, setCopied] = useState(false);
  // Absent if the page came neither over TLS nor from this machine.
  const clipboard: Clipboard | undefined = globalThis.navigator?.clipboard;
  useEffect(() => {
    if (!isCopied) return;
    const end = setTimeout(() => setCopied(false), COPIED_MS);
    return () => clearTimeout(end);
  }, [isCopied]);
  if (clipboard === undefined) return code(text);
  const copy = (): void =>
    void clipboard.writeText(text).then(
      () => setCopied(true),
      () => {},
    );
  return h(
    "span",
    { class: "copyable" },
    code(text),
    " ",
    h(
      "button",
      { type: "button", class: "quiet", "aria-label": `Copy ${shown(text)}`, onClick: copy },
      isCopied ? "Copied" : "Copy",
    ),
    h("span", { class: "unseen", role: "status" }, isCopied ? "Copied" : ""),
  );
}

/** Draws text between backticks as code; whole `mountaineer` commands among it get a copy button. */
export function withCode(text: string): ComponentChild[] {
  return text.split("`").map((part, at) => {
    const isCode = at % 2 === 1;
    if (!part.includes("mountaineer ")) return isCode ? code(part) : breakable(part);
    const isCommand = isCode && part.startsWith("mountaineer ") && isWhole(part);
    return isCommand ? h(Copyable, { text: part }) : h(WithCommands, { text: part, isCode });
  });
}

function WithCommands({ text, isCode }: { readonly text: string; readonly isCode: boolean }): ComponentChild {
  const named = namingHome(text, useContext(CommandHome));
  return isCode ? code(named) : breakable(named);
}

const LONGEST_TEXT = 256 * 1024;

/** A long text, cut after 256 KiB. Keyboard users can scroll it. */
export function textBlock(text: string, label: string): ComponentChild {
  const cut = text.length > LONGEST_TEXT;
  return h(
    "pre",
    { class: "text", tabIndex: 0, role: "region", "aria-label": label },
    printableLines(cut ? text.slice(0, LONGEST_TEXT) : text),
    cut ? `\n… ${text.length - LONGEST_TEXT} more characters` : "",
  );
}

/** A unified diff, uncut, in colours and with its signs. */
export function diffBlock(diff: string, label: string): ComponentChild {
  const lines = diff.replace(/\n$/, "").split("\n");
  return h(
    "pre",
    { class: "text diff", tabIndex: 0, role: "region", "aria-label": label },
    lines.map((line, index) => {
      const kind = line.startsWith("@@")
        ? "place"
        : index < 2 && /^(---|\+\+\+) /.test(line)
          ? "name"
          : line.startsWith("+")
            ? "added"
            : line.startsWith("-")
              ? "removed"
              : "same";
      return h("span", { key: index, class: kind }, `${printableLines(line)}\n`);
    }),
  );
}

export function row(...children: ComponentChildren[]): ComponentChild {
  return h("div", { class: "row" }, ...children);
}

export function actionRow(...children: ComponentChildren[]): ComponentChild {
  return h("div", { class: "row actions" }, ...children);
}

export function plainList(label: string, ...items: ComponentChildren[]): ComponentChild {
  return h("ul", { class: "plain-list", "aria-label": label }, ...items);
}

export function details(summary: string, ...children: ComponentChildren[]): ComponentChild {
  return h("details", {}, h("summary", {}, summary), ...children);
}

export function card(tone: Tone, label: string, ...children: ComponentChildren[]): ComponentChild {
  return h("article", { class: `card ${tone}`, "aria-label": label }, ...children);
}

export function section(title: string, ...children: ComponentChildren[]): ComponentChild {
  const id = `section-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return h("section", { "aria-labelledby": id }, h("h2", { id }, title), ...children);
}

/** `problem`: why the request failed; null: no failure. */
export function loading(problem: string | null = null, text = "Asking the daemon …"): ComponentChild {
  return nothing(problem === null ? text : shown(problem));
}

/** Shown in place of a view or list without entries. */
export function nothing(text: string, ...more: ComponentChildren[]): ComponentChild {
  return h("div", { class: "nothing" }, h("p", {}, text), ...more);
}

export function cardHead(name: string, { tone, text }: Label, since: string | null): ComponentChild {
  const lasted = since === null ? null : h("span", { class: "dim" }, since);
  return h("header", {}, h("h2", {}, name), mark(tone, text), lasted);
}
