// Asks a question at the terminal: on stderr, with the answer from stdin.
import { MountaineerError } from "../../runtime/errors.ts";

/**
 * The line that was typed, without blanks around it. Rejects with `aborted` when the input ends instead (Ctrl-D), which is
 * no answer and the end of all questions; and with the signal's reason.
 */
export async function askOnTerminal(question: string, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const { createInterface } = await import("node:readline");
  // Not as a terminal of its own: then Ctrl-C stays a signal.
  const lines = createInterface({ input: process.stdin, terminal: false });
  try {
    process.stderr.write(question);
    return await new Promise<string>((resolve, reject) => {
      const ended = (): void => {
        process.stderr.write("\n");
        reject(new MountaineerError("aborted", "the input ended before an answer"));
      };
      lines.once("close", ended);
      lines.once("line", (line) => {
        lines.off("close", ended);
        resolve(line.trim());
      });
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  } finally {
    lines.close();
    process.stdin.pause();
  }
}
