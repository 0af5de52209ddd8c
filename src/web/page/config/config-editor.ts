// The configuration file in an editor: hints for the key at the cursor, mistakes with their places, and a diff before a
// save. A save is refused if the file has changed since the editing began.
import { type ComponentChild, h } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ConfigMistakeWire, ConfigReport } from "../../../api/contract.ts";
import { sentence } from "../../../api/words/actions.ts";
import { editOutcome, mistakeText } from "../../../api/words/outcome-words.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { unseenText } from "../../../runtime/text/unseen-characters.ts";
import type { CodeEditor, TextPlace } from "../code/code-editor.ts";
import { CodeDiff, CodeText } from "../code/code-text.ts";
import type { KeyPath } from "../code/key-at.ts";
import { hintLines, hintOf } from "../code/schema-hint.ts";
import type { App } from "../parts/app.ts";
import { useConfigFile } from "../parts/config-file.ts";
import { alertLine, code, loading, WorkButton } from "../parts/elements.ts";
import { useFormStore } from "../parts/form-store.ts";
import { shown } from "../parts/text.ts";
import { EDITORS, type EditorBase, type EditorMemory, hasTypedSecret, isEdited } from "./editor-memory.ts";

/** The text is checked once nothing was typed for this time. */
const QUIET_MS = 500;
const OUTDATED =
  "The file has changed since you began. A save will be refused: begin anew from what it says now.";

export function ConfigEditor({ app }: { readonly app: App }): ComponentChild {
  const { report, problem: unread, look } = useConfigFile(app);
  const [memory, store] = useFormStore(EDITORS, app.requests, () => ({ base: null, text: "" }));
  const { base, text } = memory;
  const [path, setPath] = useState<KeyPath>([]);
  const [mistakes, setMistakes] = useState<readonly ConfigMistakeWire[]>([]);
  // Why a save was refused. Stays after the file is read again.
  const [refused, setProblem] = useState<string | null>(null);
  const [isOutdated, setOutdated] = useState(false);
  const editor = useRef<CodeEditor | null>(null);
  const schema = useConfigSchema();
  const isDirty = isEdited(memory);
  const problem = refused ?? unread;

  // Keeps the typed text.
  const rebase = (next: EditorBase): void => {
    store.set({ base: next });
    setProblem(null);
    setOutdated(false);
  };
  const begin = (next: EditorBase): void => {
    rebase(next);
    store.set({ text: next.text });
    setMistakes([]);
  };
  useEffect(() => {
    if (report === null) return;
    const mine = store.get();
    if (mine.base === null || !isEdited(mine)) begin(report);
    else setOutdated(report.sha256 !== mine.base.sha256);
  }, [report]);
  // Text with a typed secret does not outlive the view.
  useEffect(
    () => () => {
      const { base: begun, text: left } = store.get();
      if (begun === null || left === begun.text || !hasTypedSecret(left)) return;
      store.set({ text: begun.text });
      app.notify("warning", "Your changes to the configuration were not kept: there is a secret in them.");
    },
    [],
  );
  const places = useMemo(() => placesOf(mistakes, text), [mistakes, text]);
  useChecks(app, text, isDirty, setMistakes);
  if (base === null) return loading(problem, "Reading the file …");

  const marks = { setMistakes, setOutdated, setProblem };
  const form: EditorForm = { app, base, newest: store.get, rebase, begin, look, ...marks };
  return h(
    "div",
    { class: "editor" },
    h("p", { class: "path" }, code(base.path)),
    alertLine(isOutdated ? OUTDATED : null, "ready"),
    h(CodeText, {
      label: "Text of the configuration",
      format: base.format,
      text,
      newest: () => store.get().text,
      places,
      editor,
      schema: () => schema,
      onText: (typed) => store.set({ text: typed }),
      onKey: setPath,
    }),
    h(KeyHintView, { schema, path }),
    alertLine(problem),
    h(Places, { places, goTo: (line, column) => editor.current?.goTo(line, column) }),
    h(
      "div",
      { class: "row" },
      h(WorkButton, { label: "Save …", kind: "main", off: !isDirty, run: () => save(form) }),
      h(WorkButton, { label: "Discard changes", off: !isDirty && !isOutdated, run: () => startAnew(form) }),
    ),
  );
}

/** The editor's state and effects for its buttons. */
interface EditorForm {
  readonly app: App;
  /** As it was when the button was drawn. */
  readonly base: EditorBase;
  /** Returns the current memory. */
  readonly newest: () => EditorMemory;
  /** Sets the base, and keeps the text. */
  readonly rebase: (next: EditorBase) => void;
  /** Sets base and text. */
  readonly begin: (next: EditorBase) => void;
  /** Reads the file; null, with the reason shown, if that fails. */
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
    body: h(CodeDiff, {
      before: base.text,
      after: text,
      format: base.format,
      labels: { before: "The file", after: "Your text" },
    }),
    action: "Save",
  });
  if (!yes) return;
  try {
    const report = await app.requests.ask("editText", {
      text,
      expected_sha256: base.sha256,
      source: "page",
    });
    // Text typed meanwhile is checked on its own.
    if (newest().text === text) setMistakes(report.errors);
    if (report.errors.length > 0) {
      setProblem("Nothing was saved: the text has mistakes.");
      return;
    }
    rebase({ ...base, text, sha256: report.sha256 });
    const { tone, text: said } = editOutcome(report);
    app.notify(tone, sentence(said));
    app.refresh();
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    const isChanged = error.code === "config_changed";
    setOutdated(isChanged);
    setProblem(
      isChanged
        ? "Nothing was saved: the file has changed meanwhile."
        : `Nothing was saved: ${error.message}`,
    );
  }
}

async function startAnew({ app, newest, begin, look }: EditorForm): Promise<void> {
  const report = await look();
  if (report === null) return;
  // Asks again if text was typed while the question was open.
  for (let given = newest().base?.text; newest().text !== given; ) {
    given = newest().text;
    const yes = await app.ask({
      title: "Give up your changes?",
      body: h(CodeDiff, {
        before: given,
        after: report.text,
        format: report.format,
        labels: { before: "Your text", after: "The file now" },
      }),
      action: "Give them up",
      destroys: true,
    });
    if (!yes) return;
  }
  begin(report);
}

/** Checks changed text. */
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
    }, QUIET_MS);
    return () => {
      clearTimeout(timer);
      end.abort();
    };
  }, [text, isDirty]);
}

/** null: the check failed; a save checks the text again. */
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

/** Mistakes, then invisible characters. */
function placesOf(mistakes: readonly ConfigMistakeWire[], text: string): readonly TextPlace[] {
  const wrong = mistakes.map((mistake): TextPlace => {
    const { line, column } = mistake;
    return { line, column, text: shown(mistakeText(mistake)), severity: "error" };
  });
  return [...wrong, ...hiddenPlaces(text)];
}

interface PlacesProps {
  readonly places: readonly TextPlace[];
  readonly goTo: (line: number, column: number) => void;
}

function Places({ places, goTo }: PlacesProps): ComponentChild {
  if (places.length === 0) return null;
  return h(
    "ul",
    { class: "plain-list", "aria-label": "Mistakes" },
    places
      .slice(0, 50)
      .map(({ line, column, text }) =>
        h(
          "li",
          { key: `${line}:${column}:${text}`, class: "row" },
          h("button", { type: "button", onClick: () => goTo(line, column) }, `${line}:${column}`),
          h("span", {}, text),
        ),
      ),
  );
}

/** Maximum lines reported with invisible characters. */
const HIDDEN_LINES = 20;

/** One place for each line with invisible characters. */
export function hiddenPlaces(text: string): readonly TextPlace[] {
  const found: TextPlace[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (found.length >= HIDDEN_LINES) break;
    const what = unseenText(line);
    if (what !== null) found.push({ line: index + 1, column: 1, text: what, severity: "warning" });
  }
  return found;
}

// The hint below the editor: the key at the cursor, with its default and documentation.

/** Names the schema's address, which changes with its content. */
const SCHEMA_NAMED_BY = 'meta[name="config-schema"]';

/** The configuration's JSON Schema; null until it is loaded, or if that fails. */
function useConfigSchema(): unknown {
  const [schema, setSchema] = useState<unknown>(null);
  useEffect(() => {
    const end = new AbortController();
    const load = async (): Promise<void> => {
      try {
        const path = document.querySelector<HTMLMetaElement>(SCHEMA_NAMED_BY)?.content;
        const response = path === undefined ? null : await fetch(path, { signal: end.signal });
        if (response?.ok) setSchema(await response.json());
      } catch {
        // Without a schema there are no hints. The daemon checks every save.
      }
    };
    void load();
    return () => end.abort();
  }, []);
  return schema;
}

function KeyHintView({ schema, path }: { readonly schema: unknown; readonly path: KeyPath }): ComponentChild {
  const hint = schema === null ? null : hintOf(schema, path);
  const none = path.length === 0 ? [] : [`${path.join(".")}: no such key.`];
  const lines = hint === null ? (schema === null ? [] : none) : hintLines(hint);
  return h(
    "div",
    { class: "key-hint" },
    lines.map((line) => h("p", { key: line }, shown(line))),
  );
}
