// Prepares the process and the terminal for the live view, then loads it.
import type { TuiOptions } from "./live-view.ts";

/**
 * Shows the daemon on the terminal of this process, which must have one, until a person leaves or `signal`
 * aborts; then restores the terminal. Waits for a daemon if none runs. Rejects with the signal's reason, and
 * with `usage` when the daemon uses another configuration than `configPath`.
 */
export async function startTui(options: TuiOptions): Promise<void> {
  prepareEnvironment(options.style.color);
  // Set before the first drawing; otherwise the terminal would echo typed keys into the drawing.
  process.stdin.setRawMode(true);
  const { showLiveView } = await import("./live-view.ts");
  await showLiveView(options);
}

/**
 * Sets `FORCE_COLOR`, which decides whether the view library uses colours; without the variable, the library would
 * use none in CI. Call this before the library is loaded.
 */
function prepareEnvironment(color: boolean): void {
  process.env["FORCE_COLOR"] = color ? "1" : "0";
}
