// Owns the look into a folder of a share: through the daemon, which asks a process of its own and has a deadline.
import { connectToDaemon } from "../../api/client/client.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { FolderPlace } from "./menu.ts";
import type { FolderList } from "./world.ts";

const LOOK_DEADLINE_MS = 8_000;

/** Never rejects: a share that hangs is a list that failed. */
export async function listFolders(
  place: FolderPlace,
  { home, clock }: { readonly home: string; readonly clock: Clock },
  signal: AbortSignal,
): Promise<FolderList> {
  const limit = new AbortController();
  const timer = clock.setTimer(LOOK_DEADLINE_MS, () => limit.abort());
  try {
    const daemon = await connectToDaemon(home, { clock });
    if (daemon === null) return { kind: "failed", reason: "Mountaineer is not running" };
    const report = await daemon.places.folders({ ...place }, AbortSignal.any([signal, limit.signal]));
    return { kind: "known", names: report.folders };
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    return { kind: "failed", reason: limit.signal.aborted ? "The share does not answer" : errorText(error) };
  } finally {
    timer[Symbol.dispose]();
  }
}
