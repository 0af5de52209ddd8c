// The doctor's findings and the self-test's results as text. Pure.
import type { DoctorFinding, DoctorReport, SelfTestReport } from "../../api/doctor-report.ts";
import { columns, counted, harmless, padded } from "../../runtime/text/plain-text.ts";
import type { TerminalStyle } from "./terminal-style.ts";
import { marked, text, viewOf } from "./view-lines.ts";

const ORDER: readonly DoctorFinding["severity"][] = ["error", "warning", "info", "ok"];

/** The most severe first; findings that are fine take one line. */
export function renderDoctor({ findings }: DoctorReport, style: TerminalStyle): string {
  const view = viewOf({ ...style, now: 0 });
  const { paint } = view;
  const marks = {
    error: [paint.symbols.bad, paint.red],
    warning: [paint.symbols.warning, paint.yellow],
    info: [paint.symbols.info, paint.cyan],
    ok: [paint.symbols.good, paint.green],
  } as const;
  const sorted = findings.toSorted((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity));
  const lines: string[] = [];
  for (const { severity, code, text: told, hint } of sorted) {
    const [mark, style] = marks[severity];
    const name = severity === "ok" || severity === "info" ? "" : ` [${code}]`;
    const [first = "", ...more] = told.split("\n");
    lines.push(...marked(mark, `${harmless(first)}${name}`, "", style, view));
    for (const line of more) lines.push(...text(harmless(line), "  ", view));
    if (hint !== null) lines.push(...text(harmless(hint), "    ", view).map(paint.dim));
  }
  const count = (wanted: DoctorFinding["severity"]): number =>
    findings.filter(({ severity }) => severity === wanted).length;
  const wrong = count("error") + count("warning");
  lines.push(
    "",
    wrong > 0
      ? `${counted(count("error"), "error")}, ${counted(count("warning"), "warning")}`
      : findings.some(({ code }) => code === "config_absent" || code === "config_empty")
        ? "nothing is configured yet; what was looked at is well"
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
    const word = passed === null ? "skip" : passed ? "pass" : "FAIL";
    const style = passed === null ? paint.dim : passed ? paint.green : paint.red;
    lines.push(
      `${style(word)}  ${padded(adapter, width)}  ${harmless(detail)} ${paint.dim(`(${took_ms} ms)`)}`,
    );
  }
  const failed = results.filter(({ passed }) => passed === false).length;
  lines.push("", failed === 0 ? paint.green("every adapter works") : paint.red(`${failed} failed`));
  return lines.map((line) => `${line}\n`).join("");
}
