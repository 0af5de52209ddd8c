// The line of a program's output that says best why it ended: mostly its last, but Node and npm end with a line that
// says nothing.

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

export class ExitReason {
  /** As it was written; null: nothing. */
  lastLine: string | null = null;
  #error: string | null = null;
  #npm: string | null = null;

  /** Takes the next line that the program wrote. */
  add(line: string): void {
    this.lastLine = line;
    if (ERROR_HEAD.test(line)) this.#error = line;
    else if (NPM_HEAD.test(line)) this.#npm ??= line;
  }

  /** What to tell people; null: nothing was written. */
  get text(): string | null {
    const { lastLine } = this;
    if (lastLine !== null && NODE_ENDS.test(lastLine)) return this.#error ?? lastLine;
    if (lastLine !== null && NPM_ENDS.test(lastLine)) return this.#npm ?? lastLine;
    return lastLine;
  }
}
