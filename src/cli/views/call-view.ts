// A tool's answer as text; content that is not text is described. Pure.
import type { CallReport } from "../../api/contract.ts";
import { isObject } from "../../runtime/text/json-object.ts";
import { spelledOut } from "../../runtime/text/plain-text.ts";
import { replaceUnseen } from "../../runtime/text/unseen-characters.ts";
import { forTerminal } from "./diff-view.ts";

interface AnswerLook {
  /** Then whatever a terminal could obey is spelled out; elsewhere only what nobody sees. */
  readonly isTerminal: boolean;
}

/** What the tool said, ending in a newline unless it is empty. */
export function answerText({ result }: CallReport, { isTerminal }: AnswerLook): string {
  const parts = partsOf(result);
  const text = parts.map((part) => (part.endsWith("\n") || part === "" ? part : `${part}\n`)).join("");
  return isTerminal ? forTerminal(text) : replaceUnseen(text, spelledOut);
}

/** The whole answer as JSON; what nobody sees is escaped in it, and is the same to whoever parses it. */
export function answerJson(result: CallReport["result"]): string {
  const escaped = (unseen: string): string =>
    Array.from(
      { length: unseen.length },
      (_, at) => `\\u${unseen.charCodeAt(at).toString(16).padStart(4, "0")}`,
    ).join("");
  return `${replaceUnseen(JSON.stringify(result, null, 2), escaped)}\n`;
}

/** Why the call failed, for people; null when it did not. */
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
  // A tool that gives text and structured content says the same in both.
  if (parts.length === 0 && structured !== undefined) return [JSON.stringify(structured, null, 2)];
  return parts;
}

function blockText(block: unknown): string {
  if (!isObject(block)) return "[something that is no content]";
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

/** The size of what the base64 text stands for. */
function sizeText(data: string | null): string | null {
  if (data === null) return null;
  const bytes = Math.floor((data.replace(/=+$/, "").length * 3) / 4);
  if (bytes < 1_000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1_000).toFixed(1)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function textOf(table: Record<string, unknown>, key: string): string | null {
  const value = table[key];
  return typeof value === "string" ? value : null;
}
