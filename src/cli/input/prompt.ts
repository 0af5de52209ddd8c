// Asks a question at the terminal.
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { MountaineerError } from "../../runtime/errors.ts";

/** The typed line, trimmed. Rejects with `aborted` at the end of the input (Ctrl-D), and with the signal's reason. */
export async function promptOn(input: Readable, question: string, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const { createInterface } = await import("node:readline");
  // With `terminal: true`, readline would handle Ctrl-C itself.
  const lines = createInterface({ input, terminal: false });
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
    input.pause();
  }
}

/** Asks at the controlling terminal, where standard input is used up; null: there is none. */
export async function terminalPrompt(
  signal: AbortSignal,
): Promise<((question: string) => Promise<string>) | null> {
  const terminal = await open("/dev/tty", "r").catch(() => null);
  if (terminal === null) return null;
  await terminal.close();
  return async (question) => {
    const input = createReadStream("/dev/tty");
    try {
      return await promptOn(input, question, signal);
    } finally {
      input.destroy();
    }
  };
}
