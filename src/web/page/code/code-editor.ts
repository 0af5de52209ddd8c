// CodeMirror: an editor that knows the configuration's schema, and a diff of two texts. Loaded on demand. In a shadow root,
// because the page's policy allows only style sheets that a script adopts.
import {
  autocompletion,
  type CompletionContext,
  type CompletionResult,
  completionKeymap,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { HighlightStyle, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { toml } from "@codemirror/legacy-modes/mode/toml";
import { yaml } from "@codemirror/legacy-modes/mode/yaml";
import { type Diagnostic, lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { MergeView, unifiedMergeView } from "@codemirror/merge";
import { EditorState, type Extension, type Text } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightSpecialChars,
  hoverTooltip,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { type KeyPath, keyAt } from "./key-at.ts";
import { hintLines, hintOf, type KeyHint } from "./schema-hint.ts";

export type Format = "toml" | "yaml";

/** Line and column from 1, the column in UTF-16 units. */
export interface TextPosition {
  readonly line: number;
  readonly column: number;
  readonly text: string;
  readonly severity: "error" | "warning";
}

export interface EditorOptions {
  readonly host: HTMLElement;
  readonly text: string;
  readonly format: Format;
  readonly label: string;
  /** Returns the configuration's JSON Schema; null: not loaded yet. */
  readonly schema: () => unknown;
  readonly onText: (text: string) => void;
  readonly onKey: (path: KeyPath) => void;
}

export interface CodeEditor extends Disposable {
  /** Replaces the text and clears the history; no effect if the text is the same. */
  setText(text: string): void;
  mark(positions: readonly TextPosition[]): void;
  goTo(line: number, column: number): void;
}

const COLOURS = HighlightStyle.define([
  { tag: tags.comment, color: "var(--dim)" },
  { tag: tags.string, color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.atom, tags.literal], color: "var(--warning)" },
  { tag: [tags.propertyName, tags.keyword, tags.definition(tags.name)], color: "var(--main)" },
]);

const BOX = { backgroundColor: "var(--card)", color: "var(--text)", border: "1px solid var(--edge)" };
const THEME = EditorView.theme({
  "&": { ...BOX, borderRadius: "6px", fontSize: "0.93em" },
  "&.cm-focused": { outline: "2px solid var(--main)" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.5" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--sunk)", color: "var(--dim)", borderColor: "var(--line)" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--main) 7%, transparent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: "color-mix(in srgb, var(--main) 25%, transparent)",
  },
  ".cm-tooltip": { ...BOX, maxWidth: "min(40rem, 90vw)" },
  ".cm-tooltip-hover, .cm-completionInfo": { padding: "0.4rem 0.6rem", whiteSpace: "pre-wrap" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { background: "var(--main)", color: "var(--on-main)" },
  ".cm-changedText, .cm-deletedText": { background: "none !important", fontWeight: "bold" },
  "&.cm-merge-a .cm-changedLine, .cm-deletedChunk": { backgroundColor: "var(--bad-back)" },
  "&.cm-merge-b .cm-changedLine, .cm-insertedLine": { backgroundColor: "var(--good-back)" },
  ".cm-collapsedLines": { background: "var(--plain-back)", color: "var(--dim)" },
});

/** Limits the height, so that the save button stays in sight below a long file. */
const SIZE = EditorView.theme({
  "&": { maxHeight: "max(24rem, calc(100vh - 28rem))" },
  ".cm-scroller": { overflow: "auto" },
});

/**
 * Characters to mark in addition to those that CodeMirror marks: invisible or reordering characters could
 * hide what a person approves.
 */
const UNSEEN = /(?!(?<=\p{Emoji})[\u200d\ufe0e\ufe0f])[\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]/u;
const READING: Extension = [
  lineNumbers(),
  highlightSpecialChars({ addSpecialChars: UNSEEN }),
  syntaxHighlighting(COLOURS),
  THEME,
];

/**
 * Chromium gives inline styles to text that is typed over a selection, and the page's policy blocks them. So the editor
 * inserts the text itself.
 */
const REPLACING = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { state } = view;
    if (event.inputType !== "insertText" || event.data === null || state.selection.main.empty) return false;
    view.dispatch({ ...state.replaceSelection(event.data), userEvent: "input.type", scrollIntoView: true });
    event.preventDefault();
    return true;
  },
});

function languageOf(format: Format): Extension {
  return StreamLanguage.define(format === "toml" ? toml : yaml);
}

/** Keeps the line breaks of the text: CRLF if every line has it. */
function breaksOf(text: string): Extension {
  return EditorState.lineSeparator.of(/^(?:[^\n]*\r\n)+[^\n]*$/.test(text) ? "\r\n" : "\n");
}

function rootIn(host: HTMLElement): ShadowRoot {
  return host.shadowRoot ?? host.attachShadow({ mode: "open" });
}

export function openEditor(options: EditorOptions): CodeEditor {
  const { host, format, label, onText, onKey } = options;
  const root = rootIn(host);
  const stateOf = (text: string): EditorState =>
    EditorState.create({
      doc: text,
      extensions: [
        READING,
        SIZE,
        languageOf(format),
        breaksOf(text),
        history(),
        drawSelection(),
        REPLACING,
        highlightActiveLine(),
        lintGutter(),
        autocompletion({ override: [completing(options)], icons: false }),
        hovering(options),
        keymap.of([...completionKeymap, ...lintKeymap, ...historyKeymap, ...defaultKeymap]),
        EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false", tabindex: "0" }),
        EditorView.updateListener.of(({ state, docChanged, selectionSet }) => {
          if (docChanged) onText(state.sliceDoc());
          if (docChanged || selectionSet) onKey(keyIn(state.doc, state.selection.main.head, format));
        }),
      ],
    });
  const view = new EditorView({ state: stateOf(options.text), parent: root, root });
  return {
    setText(text) {
      if (text !== view.state.sliceDoc()) view.setState(stateOf(text));
    },
    mark(positions) {
      const { doc } = view.state;
      const found = positions.map(({ line, column, text: message, severity }): Diagnostic => {
        const from = offsetOf(doc, line, column);
        return { from, to: doc.lineAt(from).to, message, severity };
      });
      view.dispatch(setDiagnostics(view.state, found));
    },
    goTo(line, column) {
      const anchor = offsetOf(view.state.doc, line, column);
      view.dispatch({ selection: { anchor }, effects: EditorView.scrollIntoView(anchor, { y: "center" }) });
      view.focus();
    },
    [Symbol.dispose]: () => view.destroy(),
  };
}

/** The offset of a place, clamped to the text. */
function offsetOf(doc: Text, line: number, column: number): number {
  const { from, text } = doc.line(Math.max(1, Math.min(line, doc.lines)));
  return from + Math.max(0, Math.min(text.length, column - 1));
}

function keyIn(doc: Text, at: number, format: Format): KeyPath {
  const text = doc.sliceString(0, doc.lineAt(at).to, "\n");
  return keyAt(text, text.length, format);
}

function completing({ schema, format }: EditorOptions) {
  return ({ state, pos, explicit }: CompletionContext): CompletionResult | null => {
    const line = state.doc.lineAt(pos);
    const before = line.text.slice(0, pos - line.from);
    const { typed, offers } = offersAt(schema(), state.doc.sliceString(0, line.from, "\n"), before, format);
    if (offers.length === 0 || (typed === 0 && !explicit)) return null;
    return {
      from: pos - typed,
      validFor: /^"?[\w-]*$/,
      options: offers.map(({ label, apply, hint }) => ({
        label,
        apply,
        detail: hint.type,
        info: hintLines(hint).join("\n"),
      })),
    };
  };
}

function hovering({ schema, format }: EditorOptions): Extension {
  return hoverTooltip(({ state }, pos) => {
    const hint = hintOf(schema(), keyIn(state.doc, pos, format));
    if (hint === null || hint.key === "") return null;
    const dom = document.createElement("div");
    dom.textContent = hintLines(hint).join("\n");
    return { pos: state.doc.lineAt(pos).from, end: pos, above: true, create: () => ({ dom }) };
  });
}

export interface DiffOptions {
  readonly host: HTMLElement;
  readonly before: string;
  readonly after: string;
  readonly format: Format;
  readonly labels: { readonly before: string; readonly after: string };
}

/** Width of the page from which a diff has two columns; narrower pages show one. */
const SIDES_FROM = "(min-width: 760px)";
const COLLAPSED = { margin: 3, minSize: 6 };

/** Draws the diff of two texts, with equal lines folded. */
export function openDiff({ host, before, after, format, labels }: DiffOptions): Disposable {
  const root = rootIn(host);
  const side = (doc: string, label: string, ...more: Extension[]) => ({
    doc,
    extensions: [
      READING,
      languageOf(format),
      breaksOf(doc),
      EditorState.readOnly.of(true),
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }),
      ...more,
    ],
  });
  const view = matchMedia(SIDES_FROM).matches
    ? new MergeView({
        a: side(before, labels.before),
        b: side(after, labels.after),
        collapseUnchanged: COLLAPSED,
        parent: root,
        root,
      })
    : new EditorView({
        ...side(
          after,
          `${labels.before}, ${labels.after}`,
          unifiedMergeView({ original: before, mergeControls: false, collapseUnchanged: COLLAPSED }),
        ),
        parent: root,
        root,
      });
  return { [Symbol.dispose]: () => view.destroy() };
}

// Completions for a place in the configuration, from its schema. Pure.

interface Offers {
  /** Number of characters before the cursor that an offer replaces. */
  readonly typed: number;
  /** `apply`: the text that replaces what is typed. */
  readonly offers: readonly { readonly label: string; readonly apply: string; readonly hint: KeyHint }[];
}

const TOML_HEADER = /^\s*\[\[?\s*((?:[\w-]+\.)*)([\w-]*)$/;
const KEY = /^\s*(?:-\s+)*([\w-]*)$/;
const VALUE = /[=:]\s*("?[\w-]*)$/;
/** Placeholder for a key that is not written yet. */
const ANY = { toml: "_ =", yaml: "_:" };

/** The completions at the cursor. `before`: the cursor's line up to the cursor; `above`: the lines above it. */
export function offersAt(schema: unknown, above: string, before: string, format: "toml" | "yaml"): Offers {
  const of = (
    parent: readonly string[],
    typed: string,
    apply: (hint: KeyHint, key: string) => string | null,
  ) => {
    const offers = (hintOf(schema, parent)?.keys ?? []).flatMap((label): Offers["offers"] => {
      const hint = hintOf(schema, [...parent, label]);
      const text = hint === null ? null : apply(hint, label);
      return hint === null || text === null ? [] : [{ label, apply: text, hint }];
    });
    return { typed: typed.length, offers };
  };
  const [header, parents = "", part = ""] = (format === "toml" && TOML_HEADER.exec(before)) || [];
  if (header !== undefined)
    return of(parents.split(".").slice(0, -1), part, ({ kind }, key) =>
      kind === "section" || kind === "items" ? key : null,
    );
  const typed = KEY.exec(before)?.[1];
  if (typed !== undefined) {
    const text = `${above}${before.slice(0, before.length - typed.length)}${ANY[format]}`;
    const parent = keyAt(text, text.length, format).slice(0, -1);
    return of(parent, typed, ({ kind, keys }, key) => {
      if (format === "yaml") return `${key}:${kind === "value" ? " " : ""}`;
      if (kind === "value") return `${key} = `;
      if (parent.length > 0) return null;
      if (kind === "items") return `[[${key}]]`;
      return keys.length === 0 ? `[${key}.` : `[${key}]`;
    });
  }
  const value = VALUE.exec(before)?.[1];
  const hint =
    value === undefined ? null : hintOf(schema, keyAt(above + before, above.length + before.length, format));
  if (value === undefined || hint === null) return { typed: 0, offers: [] };
  const offers = hint.choices.map((choice) => ({ label: choice, apply: choice, hint }));
  return { typed: value.length, offers };
}
