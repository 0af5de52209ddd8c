// The configuration file in an editor: hints for the key at the cursor, errors with their places, and a diff before a
// save. A save is refused if the file has changed since the editing began.
import { type ComponentChild, h } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ConfigMistakeWire } from "../../../api/contract/config.ts";
import { sentence } from "../../../api/labels/actions.ts";
import { editOutcome, mistakeText } from "../../../api/labels/outcome-labels.ts";
import { isOwnError, MountaineerError, recoverFrom } from "../../../runtime/errors.ts";
import { invisibleText } from "../../../runtime/text/invisible-characters.ts";
import type { CodeEditor, TextPosition } from "../code/code-editor.ts";
import { CodeDiff, CodeText } from "../code/code-text.ts";
import type { KeyPath } from "../code/key-at.ts";
import { hintLines, hintOf } from "../code/schema-hint.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { useConfigFile, useConfigSchema } from "../parts/config-file.ts";
import { alertLine, code, loading, plainList, row, WorkButton } from "../parts/elements.ts";
import { useFormStore } from "../parts/form-store.ts";
import { shown } from "../parts/text.ts";
import { EDITORS, type EditorBase, hasTypedSecret, isEdited, takeWanted } from "./editor-memory.ts";

/** The text is checked once nothing was typed for this time. */
const QUIET_MS = 500;
const OUTDATED =
  "The file has changed since you began. A save will be refused: discard your changes, and make them again in the new text.";

export function ConfigEditor({ app }: ViewProps): ComponentChild {
  const { base, text, store, mistakes, problem, isDirty, isOutdated, save, discard } = useEditor(app);
  const [path, setPath] = useState<KeyPath>([]);
  const editor = useRef<CodeEditor | null>(null);
  const { report: schema } = useConfigSchema(app);
  const positions = useMemo(() => positionsOf(mistakes, text), [mistakes, text]);
  if (base === null) return loading(problem, "Reading the file …");
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
      positions,
      editor,
      schema: () => schema,
      onText: (typed) => store.set({ text: typed }),
      onKey: setPath,
      onOpen(opened) {
        const line = takeWanted(app.requests, store.get().text, base.format);
        if (line !== null) opened.goTo(line, 1);
      },
    }),
    keyHint(schema, path),
    alertLine(problem),
    positionList(positions, (line, column) => editor.current?.goTo(line, column)),
    row(
      h(WorkButton, { label: "Save …", kind: "main", off: !isDirty, run: () => save(base) }),
      h(WorkButton, { label: "Discard changes", off: !isDirty && !isOutdated, run: discard }),
    ),
  );
}

function useEditor(app: App) {
  const { report, problem, reload } = useConfigFile(app);
  const [memory, store] = useFormStore(EDITORS, app.requests, () => ({ base: null, text: "" }));
  const [mistakes, setMistakes] = useState<readonly ConfigMistakeWire[]>([]);
  // Why a save was refused. Stays after the file is read again.
  const [refused, setRefused] = useState<string | null>(null);
  const [isOutdated, setOutdated] = useState(false);
  const isDirty = isEdited(memory);

  // Replaces the version of the file that the edits are based on, and keeps the typed text.
  const rebase = (base: EditorBase): void => {
    store.set({ base });
    setRefused(null);
    setOutdated(false);
  };
  const begin = (base: EditorBase): void => {
    rebase(base);
    store.set({ text: base.text });
    setMistakes([]);
  };
  useEffect(() => {
    if (report === null) return;
    const { base } = store.get();
    if (base === null || !isEdited(store.get())) begin(report);
    else setOutdated(report.sha256 !== base.sha256);
  }, [report]);
  // Text with a typed secret does not outlive the view.
  useEffect(
    () => () => {
      const { base, text } = store.get();
      if (base === null || text === base.text || !hasTypedSecret(text)) return;
      store.set({ text: base.text });
      app.notify("warning", "Your changes to the configuration were not kept: there is a secret in them.");
    },
    [],
  );
  useChecks(app, memory.text, isDirty, setMistakes);

  const save = async (base: EditorBase): Promise<void> => {
    const { text } = store.get();
    const labels = { before: "The file", after: "Your text" };
    const diff = { before: base.text, after: text, format: base.format, labels };
    if (!(await app.confirm({ title: "Save these changes?", body: h(CodeDiff, diff), action: "Save" })))
      return;
    try {
      const expected = { expected_sha256: base.sha256, source: "page" } as const;
      const saved = await app.requests.call("editText", { text, ...expected });
      // If other text has been typed since, these errors do not apply to it, and it gets a separate check.
      if (store.get().text === text) setMistakes(saved.errors);
      if (saved.errors.length > 0) {
        setRefused("Nothing was saved: the text has errors.");
        return;
      }
      rebase({ ...base, text, sha256: saved.sha256 });
      const outcome = editOutcome(saved);
      app.notify(outcome.tone, sentence(outcome.text));
      app.refresh();
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      const isChanged = error.code === "config_changed";
      setOutdated(isChanged);
      setRefused(
        `Nothing was saved: ${isChanged ? "the file has changed since it was read." : error.message}`,
      );
    }
  };
  const discard = async (): Promise<void> => {
    const file = await reload();
    if (file === null) return;
    // Asks again if text was typed while the question was open.
    for (let given = store.get().base?.text; store.get().text !== given; ) {
      given = store.get().text;
      const labels = { before: "Your text", after: "The file now" };
      const yes = await app.confirm({
        title: "Discard your changes?",
        body: h(CodeDiff, { before: given, after: file.text, format: file.format, labels }),
        action: "Give them up",
        destroys: true,
      });
      if (!yes) return;
    }
    begin(file);
  };
  return { ...memory, store, mistakes, problem: refused ?? problem, isDirty, isOutdated, save, discard };
}

/** Checks changed text once typing pauses. Ignores a failed request, because a save checks the text again. */
function useChecks(
  app: App,
  text: string,
  isDirty: boolean,
  setMistakes: (found: readonly ConfigMistakeWire[]) => void,
): void {
  useEffect(() => {
    if (!isDirty) return;
    const end = new AbortController();
    const check = async (): Promise<void> => {
      const found = await app.requests
        .call("checkConfig", { text }, { signal: end.signal })
        .catch(recoverFrom(isOwnError, null));
      if (found !== null && !end.signal.aborted) setMistakes(found.mistakes);
    };
    const timer = setTimeout(() => void check(), QUIET_MS);
    return () => {
      clearTimeout(timer);
      end.abort();
    };
  }, [text, isDirty]);
}

function positionsOf(mistakes: readonly ConfigMistakeWire[], text: string): readonly TextPosition[] {
  const wrong = mistakes.map((mistake): TextPosition => {
    const { line, column } = mistake;
    return { line, column, text: shown(mistakeText(mistake)), severity: "error" };
  });
  return [...wrong, ...hiddenPositions(text)];
}

function positionList(
  positions: readonly TextPosition[],
  goTo: (line: number, column: number) => void,
): ComponentChild {
  if (positions.length === 0) return null;
  return plainList(
    "Mistakes",
    positions
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

/** Maximum number of lines that are reported for their invisible characters. */
const HIDDEN_LINES = 20;

/** One place for each line with invisible characters. */
export function hiddenPositions(text: string): readonly TextPosition[] {
  const found: TextPosition[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (found.length >= HIDDEN_LINES) break;
    const what = invisibleText(line);
    if (what !== null) found.push({ line: index + 1, column: 1, text: what, severity: "warning" });
  }
  return found;
}

// The hint below the editor: the key at the cursor, with its default and documentation.

function keyHint(schema: unknown, path: KeyPath): ComponentChild {
  const hint = schema === null ? null : hintOf(schema, path);
  const none = path.length === 0 ? [] : [`${path.join(".")}: no such key.`];
  const lines = hint === null ? (schema === null ? [] : none) : hintLines(hint);
  return h(
    "div",
    { class: "key-hint" },
    lines.map((line) => h("p", { key: line }, shown(line))),
  );
}
