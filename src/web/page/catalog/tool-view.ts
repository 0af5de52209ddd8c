// One tool: its description, and a form to call it.
import { type ComponentChild, h } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { CatalogTool } from "../../../api/contract/catalog.ts";
import type { CallReport } from "../../../api/contract/contract.ts";
import {
  type CallArguments,
  createArguments,
  hasFields,
  rawMistake,
  rawText,
  redrawn,
  sentArguments,
  withRaw,
} from "../../../api/forms/call-arguments.ts";
import { withNode } from "../../../api/forms/form-node.ts";
import { msText } from "../../../api/labels/label.ts";
import { setArgumentsText } from "../../../api/labels/people-labels.ts";
import { marksText, mayDestroy } from "../../../api/labels/tool-hints.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { objectOf } from "../../../runtime/text/json-object.ts";
import { bytesText } from "../../../runtime/text/plain-text.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { actionRow, card, code, details, line, row, textBlock, WorkButton } from "../parts/elements.ts";
import { createFormStores, useFormStore } from "../parts/form-store.ts";
import { shown } from "../parts/text.ts";
import { FieldView } from "./form-view.ts";

interface ToolProps extends ViewProps {
  readonly tool: CatalogTool;
}

export function ToolView({ app, tool }: ToolProps): ComponentChild {
  const marks = marksText(tool.annotations);
  const { set_arguments: set } = tool;
  return card(
    "plain",
    `Tool ${shown(tool.name)}`,
    h("header", {}, h("h2", {}, shown(tool.name)), h("span", { class: "dim" }, `of ${shown(tool.backend)}`)),
    tool.original_name === tool.name
      ? null
      : h("p", { class: "facts" }, "Its server calls it ", code(tool.original_name), "."),
    line("facts", marks && `${marks}.`),
    line(
      "facts",
      set === undefined ? null : `The gateway sets ${shown(setArgumentsText(set))} in each call.`,
    ),
    tool.description === undefined
      ? h("p", { class: "hint" }, "It has no description.")
      : textBlock(tool.description, `Description of ${shown(tool.name)}`),
    h(TryIt, { app, tool }),
    actionRow(h(WorkButton, { label: "Switch off", run: () => switchTool(app, tool.name, false) })),
    details("Schema", textBlock(JSON.stringify(tool.input_schema, null, 2), `Schema of ${shown(tool.name)}`)),
  );
}

export async function switchTool(app: App, name: string, on: boolean): Promise<void> {
  const state = on ? "on" : "off";
  await app.attempt(`Switch ${state}`, async () => {
    await app.requests.call("switchTools", { tools: [name], on });
    app.notify("good", `${shown(name)} is switched ${state}`, () => switchTool(app, name, !on));
  });
}

function confirmCall(app: App, { name, backend }: CatalogTool): Promise<boolean> {
  return app.confirm({
    title: `Call ${shown(name)}?`,
    body: h("p", {}, `The tool of ${shown(backend)} does not say that it changes nothing.`),
    action: "Call it",
    destroys: true,
  });
}

const ARGUMENTS = createFormStores<CallArguments>();

type CallState =
  | { readonly kind: "idle" }
  | { readonly kind: "calling"; readonly cancel: AbortController }
  | { readonly kind: "answered"; readonly report: CallReport; readonly tookMs: number }
  | { readonly kind: "failed"; readonly reason: string };

function TryIt({ app, tool }: ToolProps): ComponentChild {
  const drawn = useMemo(() => createArguments(tool.input_schema, tool.cut === true), [tool]);
  const [typed, store] = useFormStore(
    ARGUMENTS,
    app.requests,
    () => drawn,
    JSON.stringify([tool.backend, tool.name]),
  );
  // Fits the typed arguments to the tool's schema, which may have changed since they were typed.
  const given = useMemo(() => redrawn(drawn, typed), [drawn, typed]);
  /** The newest arguments, with input that was typed since the form was drawn. */
  const newest = (): CallArguments => redrawn(drawn, store.get());
  const [isTried, setTried] = useState(false);
  const [state, setState] = useState<CallState>({ kind: "idle" });

  const call = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (state.kind === "calling") return;
    const args = sentArguments(newest());
    setTried(args === null);
    if (args === null) return;
    if (mayDestroy(tool.annotations) && !(await confirmCall(app, tool))) return;
    const cancel = new AbortController();
    setState({ kind: "calling", cancel });
    const startedMs = performance.now();
    try {
      const report: CallReport = await app.requests.call(
        "call",
        { tool: tool.name, arguments: args },
        { signal: cancel.signal },
      );
      setState({ kind: "answered", report, tookMs: performance.now() - startedMs });
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      setState({ kind: "failed", reason: error.message });
    }
  };
  const turn = (): void => {
    const now = newest();
    const turned = now.raw === null ? { raw: rawText(now) } : withRaw(now, now.raw);
    store.set(turned);
    setTried(false);
    if (now.raw !== null && turned.raw !== null)
      app.notify("plain", rawMistake(now) ?? "The form has no field for something in the text.");
  };
  return h(
    "form",
    { class: "form", "aria-label": `Try ${shown(tool.name)}`, onSubmit: (event: Event) => void call(event) },
    h("h3", {}, "Try it"),
    given.raw === null
      ? h(FieldView, {
          node: given.root,
          path: [],
          label: "Arguments",
          isTried,
          onNode: (path, node) => store.set({ root: withNode(newest().root, path, node) }),
        })
      : jsonArguments(given.raw, isTried ? rawMistake(given) : null, (raw) => store.set({ raw })),
    row(
      h(
        "button",
        { type: "submit", class: "main", "aria-busy": state.kind === "calling" },
        state.kind === "calling" ? "Calling …" : "Call",
      ),
      state.kind === "calling"
        ? h("button", { type: "button", onClick: () => state.cancel.abort() }, "Cancel the call")
        : null,
      !hasFields(given.root)
        ? null
        : h(
            "button",
            { type: "button", class: "quiet", onClick: turn },
            given.raw === null ? "Write it as JSON" : "Use the form",
          ),
    ),
    h(
      "div",
      { "aria-live": "polite" },
      state.kind === "answered" ? callResult(state.report, state.tookMs) : null,
      line("problem", state.kind === "failed" ? state.reason : null),
    ),
  );
}

function jsonArguments(json: string, mistake: string | null, onJson: (json: string) => void): ComponentChild {
  return h(
    "div",
    { class: "field" },
    h("label", { for: "arguments-json" }, "Arguments, as JSON"),
    h("textarea", {
      id: "arguments-json",
      rows: 8,
      spellcheck: false,
      value: json,
      "aria-invalid": mistake !== null,
      onInput: (event: Event) => onJson((event.target as HTMLTextAreaElement).value),
    }),
    line("problem", mistake && `In the text: ${mistake}`),
  );
}

// A tool's result, as text: no part of it is drawn, run or loaded.

const MOST_PARTS = 50;

function callResult(report: CallReport, tookMs: number): ComponentChild {
  if (report.error !== null) {
    const { code, message, data } = report.error;
    return h(
      "div",
      { class: "form" },
      h("p", { class: "problem" }, `Error ${code}: ${shown(message)}`),
      data === undefined ? null : textBlock(JSON.stringify(data, null, 2), "The error's data"),
    );
  }
  const result = objectOf(report.result);
  const content: readonly unknown[] = Array.isArray(result["content"]) ? result["content"] : [];
  const structured = result["structuredContent"];
  return h(
    "div",
    { class: "form" },
    h(
      "p",
      { class: result["isError"] === true ? "problem" : "facts" },
      result["isError"] === true
        ? `The tool says that it failed, after ${msText(tookMs)}.`
        : `Answered in ${msText(tookMs)}.`,
    ),
    content.slice(0, MOST_PARTS).map((part, index) => h("div", { key: index }, contentPart(objectOf(part)))),
    line("hint", content.length > MOST_PARTS ? `${content.length - MOST_PARTS} more parts` : null),
    structured === undefined
      ? null
      : [
          h("h4", {}, "Structured result"),
          textBlock(JSON.stringify(structured, null, 2), "Structured result"),
        ],
    content.length === 0 && structured === undefined
      ? textBlock(JSON.stringify(result, null, 2), "Result")
      : null,
  );
}

function contentPart(part: Readonly<Record<string, unknown>>): ComponentChild {
  const { type, text, data, mimeType } = part;
  if (type === "text" && typeof text === "string") return textBlock(text, "Text of the result");
  if ((type === "image" || type === "audio") && typeof data === "string") {
    const what = `${type}, ${shown(String(mimeType ?? "unknown kind"))}, ${bytesText(Math.floor((data.length * 3) / 4))}`;
    return h("p", { class: "facts" }, what);
  }
  return textBlock(JSON.stringify(part, null, 2), "Part of the result");
}
