// Lists the folders in a folder of a share: through the prober, with a deadline, and not at all if the mount is known not to
// answer.
import type { FoldersReport } from "../../api/contract/contract.ts";
import { selectShares } from "../../api/operations/name-selection.ts";
import type { InputOf } from "../../api/operations/operations.ts";
import { parseSubpath } from "../../config/values/names.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { ShareView } from "../../shares/engine/share-cycle.ts";
import type { ShareEngine } from "../../shares/engine/share-engine.ts";
import { SILENT_CHECK_MS } from "../../shares/policy/mount-errno.ts";
import type { FolderListing, Prober } from "../../shares/prober/prober.ts";
import { shareStatus, unmountedReason } from "./share-status.ts";

/** Deadline of a listing, ms: a large folder over a slow route takes seconds. */
const LIST_MS = 5_000;

interface ShareFoldersTools {
  readonly clock: Clock;
  readonly engine: Pick<ShareEngine, "names" | "view" | "observe">;
  readonly prober: Pick<Prober, "folders" | "lastCheck">;
}

type ShareFolders = (request: InputOf<"folders">, signal: AbortSignal) => Promise<FoldersReport>;

export function createShareFolders({ clock, engine, prober }: ShareFoldersTools): ShareFolders {
  /**
   * By mount id: the start of a listing that got no answer, monotonic ms. Until a later look is answered, another
   * listing on that mount would hang as well.
   */
  const silent = new Map<string, number>();

  const isSilent = (mountId: string): boolean => {
    const sinceMs = silent.get(mountId);
    const check = prober.lastCheck(mountId);
    if (check.state === "pending") return clock.monotonicMs() - check.startedAtMs >= SILENT_CHECK_MS;
    if (sinceMs === undefined) return false;
    if (check.state !== "answered" || check.startedAtMs < sinceMs) return true;
    silent.delete(mountId);
    return false;
  };

  return async ({ share, subpath: given = "" }, signal) => {
    selectShares([share], engine.names);
    const subpath = readSubpath(given);
    signal.throwIfAborted();
    const known = engine.view(share);
    const view = known.observed === null ? await engine.observe(share) : known;
    const { spec } = view.subject;
    const mount = view.observed?.mount ?? null;
    if (mount === null) throw notMounted(share, view);
    const { id, path: mountedAt } = mount.found;
    if (view.mount?.use.state !== "usable" || isSilent(id)) throw noAnswer(share);
    const requestedAtMs = clock.monotonicMs();
    // The stable link is not used, because it may have been pointed at a folder outside the share.
    const listing = await prober.folders(mountedAt, subpath, LIST_MS);
    signal.throwIfAborted();
    if (listing === null) {
      silent.set(id, requestedAtMs);
      throw noAnswer(share);
    }
    const { folders, truncated } = listed(listing, share, subpath);
    const path = subpath === "" ? spec.stablePath : `${spec.stablePath}/${subpath}`;
    return { share, subpath, path, folders: folders.toSorted(compareNames), truncated };
  };
}

function compareNames(one: string, other: string): number {
  return one.localeCompare(other, "en", { numeric: true }) || (one < other ? -1 : 1);
}

function readSubpath(given: string): string {
  if (given === "" || given === ".") return "";
  const reading = parseSubpath(given);
  if (reading.ok) return reading.value;
  const { expected, hint } = reading;
  throw new MountaineerError("usage", `${JSON.stringify(given)} is not ${expected}`, { hint });
}

function listed(
  listing: FolderListing,
  share: string,
  subpath: string,
): Extract<FolderListing, { state: "listed" }> {
  if (listing.state === "listed") return listing;
  const folder = subpath === "" ? share : `${share}/${subpath}`;
  if (listing.state === "outside") {
    throw new MountaineerError("path_unknown", `${folder} leads out of the share`, {
      hint: "a link on the server leads elsewhere; only folders of the share are listed",
    });
  }
  switch (listing.errno) {
    case "ENOENT":
      throw new MountaineerError("path_unknown", `${folder} is not there`);
    case "ENOTDIR":
    case "ELOOP":
      throw new MountaineerError("path_unknown", `${folder} is not a folder`);
    case "EACCES":
    case "EPERM":
      throw new MountaineerError("permission_denied", `${folder} may not be read (${listing.errno})`, {
        hint: "the server decides for the user that the share is mounted as",
      });
    default:
      throw new MountaineerError("share_unavailable", `${folder} cannot be read: ${listing.errno}`, {
        hint: "mountaineer status shows the share's state",
        retry: "later",
      });
  }
}

function notMounted(share: string, view: ShareView): MountaineerError {
  const standing = unmountedReason(shareStatus(view));
  const reason = standing?.title ?? view.memory.lastError;
  const why = reason === null ? "" : `: ${reason}`;
  return new MountaineerError("share_unavailable", `${share} is not mounted${why}`, {
    hint: standing?.hint ?? shellCommand`mountaineer mount --share ${share}`,
    retry: "later",
  });
}

function noAnswer(share: string): MountaineerError {
  return new MountaineerError("share_unavailable", `the mount of ${share} does not answer`, {
    hint: "mountaineer status shows the share's state",
    retry: "later",
  });
}
