// `doctor`: runs the checks, prints or writes the report, and sets the exit code.
import { open, rm } from "node:fs/promises";
import { resolve } from "node:path";
import type { Doctor } from "../../api/doctor-report.ts";
import { errorText, MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { openDoctor } from "../in-process/open.ts";
import type { CommandContext } from "../input/command.ts";
import { showResult } from "../input/options.ts";
import { renderDoctor, renderSelfTest } from "../views/doctor-view.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { paintFor } from "../views/terminal-style.ts";

interface DoctorArguments {
  readonly selfTest: boolean;
  /** The file to write; true chooses a name; null: none. */
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
  context: CommandContext,
  doctor: Doctor,
  options: DoctorArguments,
): Promise<number> {
  const text = await doctor.reportText({ withNames: options.withNames }, context.signal);
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "");
  const path = resolve(
    typeof options.report === "string" ? options.report : `mountaineer-report-${stamp}.md`,
  );
  try {
    // Never replaces a file.
    await using file = await open(path, "wx", 0o600);
    try {
      await file.writeFile(text);
    } catch (error) {
      // Half a report is useless, and would be in the way of the next one.
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
  const { symbols, green } = paintFor(context.stdoutStyle);
  showResult(context, { path }, () => `${green(symbols.good)} ${path}\n`);
  if (!context.json) context.note("it holds no secrets; read it before you attach it");
  return 0;
}
