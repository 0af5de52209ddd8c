// Makes a running daemon use a backend's new sign-in.
import { MountaineerError } from "../../runtime/errors.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import type { CommandContext } from "../input/command.ts";

/**
 * Restarts the backend, which then reads the kept tokens. A failure is only noted: the daemon reads the
 * tokens at its next attempt anyway.
 */
export async function restartBackend(
  { home, notify, signal }: Pick<CommandContext, "home" | "notify" | "signal">,
  backend: string,
  user: string | null = null,
): Promise<void> {
  const { connectToDaemon } = await import("../../api/client/client.ts");
  try {
    const daemon = await connectToDaemon(home);
    await daemon?.call("restart", { backends: [backend], user }, signal);
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    notify(
      `the running daemon could not be notified: ${error.message}; ${shellCommand`mountaineer backends restart ${backend}`} does so`,
    );
  }
}
