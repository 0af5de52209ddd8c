// A tool's answer as text to read: data, never interpreted, and never more than a terminal can take.
import type { CallReport } from "../../api/contract.ts";
import { isObject } from "../../runtime/text/json-object.ts";
import { counted } from "../../runtime/text/plain-text.ts";

/** Characters that are shown of an answer. */
export const ANSWER_LIMIT = 256 * 1024;

export interface AnswerText {
  readonly text: string;
  /** Whether the tool says that it went well. */
  readonly isGood: boolean;
  /** Characters there are beyond those shown. */
  readonly cutOff: number;
}

export function answerText({ result, error }: CallReport): AnswerText {
  const isGood = error === null && result?.["isError"] !== true;
  const whole = error === null ? resultText(result ?? {}) : errorLines(error);
  const text = whole.slice(0, ANSWER_LIMIT);
  return { text: text.toWellFormed(), isGood, cutOff: whole.length - text.length };
}

function errorLines({ code, message, data }: NonNullable<CallReport["error"]>): string {
  const more = data === undefined ? [] : ["", pretty(data)];
  return [`error ${code}: ${message}`, ...more].join("\n");
}

function resultText(result: Readonly<Record<string, unknown>>): string {
  const { content, structuredContent, isError: _, ...rest } = result;
  const blocks = Array.isArray(content) ? content.map(blockText) : [];
  const structured = structuredContent === undefined ? [] : [`structured:\n${pretty(structuredContent)}`];
  const others = Object.keys(rest).length === 0 ? [] : [pretty(rest)];
  const parts = [...blocks, ...structured, ...others];
  return parts.length === 0 ? "(nothing)" : parts.join("\n\n");
}

function blockText(block: unknown): string {
  if (!isObject(block)) return pretty(block);
  const { type, text, data, mimeType, resource } = block;
  if (type === "text" && typeof text === "string") return text;
  if ((type === "image" || type === "audio") && typeof data === "string")
    return `[${type} ${String(mimeType)}, ${sizeText(data)}]`;
  if (type === "resource" && isObject(resource)) {
    const { uri, text: inner, blob } = resource;
    if (typeof inner === "string") return `[${String(uri)}]\n${inner}`;
    if (typeof blob === "string") return `[${String(uri)}, ${sizeText(blob)}]`;
  }
  return pretty(block);
}

/** Of what is base64. */
function sizeText(data: string): string {
  const padding = /=*$/.exec(data.slice(-2))?.[0].length ?? 0;
  return counted(Math.max(0, Math.floor((data.length * 3) / 4) - padding), "byte");
}

function pretty(value: unknown): string {
  return JSON.stringify(value, null, 2) ?? "";
}
