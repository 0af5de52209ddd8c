// The results of a command that changes shares, as text and exit code. Pure.
import type { BackendSwitchReport, StepResult, VerifyReport } from "../../api/contract/contract.ts";
import { STEP_TONES } from "../../api/labels/outcome-labels.ts";
import { openFileLines } from "../../api/views/view-lines.ts";
import { ERROR_CODES } from "../../runtime/errors.ts";
import { type Paint, paintFor, type TerminalStyle, tonePaint } from "../../runtime/text/paint.ts";
import { columns, padded, printable, sharesAndBackends } from "../../runtime/text/plain-text.ts";

/** The exit code of a command that failed without a more specific error code. */
export const FAILED_EXIT = 1;

/**
 * The exit code of the worst result: 1 if a share failed, 7 if a share is busy, else 0. For `reconcile`,
 * which only starts the next steps, a pending share is a success; for every other command it counts as busy.
 */
export function exitCodeOf(results: readonly StepResult[], command: string): number {
  if (results.some(({ result }) => result === "failed")) return FAILED_EXIT;
  const isBusy = ({ result }: StepResult) =>
    result === "busy" || (result === "pending" && command !== "reconcile");
  return results.some(isBusy) ? ERROR_CODES.share_busy.exit : 0;
}

/**
 * Reports the share as mounted if its mount was skipped because a cycle of the daemon had mounted it already.
 */
export function asMounted(share: StepResult): StepResult {
  const isMounted = share.result === "skipped" && share.active_interface !== "none";
  return isMounted ? { ...share, result: "mounted" } : share;
}

export function renderResults(results: readonly StepResult[], style: TerminalStyle): string {
  const paint = paintFor(style);
  const nameWidth = Math.max(0, ...results.map(({ share }) => columns(printable(share))));
  const lines = results.flatMap((result) => {
    const below = openFileLines(result.holders);
    if (result.hint !== null) below.push(paint.dim(`hint: ${printable(result.hint)}`));
    const name = paint.bold(padded(printable(result.share), nameWidth));
    return [
      `${markOf(result, paint)} ${name}  ${outcomeText(result)}`,
      ...below.map((line) => `    ${line}`),
    ];
  });
  return lines.map((line) => `${line}\n`).join("");
}

function outcomeText({ result, detail }: StepResult): string {
  const text = printable(detail);
  if (text === "") return result;
  return text.toLowerCase().startsWith(result) ? text : `${result}: ${text}`;
}

const MARKS = { good: "good", plain: "skip", warning: "warning", bad: "bad" } as const;

function markOf({ result }: Pick<StepResult, "result">, paint: Paint): string {
  const tone = STEP_TONES[result];
  return tonePaint(tone, paint).style(paint.symbols[MARKS[tone]]);
}

function wellLine({ checked }: VerifyReport, paint: Paint): string {
  const counts = sharesAndBackends(checked.shares, checked.backends);
  if (counts === null)
    return `${paint.cyan(paint.symbols.info)} no share and no server is enabled, so nothing was checked`;
  return `${paint.green(paint.symbols.good)} ${counts}: everything is as it should be`;
}

export function renderVerify(report: VerifyReport, style: TerminalStyle): string {
  const paint = paintFor(style);
  const lines: string[] = [];
  if (report.ok && report.findings.length === 0) lines.push(wellLine(report, paint));
  const nameWidth = Math.max(0, ...report.findings.map(({ share }) => columns(printable(share ?? ""))));
  for (const { share, severity, text, hint } of report.findings) {
    const mark = severity === "error" ? paint.red(paint.symbols.bad) : paint.yellow(paint.symbols.warning);
    const name = nameWidth === 0 ? "" : `${paint.bold(padded(printable(share ?? ""), nameWidth))}  `;
    lines.push(`${mark} ${name}${printable(text)}`);
    if (hint !== null) lines.push(`    ${paint.dim(`hint: ${printable(hint)}`)}`);
  }
  return lines.map((line) => `${line}\n`).join("");
}

export function renderBackendSwitch(report: BackendSwitchReport, style: TerminalStyle): string {
  const paint = paintFor(style);
  const detail = report.result === "failed" ? `stays as it is: ${report.detail}` : report.detail;
  return `${markOf(report, paint)} ${paint.bold(printable(report.backend))}  ${printable(detail)}\n`;
}
