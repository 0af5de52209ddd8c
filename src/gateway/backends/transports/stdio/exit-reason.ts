// The line of a program's output that best explains its end. Many programs write more after it: a stack, a hint, a
// footer.
import { TEXT_BOUNDS } from "../../../../runtime/text/bounds.ts";

/** Lines of stacks. They follow the error, except in Python. */
const FRAME = new RegExp(
  [
    /^\s+at \S/, // Node, Deno, Bun, Java, .NET
    /^\s*\.\.\. \d+ (?:more|lines matching)/,
    /^\s+from \S+:\d+:in /, // Ruby
    /^\s*#\d+ |^\s*Stack trace:|^\s+thrown in \S+ on line \d+/, // PHP
    /^goroutine \d+ \[|^\s+\S+\.(?:go|s):\d+( \+0x[\da-f]+)?$|^created by |^[\w./*()]+\([^ ]*\)$/, // Go
    /^\s+\(\S+ \S+\) \S+:\d+: |^\s+\S+\.exs?:\d+: /, // Elixir
    /^\s*-+ End of (?:inner exception )?stack trace/,
    /^stack backtrace:|^\s+\d+: \S+$/, // Rust
  ]
    .map(({ source }) => source)
    .join("|"),
);

const RUNTIME = /^(?:Node\.js|Bun|Deno) v?\d|^\s*For further information visit /;
/** Lines that explain nothing, at the end of what a program writes. */
const FOOTER = new RegExp(
  [
    /^[^\p{L}\p{N}]*$/u, // punctuation and blanks
    /^[\s|]*[+-][\s+-]*\d+[\s-]*$/, // the frame of Python's exception groups
    /^npm notice\b/,
    RUNTIME,
    /^exit status \d+$/,
    /^\s*(?:[Hh]int|[Tt]ip|[Nn]ote|[Hh]elp): /,
    /^\s*(?:For more information|[Uu]sage:|See ['"`].*--help|Run ['"`].*--help|Try ['"`].*--help)/,
    /^\s*(?:\[?errno\]?|code|syscall|address|port|hostname|path): .*,?$/, // members of Node's errors
  ]
    .map(({ source }) => source)
    .join("|"),
  "u",
);

/** First lines of errors. */
const HEAD =
  /^\s*(?:\[cause\]: )?(?:(?:Uncaught |\[)?[\w$.]*(?:Error|Exception)(?: \[[^\]]+\])?: \S|Unhandled exception|panic: |(?:fatal )?error: |fatal: )/i;
/** Java writes the causes after the error. */
const JAVA_HEAD = /^Exception in thread /;
const JAVA_CAUSE = /^Caused by: /;
/** The message follows on the next line. */
const RUST_PANIC = /^thread .* panicked at \S+:\d+:\d+:$/;
const NPM_ERROR = /^npm (?:error|ERR!)/;
/** Matches the first line of an npm error that is a sentence for people. */
const NPM_HEAD = /^npm (?:error|ERR!) (?!code |syscall |errno |path |dest |A complete log)\S+ \S/;
/** uv's reason, wrapped over several lines. */
const UV_REASON = /^\s*╰─▶ /;
/** What Python's exception groups and uv put before a line. */
const MARGIN = /^\s*(?:\|\s*)+|^\s*╰─▶ /;

/** A stack of an error with causes has about as many lines. */
const MOST_LINES = 200;

export class ExitReason {
  /** May contain control characters and secrets; null: the program wrote nothing. */
  lastLine: string | null = null;
  readonly #lines: string[] = [];

  add(whole: string): void {
    // A copy: part of a longer text would keep all of it.
    const line = Buffer.from(whole.slice(0, TEXT_BOUNDS.exitLine.most)).toString();
    this.lastLine = line;
    this.#lines.push(line);
    if (this.#lines.length > MOST_LINES) this.#lines.shift();
  }

  get text(): string | null {
    const lines = this.#lines;
    const isNoise = (line: string): boolean => FOOTER.test(line) || FRAME.test(line);
    const at = lines.findLastIndex((line) => !isNoise(line));
    const last = lines[at];
    if (last === undefined) return lines.findLast((line) => /[\p{L}\p{N}]/u.test(line)) ?? null;
    return (special(lines, at) ?? errorAt(lines, at) ?? last).replace(MARGIN, "").trim();
  }
}

/** The reason given by programs that write more after it, or before it. */
function special(lines: readonly string[], at: number): string | undefined {
  const last = lines[at] ?? "";
  if (NPM_ERROR.test(last)) return lines.find((line) => NPM_HEAD.test(line));
  const panic = lines.findLastIndex((line) => RUST_PANIC.test(line));
  if (panic !== -1 && panic < at) return lines[panic + 1];
  const java = lines.findLastIndex((line) => JAVA_HEAD.test(line));
  const isCause = (line: string): boolean => JAVA_CAUSE.test(line) || FRAME.test(line);
  if (java !== -1 && lines.slice(java + 1, at + 1).every(isCause)) return lines[java];
  const uv = lines.findLastIndex((line) => UV_REASON.test(line));
  return uv !== -1 && lines.slice(uv + 1, at + 1).every((line) => /^\s/.test(line)) ? lines[uv] : undefined;
}

/** The head of the error whose message ends at `at`, if its stack or a runtime's footer follows. */
function errorAt(lines: readonly string[], at: number): string | undefined {
  const isStacked = lines.slice(at + 1).some((line) => FRAME.test(line) || RUNTIME.test(line));
  if (!isStacked || HEAD.test(lines[at] ?? "")) return undefined;
  return lines.findLast((line, index) => index < at && HEAD.test(line));
}
