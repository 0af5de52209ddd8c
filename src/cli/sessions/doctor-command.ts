// `doctor`: runs the checks, prints or writes the report, and sets the exit code.
import { open, rm } from "node:fs/promises";
import { resolve } from "node:path";
import type { Doctor, DoctorFinding, DoctorReport, SelfTestReport } from "../../api/doctor-report.ts";
import { SEVERITY_TONES, worstFirst } from "../../api/labels/label.ts";
import { infoPaint, marked, text, viewOf } from "../../api/views/view-lines.ts";
import { errorText, MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { type TerminalStyle, tonePaint } from "../../runtime/text/paint.ts";
import { columns, padded, pluralize, printable } from "../../runtime/text/plain-text.ts";
import { openDoctor } from "../in-process/open.ts";
import type { CommandContext, Signals, Terminal } from "../input/command.ts";
import { doneLine, showResult } from "../input/options.ts";
import { FAILED_EXIT } from "../views/results-view.ts";

interface DoctorArguments {
  readonly selfTest: boolean;
  /** The file to write; true: a file with a generated name; null: no file. */
  readonly report: string | true | null;
  readonly withNames: boolean;
}

/** Resolves with the exit code. */
export async function runDoctor(context: CommandContext, options: DoctorArguments): Promise<number> {
  const doctor = await openDoctor(context);
  if (options.selfTest) {
    const report = await doctor.selfTest(context.signal);
    showResult(context, report, () => renderSelfTest(report, context.stdoutStyle));
    return report.ok ? 0 : FAILED_EXIT;
  }
  if (options.report !== null) return writeReport(context, doctor, options);
  const report = await doctor.examine(context.signal);
  showResult(context, report, () => renderDoctor(report, context.stdoutStyle));
  return report.ok ? 0 : FAILED_EXIT;
}

async function writeReport(
  context: Terminal & Signals,
  doctor: Doctor,
  options: DoctorArguments,
): Promise<number> {
  const text = await doctor.reportText({ withNames: options.withNames }, context.signal);
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "");
  const path = resolve(
    typeof options.report === "string" ? options.report : `mountaineer-report-${stamp}.md`,
  );
  try {
    // "wx" fails if the file exists.
    await using file = await open(path, "wx", 0o600);
    try {
      await file.writeFile(text);
    } catch (error) {
      // Removes the incomplete report: the next attempt would fail if the file existed.
      await rm(path).catch(() => {});
      throw error;
    }
  } catch (error) {
    if (systemErrorCode(error) === null) throw error;
    throw new MountaineerError("permission_denied", `${path} cannot be written: ${errorText(error)}`, {
      cause: error,
      hint: "name another file: mountaineer doctor --report FILE",
    });
  }
  showResult(context, { path }, (paint) => [doneLine(paint, path)]);
  if (!context.json) context.notify("it holds no secrets; read it before you attach it");
  return 0;
}

// The doctor's findings and the self-test's results as text. Pure.

const TONES = { ...SEVERITY_TONES, ok: "good" } as const;

export function renderDoctor({ findings }: Pick<DoctorReport, "findings">, style: TerminalStyle): string {
  const view = viewOf({ ...style, now: 0 });
  const { paint } = view;
  const lines: string[] = [];
  for (const finding of worstFirst(findings, ({ severity }) => TONES[severity])) {
    const { severity, code, text: message, hint } = finding;
    const { mark, style } = severity === "info" ? infoPaint(paint) : tonePaint(TONES[severity], paint);
    const name = severity === "ok" || severity === "info" ? "" : ` [${code}]`;
    const [first = "", ...more] = message.split("\n");
    lines.push(...marked(mark, `${printable(first)}${name}`, "", style, view));
    for (const line of more) lines.push(...text(printable(line), "  ", view));
    if (hint !== null) lines.push(...text(printable(hint), "    ", view).map(paint.dim));
  }
  const count = (wanted: DoctorFinding["severity"]): number =>
    findings.filter(({ severity }) => severity === wanted).length;
  const wrong = count("error") + count("warning");
  lines.push(
    "",
    wrong > 0
      ? `${pluralize(count("error"), "error")}, ${pluralize(count("warning"), "warning")}`
      : findings.some(({ code }) => code === "config_absent" || code === "config_empty")
        ? "nothing is configured yet; all checks passed"
        : paint.green("all is well"),
  );
  return lines.map((line) => `${line}\n`).join("");
}

export function renderSelfTest({ results, platform, version }: SelfTestReport, style: TerminalStyle): string {
  const view = viewOf({ ...style, now: 0 });
  const { paint } = view;
  const width = Math.max(...results.map(({ adapter }) => columns(adapter)));
  const lines = [paint.dim(`mountaineer ${version} on ${platform}`)];
  for (const { adapter, passed, detail, took_ms } of results) {
    const result = passed === null ? "skip" : passed ? "pass" : "FAIL";
    const style = passed === null ? paint.dim : passed ? paint.green : paint.red;
    lines.push(
      `${style(result)}  ${padded(adapter, width)}  ${printable(detail)} ${paint.dim(`(${took_ms} ms)`)}`,
    );
  }
  const failed = results.filter(({ passed }) => passed === false).length;
  lines.push("", failed === 0 ? paint.green("every adapter works") : paint.red(`${failed} failed`));
  return lines.map((line) => `${line}\n`).join("");
}
