// The published tools as text. Pure.

import { servingNames } from "../../api/client/backend-phases.ts";
import type { BackendStatus, CallReport, ToolEntry } from "../../api/contract/contract.ts";
import { displayName, type ToolChange, type ToolChangesReport } from "../../api/contract/tool-changes.ts";
import { backendLabel, isAwaitingApproval } from "../../api/labels/backend-labels.ts";
import { sinceText } from "../../api/labels/label.ts";
import { setArgumentsText } from "../../api/labels/people-labels.ts";
import { nameColumns } from "../../api/views/view-lines.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { replaceInvisible } from "../../runtime/text/invisible-characters.ts";
import { isObject } from "../../runtime/text/json-object.ts";
import { paintFor, type TerminalStyle } from "../../runtime/text/paint.ts";
import {
  bytesText,
  columns,
  padded,
  printable,
  printableLines,
  shellCommand,
  spelledOut,
  wrapped,
} from "../../runtime/text/plain-text.ts";
import { trimEnd } from "../../runtime/text/trim-end.ts";
import { renderDiff } from "./diff-view.ts";

const LONGEST_NAME = 40;
const LONGEST_BACKEND = 20;
/** Minimum width of a description, in columns; with less room, the description is left out. */
const LEAST_DESCRIPTION = 16;
const GAP = "  ";

type ListedTool = Pick<ToolEntry, "name" | "backend" | "description">;

export function renderTools(tools: readonly ListedTool[], style: TerminalStyle): string {
  const paint = paintFor(style);
  const nameWidth = nameColumns(tools, LONGEST_NAME);
  const backendWidth = nameColumns(
    tools.map(({ backend: name }) => ({ name })),
    LONGEST_BACKEND,
  );
  return tools
    .map(({ name, backend, description }) => {
      const shownName = padded(printable(name), nameWidth);
      const shownBackend = padded(printable(backend), backendWidth);
      const space = style.width - columns(`${shownName}${GAP}${shownBackend}${GAP}`);
      const summary = excerpt(description ?? "", space, style.unicode ? "\u2026" : "..");
      const end = summary === "" ? "" : `${GAP}${summary}`;
      const plain = summary === "" ? shownBackend.trimEnd() : shownBackend;
      return `${paint.bold(shownName)}${GAP}${paint.dim(plain)}${end}\n`;
    })
    .join("");
}

function excerpt(description: string, space: number, ellipsis: string): string {
  if (!(space >= LEAST_DESCRIPTION)) return "";
  const [first = "", ...more] = wrapped(printable(description), space);
  if (more.length === 0 && columns(first) <= space) return first;
  const [cut = ""] = wrapped(printable(description), space - columns(ellipsis));
  return columns(cut) + columns(ellipsis) <= space ? `${cut}${ellipsis}` : "";
}

// Tools and texts that differ from the approved ones, as diffs. Pure.

/** `withUnseen`: also lists the published entries that have invisible characters. */
export function renderToolChanges(
  { changes, unseen }: ToolChangesReport,
  style: TerminalStyle,
  withUnseen: boolean,
): string {
  const paint = paintFor(style);
  const hidden = withUnseen
    ? unseen.map(({ backend, kind, entry, faults }) => {
        const head = `${paint.yellow(paint.symbols.warning)} ${kind} ${paint.bold(printable(entry))} of ${printable(backend)}  has invisible text`;
        return `${[head, ...faults.map((fault) => `    ${printable(fault)}`)].join("\n")}\n`;
      })
    : [];
  return [...changes.map((change) => changeText(change, style)), ...hidden].join("\n");
}

function changeText(change: ToolChange, style: TerminalStyle): string {
  const paint = paintFor(style);
  const { backend, tool, published_as, kind, withheld, before_known, members, set_arguments: set } = change;
  const shown =
    published_as === null || published_as === tool ? "" : `, published as ${printable(published_as)}`;
  const state = withheld ? "withheld until it is approved" : "published";
  const head = `${paint.bold(printable(displayName(change)))} of ${printable(backend)}${shown}  ${kind}, ${state}\n`;
  if (members === null)
    return `${head}    ${shellCommand`mountaineer tools diff ${`${backend}:${tool}`}`} shows it\n`;
  const unknown = before_known
    ? ""
    : "    the approved version was too long to keep: only the current one can be shown\n";
  const sets =
    set === undefined ? "" : `    the gateway sets ${printable(setArgumentsText(set))} in each call\n`;
  return head + sets + unknown + members.map((member) => memberText(member, style)).join("");
}

function memberText(
  { member, before, after }: NonNullable<ToolChange["members"]>[number],
  style: TerminalStyle,
): string {
  const lines = (text: string | null): string => (text === null ? "" : `${text}\n`);
  const diff = diffText(visible(lines(before)), visible(lines(after)), { before: member, after: member });
  return renderDiff(diff, style);
}

/** Spells out invisible characters before lines are compared, so that the diff shows changes in them. */
function visible(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

// A tool's answer as text; content that is not text is described. Pure.

interface AnswerStyle {
  /** True: control characters and invisible characters are spelled out; false: only invisible characters. */
  readonly isTerminal: boolean;
}

export function answerText({ result }: CallReport, { isTerminal }: AnswerStyle): string {
  const parts = partsOf(result);
  const text = parts.map((part) => (part.endsWith("\n") || part === "" ? part : `${part}\n`)).join("");
  return isTerminal ? printableLines(text) : replaceInvisible(text, spelledOut);
}

/** Escapes invisible characters, which changes nothing for a JSON parser. */
export function answerJson(result: CallReport["result"]): string {
  const escaped = (unseen: string): string =>
    Array.from(
      { length: unseen.length },
      (_, at) => `\\u${unseen.charCodeAt(at).toString(16).padStart(4, "0")}`,
    ).join("");
  return `${replaceInvisible(JSON.stringify(result, null, 2), escaped)}\n`;
}

export function callFailure(report: CallReport): string | null {
  const { result, error } = report;
  if (error !== null) return `${error.message} (error ${error.code})`;
  if (result?.["isError"] !== true) return null;
  return partsOf(result).join("\n").trim() || "the tool failed, and does not say why";
}

function partsOf(result: CallReport["result"]): string[] {
  const content = result?.["content"];
  const parts = Array.isArray(content) ? content.map(blockText) : [];
  const structured = result?.["structuredContent"];
  // If there is text, structured content only repeats it.
  if (parts.length === 0 && structured !== undefined) return [JSON.stringify(structured, null, 2)];
  return parts;
}

function blockText(block: unknown): string {
  if (!isObject(block)) return "[not valid content]";
  const type = textOf(block, "type") ?? "content";
  switch (type) {
    case "text":
      return textOf(block, "text") ?? "";
    case "image":
    case "audio":
      return described([type, textOf(block, "mimeType"), sizeText(textOf(block, "data"))]);
    case "resource_link":
      return described(["link", textOf(block, "uri"), textOf(block, "title") ?? textOf(block, "name")]);
    case "resource": {
      const { resource } = block;
      if (!isObject(resource)) return described([type]);
      const text = textOf(resource, "text");
      const blob = textOf(resource, "blob");
      return text ?? described([type, textOf(resource, "uri"), textOf(resource, "mimeType"), sizeText(blob)]);
    }
    default:
      return described([type]);
  }
}

function described(facts: readonly (string | null)[]): string {
  return `[${facts.filter((fact) => fact !== null && fact !== "").join(", ")}]`;
}

/** The decoded size of base64 data. */
function sizeText(data: string | null): string | null {
  return data === null ? null : bytesText(Math.floor((trimEnd(data, "=").length * 3) / 4));
}

function textOf(table: Record<string, unknown>, key: string): string | null {
  const value = table[key];
  return typeof value === "string" ? value : null;
}

/** A line for each backend that publishes no tools, so that a person sees why tools are missing. */
export function absentBackends(backends: readonly BackendStatus[], now: number): string[] {
  return backends
    .filter((backend) =>
      backend.enabled ? servingNames([backend]).length === 0 : isAwaitingApproval(backend),
    )
    .map((backend) => {
      const { name, reason, last_error: lastError, since } = backend;
      const message = `server ${printable(name)}: ${printable(backendLabel(backend).text)}`;
      if (isAwaitingApproval(backend)) return `${message} (mountaineer approve)`;
      const why = reason ?? lastError;
      const lasted = sinceText(since, now);
      return `${message}${lasted === null ? "" : ` for ${lasted}`}${why === null ? "" : `: ${printable(why)}`}`;
    });
}
