// What the doctor's tests ask: a report of a home, one finding of it, and the configuration of a home on local folders.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { DoctorFinding, DoctorReport } from "../../../src/api/doctor-report.ts";
import { runCommand } from "../command-line.ts";

export function reportOf({
  stdout,
  stderr,
}: {
  readonly stdout: string;
  readonly stderr: string;
}): DoctorReport {
  assert.equal(stderr, "");
  return JSON.parse(stdout);
}

export async function examined(
  home: string,
  env: Readonly<Record<string, string>> = {},
): Promise<DoctorReport> {
  return reportOf(await runCommand(["doctor", "--json"], { home, env }));
}

export function causeOf({ findings }: DoctorReport, code: string): DoctorFinding {
  const found = findings.find((finding) => finding.code === code);
  const told = findings.filter(({ severity }) => severity !== "ok").map((one) => `${one.code}: ${one.text}`);
  assert.ok(found !== undefined, `no ${code} among ${told.join("\n")}`);
  return found;
}

export const localShare = (folder: string): string => `[[shares]]
name = "CORE"
thunderbolt_path = "${join(folder, "tb")}"
fallback_path = "${join(folder, "fallback")}"
`;

export async function localConfig(folder: string): Promise<string> {
  await mkdir(join(folder, "tb"), { recursive: true });
  await mkdir(join(folder, "fallback"), { recursive: true });
  const lines = [
    "[global]",
    `shares_root = "${join(folder, "Shares")}"`,
    `mount_root = "${join(folder, "v")}"`,
  ];
  return `${lines.join("\n")}\n${localShare(folder)}`;
}
