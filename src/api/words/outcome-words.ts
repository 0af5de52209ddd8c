// What became of an action in the words of all faces: a step of a share, a reload, a mistake in the configuration. Pure.
import type { ConfigMistakeWire, OpenFileHolder, ReloadReport, StepResult } from "../contract.ts";
import { type Tone, type Words, worseTone } from "./words.ts";

/** `text` for people, in one line. */
export interface Outcome extends Words {
  readonly hint: string | null;
  /** Of each share that was asked for. */
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

/** What went wrong, where something did; else all of it. */
export function stepsOutcome(results: readonly StepResult[]): Outcome {
  const tone = results.map(({ result }) => STEP_TONES[result]).reduce(worseTone, "good");
  const isWrong = tone === "bad" || tone === "warning";
  const told = isWrong ? results.filter(({ result }) => STEP_TONES[result] === tone) : results;
  const text = told.map(({ share, detail }) => `${share}: ${detail}`).join("; ");
  const hint = told.find((result) => result.hint !== null)?.hint ?? null;
  return { tone, text: text === "" ? "nothing to do" : text, hint, results };
}

/** `config.toml:3:9: sync.debounce: found 0, expected 0.01 to 60`. */
export function mistakeText(mistake: ConfigMistakeWire): string {
  const { file, line, column, path, found, expected } = mistake;
  return `${file}:${line}:${column}: ${path}: found ${found}, expected ${expected}`;
}

export function reloadOutcome({
  errors,
  failure,
  summary,
}: Pick<ReloadReport, "errors" | "failure" | "summary">): Outcome {
  const [mistake, ...more] = errors;
  if (mistake === undefined) return failure === null ? outcome("good", summary) : outcome("bad", failure);
  const rest = more.length === 0 ? "" : ` (and ${more.length} more)`;
  return { ...outcome("bad", `${mistakeText(mistake)}${rest}`), hint: mistake.hint };
}

/** `vim (4211): /home/ada/Shares/CORE/notes.txt`. */
export function holderText({ command, pid, path }: OpenFileHolder): string {
  return `${command} (${pid}): ${path}`;
}
