// Tells a running daemon that a secret has changed.
import type { CommandContext } from "../input/command.ts";

const APPLIED_WITHIN_MS = 20_000;

/** Has a running daemon read the secrets again. */
export async function applySecret({ home, notify, signal }: CommandContext, applied: string): Promise<void> {
  const { connectToDaemon } = await import("../../api/client/client.ts");
  // Ignores a failure: the secret is stored already, even if the daemon hangs or belongs to another user.
  const daemon = await connectToDaemon(home).catch(() => null);
  if (daemon === null) return;
  const within = AbortSignal.any([signal, AbortSignal.timeout(APPLIED_WITHIN_MS)]);
  const report = await daemon.call("reload", { secrets: true }, within).catch(() => null);
  if (report?.failure !== null) notify("the running daemon takes it with: mountaineer reload");
  else if (report.reloaded) notify(applied);
}
