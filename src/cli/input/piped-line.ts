// Reads one line from standard input, where there is no terminal to ask at.
import { MountaineerError } from "../../runtime/errors.ts";

const LONGEST = 16 * 1024;

/** Without its line break. Rejects with `usage` when there is none, and with the signal's reason. */
export async function readLine(signal: AbortSignal): Promise<string> {
  const { stdin } = process;
  const aborted = (): void => void stdin.destroy(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener("abort", aborted, { once: true });
  let text = "";
  try {
    for await (const chunk of stdin.setEncoding("utf8")) {
      text += String(chunk);
      if (text.includes("\n") || text.length > LONGEST) break;
    }
  } finally {
    signal.removeEventListener("abort", aborted);
  }
  const [line = ""] = text.split("\n");
  if (line.trim() !== "" && line.length <= LONGEST) return line.trim();
  throw new MountaineerError("usage", "standard input has no address in its first line");
}
