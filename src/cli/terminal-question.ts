// Owns questions to the person at the terminal: asked on stderr, answered on stdin.

/** The line that was typed, without blanks around it; "" when the input ended. Rejects with the signal's reason. */
export async function askOnTerminal(question: string, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const { createInterface } = await import("node:readline");
  // Not as a terminal of its own: then Ctrl-C stays a signal.
  const lines = createInterface({ input: process.stdin, terminal: false });
  try {
    process.stderr.write(question);
    return await new Promise<string>((resolve, reject) => {
      lines.once("line", (line) => resolve(line.trim()));
      lines.once("close", () => resolve(""));
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  } finally {
    lines.close();
    process.stdin.pause();
  }
}
