// Computes a test file's outcome from its events and its process's end. Pure.
import type { TestEvent } from "./test-reporter.ts";

export interface FileOutcome {
  readonly passed: number;
  readonly skipped: readonly Skip[];
  /** One text for each counted failure. */
  readonly failures: readonly string[];
  /** Notes that are not counted. */
  readonly notes: readonly string[];
  /** The outcome of each file, if several shared a process; else empty. */
  readonly byFile: ReadonlyMap<string, FileCounts>;
}

export interface Skip {
  readonly title: string;
  readonly reason: string;
  /** null: the only file of its process. */
  readonly file: string | null;
}

export interface FileCounts {
  passed: number;
  skipped: number;
  seconds: number;
  readonly failures: string[];
}

export interface FileEnd {
  /** null: ended by a signal. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** The file was ended at its deadline. */
  readonly timedOutAfterMs: number | null;
  /** One line for each handle that kept the process from ending. */
  readonly keptAlive: readonly string[];
  /** Only some titles were selected: a file without a match is no failure. */
  readonly filtered: boolean;
  /** One line for each thing left behind. */
  readonly leftBehind: readonly string[];
}

/** The required beginning of a skip's reason where everything is installed, as in CI. */
const SKIP_ALLOWED_IN_CI = /^macOS only/;

/** The file of each skipped test that runs where everything is installed. `files`: of the process. */
export function filesOfSkips([first = ""]: readonly string[], { skipped }: FileOutcome): string[] {
  return skipped.flatMap(({ reason, file }) => (SKIP_ALLOWED_IN_CI.test(reason) ? [] : (file ?? first)));
}

/** `strictSkips`: a skipped test is a failure, unless its reason begins with "macOS only". */
export function fileOutcome(events: readonly TestEvent[], end: FileEnd, strictSkips: boolean): FileOutcome {
  const failures: string[] = [];
  const skipped: Skip[] = [];
  const notes = events.flatMap((event) => (event.event === "warned" ? [event.text] : []));
  let passed = 0;
  // Several files in one process: each is a suite with the file's name.
  let file: string | null = null;
  const byFile = new Map<string, FileCounts>();
  let ranOfFile = 0;
  const fail = (failure: string): void => {
    failures.push(failure);
    if (file !== null) byFile.get(file)?.failures.push(failure);
  };
  for (const event of events) {
    if (event.event === "started" && event.nesting === 0 && isFile(event.name)) {
      file = event.name;
      byFile.set(file, { passed: 0, skipped: 0, seconds: 0, failures: [] });
      ranOfFile = 0;
    }
    if (event.event !== "ended") continue;
    if (!event.suite) ranOfFile += 1;
    else if (event.name === file && event.nesting === 0 && event.passed && ranOfFile === 0 && !end.filtered)
      fail(`${file}\nthe file ran no test`);
    const counts = file === null ? undefined : byFile.get(file);
    if (counts !== undefined && event.nesting === 0 && event.name === file)
      counts.seconds = event.durationMs / 1000;
    if (event.skipped !== null) {
      const allowed = !strictSkips || SKIP_ALLOWED_IN_CI.test(event.skipped);
      if (allowed) {
        skipped.push({ title: event.name, reason: event.skipped, file });
        if (counts !== undefined) counts.skipped += 1;
      } else
        fail(
          `${event.name}\nskipped here, where nothing may be missing: ${event.skipped || "no reason given"}`,
        );
    } else if (!event.passed) {
      if (event.error !== null) fail(`${event.name}${placeOf(file, event.line)}\n${event.error}`);
    } else if (!event.suite) {
      passed += 1;
      if (counts !== undefined) counts.passed += 1;
    }
  }

  const unfinished = unfinishedTitles(events);
  const finished = events.some((event) => event.event === "finished");
  const ran = passed + skipped.length + failures.length > 0;
  const during = unfinished.length > 0 ? `; under way: ${unfinished.join(", ")}` : "";
  if (end.timedOutAfterMs !== null) {
    const why = during || (ran ? "; its tests are over, and something keeps the process alive" : "");
    const handles = end.keptAlive.map((handle) => `\n${handle}`).join("");
    failures.push(`the file did not end within ${Math.round(end.timedOutAfterMs / 1000)} s${why}${handles}`);
  } else if (end.signal !== null) {
    failures.push(`the file's process was ended by ${end.signal}${during}`);
  } else if (!finished && (ran || unfinished.length > 0)) {
    failures.push(`the file's process ended with ${end.exitCode} before its tests did${during}`);
  } else if (end.exitCode !== 0 && failures.length === 0) {
    failures.push(`the file's process ended with ${end.exitCode}, though no test failed`);
  } else if (!ran && !end.filtered) {
    failures.push("the file ran no test");
  }
  if (end.leftBehind.length > 0) failures.push(`left behind:\n${end.leftBehind.join("\n")}`);
  return { passed, skipped, failures, notes, byFile };
}

function isFile(title: string): boolean {
  return title.endsWith(".test.ts");
}

function placeOf(file: string | null, line: number | null): string {
  if (line === null) return file === null ? "" : ` (${file})`;
  return file === null ? ` (line ${line})` : ` (${file}:${line})`;
}

function unfinishedTitles(events: readonly TestEvent[]): string[] {
  const open = new Map<string, number>();
  for (const event of events) {
    if (event.event !== "started" && event.event !== "ended") continue;
    const key = `${event.nesting} ${event.name}`;
    open.set(key, (open.get(key) ?? 0) + (event.event === "started" ? 1 : -1));
  }
  return [...open].flatMap(([key, count]) => (count > 0 ? [`"${key.slice(key.indexOf(" ") + 1)}"`] : []));
}
