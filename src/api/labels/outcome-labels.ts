// Results of actions as texts for all user interfaces: steps of shares, reloads, edits, errors in the
// configuration. Pure.
import type { ConfigMistakeWire, EditReport, ReloadReport } from "../contract/config.ts";
import type { OpenFileHolder, StepResult } from "../contract/contract.ts";
import { type Label, type Tone, worseTone } from "./label.ts";

/** `text` is one line for people. */
export interface Outcome extends Label {
  readonly hint: string | null;
  /** One for each requested share. */
  readonly results: readonly StepResult[];
}

export function outcome(tone: Tone, text: string): Outcome {
  return { tone, text, hint: null, results: [] };
}

export const STEP_TONES: Readonly<Record<StepResult["result"], Tone>> = {
  mounted: "good",
  unmounted: "good",
  switched: "good",
  skipped: "plain",
  pending: "warning",
  busy: "warning",
  failed: "bad",
};

/** Names the failed steps if there are any, else all steps. */
export function stepsOutcome(results: readonly StepResult[]): Outcome {
  const tone = results.map(({ result }) => STEP_TONES[result]).reduce(worseTone, "good");
  const isWrong = tone === "bad" || tone === "warning";
  const shown = isWrong ? results.filter(({ result }) => STEP_TONES[result] === tone) : results;
  const text = shown.map(({ share, detail }) => `${share}: ${detail}`).join("; ");
  const hint = shown.find((result) => result.hint !== null)?.hint ?? null;
  return { tone, text: text === "" ? "nothing to do" : text, hint, results };
}

/** `sync.debounce: found "x", expected a number; write 0.5`. */
export function mistakeText({ path, found, expected, hint }: ConfigMistakeWire): string {
  return `${path}: found ${found}, expected ${expected}${hint === null ? "" : `; ${hint}`}`;
}

/** The first error with its place, `config.toml:3:9`, and the number of others; null without errors. */
export function mistakesText([first, ...more]: readonly ConfigMistakeWire[]): string | null {
  if (first === undefined) return null;
  const rest = more.length === 0 ? "" : ` (and ${more.length} more)`;
  return `${first.file}:${first.line}:${first.column}: ${mistakeText(first)}${rest}`;
}

export function reloadOutcome({ errors, failure, summary }: ReloadResult): Outcome {
  const wrong = mistakesText(errors) ?? failure;
  return wrong === null ? outcome("good", summary) : outcome("bad", wrong);
}

type ReloadResult = Pick<ReloadReport, "failure" | "summary"> & {
  readonly errors: readonly ConfigMistakeWire[];
};

/** The result of an edit, save or rollback: `saved: 1 share reloaded`. */
export function editOutcome({ changed, errors, reload }: EditReport): Outcome {
  const refused = mistakesText(errors);
  if (refused !== null) return outcome("bad", `nothing was saved: ${refused}`);
  if (!changed) return outcome("good", "the file had this content already");
  if (reload === null) return outcome("good", "saved");
  const { tone, text } = reloadOutcome(reload);
  if (tone === "bad") return outcome("bad", `saved, but not applied: ${text}`);
  const { waiting = [] } = reload;
  if (waiting.length === 0) return outcome("good", `saved: ${text}`);
  return outcome("warning", `saved: ${text}; waits for your approval: ${waiting.join(", ")}`);
}

/** `vim (4211): /home/ada/Shares/CORE/notes.txt`. */
export function openFileText({ command, pid, path }: OpenFileHolder): string {
  return `${command} (${pid}): ${path}`;
}
