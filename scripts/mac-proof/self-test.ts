// Runs `mountaineer doctor --self-test` and reads its report.
import path from "node:path";
import type { SelfTestReport } from "../../src/api/doctor-report.ts";
import { run } from "./command.ts";
import type { Report } from "./report.ts";

const MOUNTAINEER = path.resolve(import.meta.dirname, "../../bin/mountaineer");
const WITHIN_MS = 170_000;

/** Notes each adapter's result, and fails for those that failed. */
export async function selfTest(
  report: Report,
  env: Readonly<Record<string, string>>,
): Promise<SelfTestReport> {
  const { output, code } = await run(MOUNTAINEER, ["doctor", "--self-test", "--json"], env, WITHIN_MS);
  let tested: SelfTestReport;
  try {
    // Our own program in the same version.
    tested = JSON.parse(output.slice(output.indexOf("{"), output.lastIndexOf("}") + 1)) as SelfTestReport;
  } catch {
    throw new Error(`doctor --self-test ended with ${code} and no report: ${output.slice(-2_000)}`);
  }
  report.note(tested.platform);
  for (const { adapter, passed, detail, took_ms } of tested.results) {
    if (passed === null) report.note(`${adapter}: not tried: ${detail}`);
    else
      report.check(
        passed,
        `adapter "${adapter}" works`,
        `${detail} (${took_ms} ms)`,
        "docs/reference/macos.md's first table names the adapter's file; what macOS answered is between the colons",
      );
  }
  return tested;
}
