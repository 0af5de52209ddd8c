// A reporter for node:test: appends events to the file $MOUNTAINEER_TEST_EVENTS, one JSON object per line.
// Writes synchronously, so that the events of a killed or hung test file are complete.
import { appendFileSync } from "node:fs";
import type { TestEvent as RunnerEvent } from "node:test/reporters";
import { inspect } from "node:util";

/** What scripts/test.ts reads. `started` without `ended` is a test that was under way when the process ended. */
export type TestEvent =
  | { readonly event: "started"; readonly name: string; readonly nesting: number }
  | {
      readonly event: "ended";
      readonly name: string;
      readonly nesting: number;
      readonly suite: boolean;
      readonly passed: boolean;
      /** The reason, "" where none was given; null when it ran. */
      readonly skipped: string | null;
      readonly durationMs: number;
      readonly line: number | null;
      /** The failure for people; null when passed, or when only its subtests failed. */
      readonly error: string | null;
    }
  | { readonly event: "warned"; readonly text: string }
  | { readonly event: "finished" };

function reasonOf(flag: string | boolean | undefined): string | null {
  if (flag === undefined || flag === false) return null;
  return flag === true ? "" : flag;
}

/** A subtest's failure is told by the subtest; its parents only repeat that there was one. */
function failureText(error: unknown): string | null {
  if (!(error instanceof Error)) return inspect(error);
  if ("failureType" in error && error.failureType === "subtestsFailed") return null;
  const cause = error.cause ?? error;
  if (!(cause instanceof Error)) return inspect(cause);
  const text = cause.stack ?? cause.message;
  return cause.cause === undefined ? text : `${text}\ncaused by ${inspect(cause.cause)}`;
}

/** The runner's event in our words; null for those that say nothing new. */
function translate({ type, data }: RunnerEvent): TestEvent | null {
  switch (type) {
    case "test:dequeue":
      return { event: "started", name: data.name, nesting: data.nesting };
    case "test:pass":
    case "test:fail":
      return {
        event: "ended",
        name: data.name,
        nesting: data.nesting,
        suite: data.details.type === "suite",
        passed: type === "test:pass",
        skipped: reasonOf(data.skip) ?? reasonOf(data.todo),
        durationMs: data.details.duration_ms,
        line: data.line ?? null,
        error: type === "test:pass" ? null : failureText(data.details.error),
      };
    case "test:diagnostic":
      // Totals and the like are diagnostics of the root too; they begin with a lower-case word and a number.
      return /^[a-z_]+ [\d.]+$/.test(data.message) ? null : { event: "warned", text: data.message };
    case "test:summary":
      return { event: "finished" };
    default:
      return null;
  }
}

// biome-ignore lint/style/noDefaultExport: node:test takes a reporter from a module's default export only.
export default async function* report(source: AsyncIterable<RunnerEvent>): AsyncGenerator<string> {
  const file = process.env["MOUNTAINEER_TEST_EVENTS"];
  if (file === undefined) throw new Error("MOUNTAINEER_TEST_EVENTS must name the file to append to");
  for await (const runnerEvent of source) {
    const event = translate(runnerEvent);
    if (event !== null) appendFileSync(file, `${JSON.stringify(event)}\n`);
  }
  yield "";
}
