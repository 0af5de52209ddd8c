// One tool: what it says of itself, and a form to try it.
import { type ComponentChild, h } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { ToolPlaces } from "../../../api/catalog-contract.ts";
import type { CallReport } from "../../../api/contract.ts";
import { mayDestroy } from "../../../api/tool-hints.ts";
import { placesText } from "../../../api/words/tool-places.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { isObject } from "../../../runtime/text/json-object.ts";
import type { App } from "../parts/app.ts";
import { code, textBlock } from "../parts/elements.ts";
import { createFormKeeper } from "../parts/kept-form.ts";
import { shown } from "../parts/text.ts";
import { useKeptForm } from "../parts/use-kept-form.ts";
import { type CallOutcome, CallResult } from "./call-result.ts";
import { FieldView } from "./form-view.ts";
import { type Draft, type FormMistake, filledFrom, formOf } from "./schema-form.ts";

export interface ShownTool {
  readonly name: string;
  readonly backend: string;
  readonly original_name: string;
  readonly description: string | null;
  readonly input_schema: Readonly<Record<string, unknown>>;
  readonly annotations?: Readonly<Record<string, unknown>> | undefined;
  /** Where calls go, best first, where several machines have it. */
  readonly places?: ToolPlaces | undefined;
  /** Its schema is too large to be sent. */
  readonly cut?: boolean | undefined;
}

const HINTS: Readonly<Record<string, readonly [whenTrue: string, whenFalse: string | null]>> = {
  readOnlyHint: ["only reads", null],
  destructiveHint: ["may destroy", null],
  idempotentHint: ["same again changes nothing more", null],
  openWorldHint: ["reaches beyond this machine", null],
};

export function ToolView({ app, tool }: { readonly app: App; readonly tool: ShownTool }): ComponentChild {
  const hints = Object.entries(HINTS)
    .filter(([name]) => tool.annotations?.[name] === true)
    .map(([, [text]]) => text);
  return h(
    "article",
    { class: "card plain", "aria-label": `Tool ${shown(tool.name)}` },
    h("header", {}, h("h2", {}, shown(tool.name)), h("span", { class: "dim" }, `of ${shown(tool.backend)}`)),
    tool.original_name === tool.name
      ? null
      : h("p", { class: "facts" }, "Its server calls it ", code(tool.original_name), "."),
    tool.places === undefined
      ? null
      : h("p", { class: "facts" }, `Calls go to ${shown(placesText(tool.places))}.`),
    hints.length === 0 ? null : h("p", { class: "facts" }, `It says of itself: ${hints.join(", ")}.`),
    tool.description === null
      ? h("p", { class: "hint" }, "It has no description.")
      : textBlock(tool.description, `Description of ${shown(tool.name)}`),
    h(TryIt, { app, tool }),
    h(
      "details",
      {},
      h("summary", {}, "Schema"),
      textBlock(JSON.stringify(tool.input_schema, null, 2), `Schema of ${shown(tool.name)}`),
    ),
  );
}

function askToCall(app: App, { name, backend }: ShownTool): Promise<boolean> {
  return app.ask({
    title: `Call ${shown(name)}?`,
    body: h("p", {}, `The tool of ${shown(backend)} does not say that it leaves everything as it is.`),
    action: "Call it",
    destroys: true,
  });
}

/** What was typed for one tool. */
interface TypedArguments {
  readonly draft: Draft;
  /** As text, which is not what the fields have; null: the fields are shown. */
  readonly json: string | null;
}

const ARGUMENTS = createFormKeeper<TypedArguments>();

type CallState =
  | { readonly kind: "idle" }
  | { readonly kind: "calling"; readonly cancel: AbortController }
  | { readonly kind: "answered"; readonly outcome: CallOutcome }
  | { readonly kind: "failed"; readonly reason: string };

function TryIt({ app, tool }: { readonly app: App; readonly tool: ShownTool }): ComponentChild {
  const field = useMemo(() => formOf(tool.input_schema), [tool]);
  const [typed, kept] = useKeptForm(
    ARGUMENTS,
    app.requests,
    () => ({ draft: {}, json: null }),
    JSON.stringify([tool.backend, tool.name]),
  );
  const { draft } = typed;
  // Its schema may be another by now, which no fields can show.
  const json = typed.json ?? (field.kind === "json" || tool.cut === true ? "{}" : null);
  const [mistakes, setMistakes] = useState<readonly FormMistake[]>([]);
  const [state, setState] = useState<CallState>({ kind: "idle" });

  const call = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (state.kind === "calling") return;
    const filled = json === null ? filledFrom(field, draft) : parseArguments(json);
    setMistakes(filled.mistakes);
    if (filled.mistakes.length > 0) return;
    if (mayDestroy(tool.annotations) && !(await askToCall(app, tool))) return;
    const cancel = new AbortController();
    setState({ kind: "calling", cancel });
    const startedMs = performance.now();
    try {
      // A tool's arguments are an object: the form and the check of the JSON see to it.
      const args = filled.value as Record<string, unknown>;
      const report: CallReport = await app.requests.ask(
        "call",
        { tool: tool.name, arguments: args },
        { signal: cancel.signal },
      );
      setState({ kind: "answered", outcome: { report, tookMs: performance.now() - startedMs } });
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      setState({ kind: "failed", reason: error.message });
    }
  };
  const turn = (): void => {
    kept.set({ json: json === null ? JSON.stringify(filledFrom(field, draft).value ?? {}, null, 2) : null });
    setMistakes([]);
  };
  return h(
    "form",
    { class: "form", "aria-label": `Try ${shown(tool.name)}`, onSubmit: (event: Event) => void call(event) },
    h("h3", {}, "Try it"),
    json === null
      ? h(FieldView, { field, draft, mistakes, onDraft: (next: Draft) => kept.set({ draft: next }) })
      : h(JsonArguments, { json, mistakes, onJson: (next: string) => kept.set({ json: next }) }),
    h(
      "div",
      { class: "row" },
      h(
        "button",
        { type: "submit", class: "main", "aria-busy": state.kind === "calling" },
        state.kind === "calling" ? "Calling …" : "Call",
      ),
      state.kind === "calling"
        ? h("button", { type: "button", onClick: () => state.cancel.abort() }, "Cancel the call")
        : null,
      field.kind === "json"
        ? null
        : h(
            "button",
            { type: "button", class: "quiet", onClick: turn },
            json === null ? "Write it as JSON" : "Use the form",
          ),
    ),
    h(
      "div",
      { "aria-live": "polite" },
      state.kind === "answered" ? h(CallResult, { outcome: state.outcome }) : null,
      state.kind === "failed" ? h("p", { class: "problem" }, shown(state.reason)) : null,
    ),
  );
}

function JsonArguments({
  json,
  mistakes,
  onJson,
}: {
  readonly json: string;
  readonly mistakes: readonly FormMistake[];
  readonly onJson: (json: string) => void;
}): ComponentChild {
  return h(
    "div",
    { class: "field" },
    h("label", { for: "arguments-json" }, "Arguments, as JSON"),
    h("textarea", {
      id: "arguments-json",
      rows: 8,
      spellcheck: false,
      value: json,
      "aria-invalid": mistakes.length > 0,
      onInput: (event: Event) => onJson((event.target as HTMLTextAreaElement).value),
    }),
    mistakes.map(({ text }) => h("p", { key: text, class: "problem" }, `The text ${text}`)),
  );
}

function parseArguments(json: string): {
  readonly value: unknown;
  readonly mistakes: readonly FormMistake[];
} {
  try {
    const value: unknown = JSON.parse(json);
    if (isObject(value)) return { value, mistakes: [] };
    return { value: undefined, mistakes: [{ path: "", text: "is not a JSON object" }] };
  } catch {
    return { value: undefined, mistakes: [{ path: "", text: "is not JSON" }] };
  }
}
