// Tells a running daemon that a backend was signed in to, or out of.
import { MountaineerError } from "../../runtime/errors.ts";
import type { CommandContext } from "../input/command.ts";

/** Its backend is started anew, and takes what is kept. Never fails: the daemon finds it at its next try, too. */
export async function tellDaemon({ home, note, signal }: CommandContext, backend: string): Promise<void> {
  const { connectToDaemon } = await import("../../api/client/client.ts");
  try {
    const daemon = await connectToDaemon(home);
    await daemon?.ask("restart", { backends: [backend] }, signal);
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    note(
      `the running daemon was not told: ${error.message}; mountaineer backends restart ${backend} does so`,
    );
  }
}
