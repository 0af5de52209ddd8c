// Owns which line of a program that has ended tells best why: mostly its last, but Node and npm end with a line that
// tells nothing.

/** A Node program's end, after the error and its stack. */
const NODE_ENDS = /^Node\.js v\d/;
const ERROR_HEAD = /^(?:Uncaught )?[\w$.]*(?:Error|Exception)(?: \[[^\]]+\])?: \S/;
/** The last line of npm and npx, after the line that says what went wrong. */
const NPM_ENDS = /^npm (?:error|ERR!) A complete log of this run/;
/** The first of npm's lines that is a sentence. */
const NPM_HEAD = /^npm (?:error|ERR!) (?!code |syscall |errno |path |dest |A complete log)\S+ \S/;

/** What `npx` and `uvx` write while they download a server. */
const INSTALLER = /^(?:npm |\s*(?:Resolved|Downloading|Downloaded|Building|Built|Prepared|Installed) )/;

/** The server itself has not written this, nor has it begun. */
export function isInstallerLine(line: string): boolean {
  return INSTALLER.test(line);
}

interface LastWords {
  hear(line: string): void;
  /** As it was written; null: nothing. */
  readonly lastLine: string | null;
  /** What to tell people; null: nothing was written. */
  readonly reason: string | null;
}

export function createLastWords(): LastWords {
  let lastLine: string | null = null;
  let error: string | null = null;
  let npm: string | null = null;
  return {
    hear(line) {
      lastLine = line;
      if (ERROR_HEAD.test(line)) error = line;
      else if (npm === null && NPM_HEAD.test(line)) npm = line;
    },
    get lastLine() {
      return lastLine;
    },
    get reason() {
      if (lastLine === null) return null;
      if (NODE_ENDS.test(lastLine)) return error ?? lastLine;
      if (NPM_ENDS.test(lastLine)) return npm ?? lastLine;
      return lastLine;
    },
  };
}
