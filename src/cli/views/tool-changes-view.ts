// What is not as it was approved, old beside new. Pure.
import { type ToolChange, type ToolChangesReport, toldName } from "../../api/tool-changes-contract.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import { renderDiff } from "./diff-view.ts";
import { paintFor, type TerminalStyle } from "./terminal-style.ts";

/** `withUnseen`: also what is hidden in texts that are published. */
export function renderToolChanges(
  { changes, unseen }: ToolChangesReport,
  style: TerminalStyle,
  withUnseen: boolean,
): string {
  const paint = paintFor(style);
  const hidden = withUnseen
    ? unseen.map(({ backend, kind, entry, faults }) => {
        const head = `${paint.yellow(paint.symbols.warning)} ${kind} ${paint.bold(harmless(entry))} of ${harmless(backend)}  has text that nobody sees`;
        return `${[head, ...faults.map((fault) => `    ${harmless(fault)}`)].join("\n")}\n`;
      })
    : [];
  return [...changes.map((change) => changeText(change, style)), ...hidden].join("\n");
}

function changeText(change: ToolChange, style: TerminalStyle): string {
  const paint = paintFor(style);
  const { backend, tool, published_as, kind, withheld, before_known, members } = change;
  const shown =
    published_as === null || published_as === tool ? "" : `, published as ${harmless(published_as)}`;
  const state = withheld ? "withheld until it is approved" : "published";
  const head = `${paint.bold(harmless(toldName(change)))} of ${harmless(backend)}${shown}  ${kind}, ${state}\n`;
  if (members === null)
    return `${head}    mountaineer tools diff ${harmless(`${backend}:${tool}`)} shows it\n`;
  const unknown = before_known
    ? ""
    : "    what was approved was too long to keep: only what is now can be shown\n";
  return head + unknown + members.map((member) => memberText(member, style)).join("");
}

function memberText(
  { member, before, after }: NonNullable<ToolChange["members"]>[number],
  style: TerminalStyle,
): string {
  const lines = (text: string | null): string => (text === null ? "" : `${text}\n`);
  const diff = diffText(visible(lines(before)), visible(lines(after)), { before: member, after: member });
  return renderDiff(diff, style);
}

/** Each line with what nobody sees spelled out, before lines are compared: a hidden change is a change. */
function visible(text: string): string {
  return text.split("\n").map(harmless).join("\n");
}
