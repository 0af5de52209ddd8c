// The configuration file in an editor: hints for the key at the cursor, mistakes with their places, and the difference
// before a save. A save holds for the text that the editor began with; another one underneath is refused.
import { type ComponentChild, h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { ConfigMistakeWire, ConfigReport } from "../../../api/contract.ts";
import { sentence } from "../../../api/words/actions.ts";
import { editOutcome, mistakeText } from "../../../api/words/outcome-words.ts";
import { diffText } from "../../../config/history/text-diff.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { unseenText } from "../../../runtime/text/unseen-characters.ts";
import type { App } from "../parts/app.ts";
import { useConfigFile } from "../parts/config-file.ts";
import { code, diffBlock, nothing, WorkButton } from "../parts/elements.ts";
import { useKeptForm } from "../parts/kept-form.ts";
import { shown } from "../parts/text.ts";
import { EDITORS, type EditorBase, type EditorMemory, isEdited } from "./editor-memory.ts";
import { keyAt } from "./key-at.ts";
import { KeyHintView, useConfigSchema } from "./key-hint.ts";

/** What is typed is checked once it rests. */
const RESTS_MS = 500;
/** A mistake is seen with what stands before it. */
const LINES_ABOVE = 5;

export function ConfigEditor({ app }: { readonly app: App }): ComponentChild {
  const { report, problem: unread, look } = useConfigFile(app);
  const [memory, kept] = useKeptForm(EDITORS, app.requests, () => ({ base: null, text: "" }));
  const { base, text } = memory;
  const [offset, setOffset] = useState(0);
  const [mistakes, setMistakes] = useState<readonly ConfigMistakeWire[]>([]);
  // Why a save was refused: a look at the file does not mend it.
  const [refused, setProblem] = useState<string | null>(null);
  const [isOutdated, setOutdated] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const schema = useConfigSchema();
  const isDirty = isEdited(memory);
  const problem = refused ?? unread;

  // What was typed meanwhile stays.
  const rebase = (next: EditorBase): void => {
    kept.set({ base: next });
    setProblem(null);
    setOutdated(false);
  };
  const begin = (next: EditorBase): void => {
    rebase(next);
    kept.set({ text: next.text });
    setMistakes([]);
  };
  useEffect(() => {
    if (report === null) return;
    const mine = kept.get();
    if (mine.base === null || !isEdited(mine)) begin(report);
    else setOutdated(report.sha256 !== mine.base.sha256);
  }, [report]);
  useChecks(app, text, isDirty, setMistakes);
  if (base === null) return nothing(problem === null ? "Reading the file …" : shown(problem));

  const marks = { setMistakes, setOutdated, setProblem };
  const form: EditorForm = { app, base, newest: kept.get, rebase, begin, look, ...marks };
  const goTo = (line: number, column: number): void => {
    const at = offsetOf(text, line, column);
    field.current?.focus();
    field.current?.setSelectionRange(at, at);
    scrollToLine(field.current, line);
    setOffset(at);
  };
  const onCursor = (): void => setOffset(field.current?.selectionStart ?? 0);
  const { line, column } = placeOf(text, offset);
  const hidden = hiddenPlaces(text);
  return h(
    "div",
    { class: "editor" },
    h("p", { class: "path" }, code(base.path)),
    isOutdated ? h(Outdated, {}) : null,
    h("label", { for: "config-text" }, "Text of the configuration"),
    h("textarea", {
      id: "config-text",
      ref: field,
      value: text,
      spellcheck: false,
      wrap: "off",
      "aria-describedby": "config-hint",
      "aria-invalid": mistakes.length > 0,
      onInput: (event: Event) => {
        kept.set({ text: (event.target as HTMLTextAreaElement).value });
        onCursor();
      },
      onSelect: onCursor,
      onKeyUp: onCursor,
      onClick: onCursor,
    }),
    h("p", { class: "dim" }, `Line ${line}, column ${column}`),
    h(KeyHintView, { schema, path: keyAt(text, offset, base.format) }),
    problem === null ? null : h("p", { class: "problem", role: "alert" }, shown(problem)),
    h(Places, { title: "Mistakes", places: mistakes.map(mistakePlace), goTo }),
    h(Places, { title: "Characters that nobody sees", places: hidden, goTo }),
    h(
      "div",
      { class: "row" },
      h(WorkButton, { label: "Save …", kind: "main", off: !isDirty, run: () => save(form) }),
      h(WorkButton, { label: "Discard changes", off: !isDirty && !isOutdated, run: () => startAnew(form) }),
    ),
  );
}

function Outdated(): ComponentChild {
  return h(
    "p",
    { class: "ready", role: "alert" },
    "The file has changed since you began. A save will be refused: begin anew from what it says now.",
  );
}

/** What its buttons need of the editor. */
interface EditorForm {
  readonly app: App;
  /** As it was when the button was drawn. */
  readonly base: EditorBase;
  /** As it is now. */
  readonly newest: () => EditorMemory;
  /** Leaves the text as it is. */
  readonly rebase: (next: EditorBase) => void;
  readonly begin: (next: EditorBase) => void;
  /** What the file says now; null, told, when it cannot be read. */
  readonly look: () => Promise<ConfigReport | null>;
  readonly setMistakes: (found: readonly ConfigMistakeWire[]) => void;
  readonly setOutdated: (is: boolean) => void;
  readonly setProblem: (text: string | null) => void;
}

async function save(form: EditorForm): Promise<void> {
  const { app, base, newest, rebase, setMistakes, setOutdated, setProblem } = form;
  const { text } = newest();
  const yes = await app.ask({
    title: "Save these changes?",
    body: diffBlock(
      diffText(base.text, text, { before: "the file", after: "your text" }),
      "What a save changes",
    ),
    action: "Save",
  });
  if (!yes) return;
  try {
    const report = await app.requests.ask("editText", {
      text,
      expected_sha256: base.sha256,
      source: "page",
    });
    // Another text has mistakes of its own, which are looked for once it rests.
    if (newest().text === text) setMistakes(report.errors);
    if (report.errors.length > 0) {
      setProblem("Nothing was saved: the text has mistakes.");
      return;
    }
    rebase({ ...base, text, sha256: report.sha256 });
    const { tone, text: said } = editOutcome(report);
    app.tell(tone, sentence(said));
    app.refresh();
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    const isChanged = error.code === "config_changed";
    setOutdated(isChanged);
    setProblem(
      isChanged ? "Nothing was saved: the file is another by now." : `Nothing was saved: ${error.message}`,
    );
  }
}

async function startAnew({ app, newest, begin, look }: EditorForm): Promise<void> {
  const report = await look();
  if (report === null) return;
  // What is typed while the question is open is asked about, too.
  for (let given = newest().base?.text; newest().text !== given; ) {
    given = newest().text;
    const yes = await app.ask({
      title: "Give up your changes?",
      body: diffBlock(
        diffText(report.text, given, { before: "the file now", after: "your text" }),
        "What you would give up",
      ),
      action: "Give them up",
      destroys: true,
    });
    if (!yes) return;
  }
  begin(report);
}

/** While there is something to save, it is checked. */
function useChecks(
  app: App,
  text: string,
  isDirty: boolean,
  setMistakes: (found: readonly ConfigMistakeWire[]) => void,
): void {
  useEffect(() => {
    if (!isDirty) return;
    const end = new AbortController();
    const timer = setTimeout(() => {
      void checkText(app, text, end.signal).then((found) => {
        if (found !== null && !end.signal.aborted) setMistakes(found);
      });
    }, RESTS_MS);
    return () => {
      clearTimeout(timer);
      end.abort();
    };
  }, [text, isDirty]);
}

/** A browser does not bring a selection into view that a script has made. */
function scrollToLine(area: HTMLTextAreaElement | null, line: number): void {
  if (area === null) return;
  const lineHeightPx = Number.parseFloat(getComputedStyle(area).lineHeight);
  area.scrollTop = Math.max(0, (line - LINES_ABOVE) * lineHeightPx);
  area.scrollLeft = 0;
}

/** Null: it could not be checked now; a save checks it again. */
async function checkText(
  app: App,
  text: string,
  signal: AbortSignal,
): Promise<readonly ConfigMistakeWire[] | null> {
  try {
    return (await app.requests.ask("checkConfig", { text }, { signal })).mistakes;
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    return null;
  }
}

interface TextPlace {
  readonly line: number;
  readonly column: number;
  readonly text: string;
}

function mistakePlace(mistake: ConfigMistakeWire): TextPlace {
  const { line, column } = mistake;
  return { line, column, text: mistakeText(mistake) };
}

interface PlacesProps {
  readonly title: string;
  readonly places: readonly TextPlace[];
  readonly goTo: (line: number, column: number) => void;
}

function Places({ title, places, goTo }: PlacesProps): ComponentChild {
  if (places.length === 0) return null;
  return h(
    "div",
    {},
    h("h3", {}, title),
    h(
      "ul",
      { class: "plain-list" },
      places
        .slice(0, 50)
        .map(({ line, column, text }) =>
          h(
            "li",
            { key: `${line}:${column}:${text}`, class: "row" },
            h("button", { type: "button", onClick: () => goTo(line, column) }, `${line}:${column}`),
            h("span", {}, shown(text)),
          ),
        ),
    ),
  );
}

/** The offset of a line and column, both from 1, the column in characters; never beyond the text. */
export function offsetOf(text: string, line: number, column: number): number {
  const lines = text.split("\n");
  const before = lines.slice(0, Math.max(0, line - 1)).reduce((sum, each) => sum + each.length + 1, 0);
  const inLine = [...(lines[line - 1] ?? "")].slice(0, Math.max(0, column - 1)).join("").length;
  return Math.min(text.length, before + inLine);
}

/** Line and column of an offset, both from 1. */
export function placeOf(text: string, offset: number): { readonly line: number; readonly column: number } {
  const above = text.slice(0, offset).split("\n");
  return { line: above.length, column: [...(above.at(-1) ?? "")].length + 1 };
}

/** Lines that are named; nobody mends more at once. */
const HIDDEN_LINES = 20;

/** One for each line that has some. */
export function hiddenPlaces(
  text: string,
): readonly { readonly line: number; readonly column: number; readonly text: string }[] {
  const found: { line: number; column: number; text: string }[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (found.length >= HIDDEN_LINES) break;
    const what = unseenText(line);
    if (what !== null) found.push({ line: index + 1, column: 1, text: what });
  }
  return found;
}
