// What a tool answered, as text: nothing of it is drawn, run or loaded.
import { type ComponentChild, h } from "preact";
import type { CallReport } from "../../../api/contract.ts";
import { msText } from "../../../api/words/words.ts";
import { objectOf } from "../../../runtime/text/json-object.ts";
import { textBlock } from "../parts/elements.ts";
import { bytesText, shown } from "../parts/text.ts";

const MOST_PARTS = 50;

export interface CallOutcome {
  readonly report: CallReport;
  readonly tookMs: number;
}

export function CallResult({ outcome }: { readonly outcome: CallOutcome }): ComponentChild {
  const { report, tookMs } = outcome;
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
    content.length > MOST_PARTS
      ? h("p", { class: "hint" }, `${content.length - MOST_PARTS} more parts`)
      : null,
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
