// What backends require of shares: whether it is there, as the share engine sees it. Folders are looked for by the prober.
import { requirementText, type ShareRequirement } from "../../config/requirement.ts";
import type { RequiredData } from "../../gateway/backends/policy/required-data.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { ShareView } from "../../shares/engine/share-cycle.ts";
import type { ShareEngine } from "../../shares/engine/share-engine.ts";
import type { Prober } from "../../shares/prober/prober.ts";
import { keptUnmountedBy, shareStatus } from "./share-status.ts";

/** How long the look for a folder may take, ms. */
const FOLDER_LOOK_MS = 5_000;
/** A folder that was there is looked for again after this, one that was not after the other, ms. */
const FOLDER_THERE_MS = 10_000;
const FOLDER_MISSING_MS = 1_900;
const HANDED_OVER = "another daemon is still in charge of it";
const NOT_LOOKED_AT = "it was not looked at yet";

interface Tools {
  readonly clock: Clock;
  /** Null: another daemon still looks after the shares. */
  readonly engine: () => Pick<ShareEngine, "names" | "view"> | null;
  readonly prober: () => Pick<Prober, "folderLook">;
}

/** Of one requirement. */
interface Watched {
  readonly requirement: ShareRequirement;
  presence: RequiredData;
  /** On which mount the folder was looked for, when, and why it was not found (null: found); null: not yet. */
  folder: { readonly mount: string; readonly atMs: number; readonly missing: string | null } | null;
  looking: boolean;
}

/**
 * `look` begins to watch what it is asked about for the first time. `noteCycle` is to be called after each cycle of a
 * share.
 */
export function createRequiredShares(tools: Tools) {
  const watched = new Map<string, Watched>();
  const listeners: (() => void)[] = [];

  const evaluate = (one: Watched): boolean => {
    const before = one.presence;
    const next = presenceOf(one, tools, before);
    one.presence = next;
    return !isSame(before, next);
  };
  const tell = (): void => {
    for (const listener of listeners) listener();
  };
  const lookForFolder = async (one: Watched, mount: string, path: string, folder: string): Promise<void> => {
    one.looking = true;
    const missing = await missingFolder(tools.prober(), path, folder);
    one.looking = false;
    one.folder = { mount, atMs: tools.clock.monotonicMs(), missing };
    if (evaluate(one)) tell();
  };
  const lookAgain = (one: Watched): void => {
    const { share, folder } = one.requirement;
    const mount = usableMount(viewOf(tools, share));
    if (folder === null || mount === null || one.looking) return;
    const known = one.folder?.mount === mount.id ? one.folder : null;
    const restMs = known?.missing === null ? FOLDER_THERE_MS : FOLDER_MISSING_MS;
    if (known !== null && tools.clock.monotonicMs() - known.atMs < restMs) return;
    void lookForFolder(one, mount.id, mount.path, folder);
  };
  const watch = (requirement: ShareRequirement): Watched => {
    const key = requirementText(requirement);
    const known = watched.get(key);
    if (known !== undefined) return known;
    const presence: RequiredData = {
      kind: "away",
      requirement: key,
      reason: NOT_LOOKED_AT,
      sinceMs: tools.clock.monotonicMs(),
    };
    const one: Watched = { requirement, presence, folder: null, looking: false };
    watched.set(key, one);
    evaluate(one);
    lookAgain(one);
    return one;
  };

  const evaluateAll = (all: readonly Watched[]): void => {
    if (all.map(evaluate).includes(true)) tell();
  };

  return {
    /** Whether all of these are there. */
    look(requires: readonly ShareRequirement[]): RequiredData {
      const mounts: string[] = [];
      for (const requirement of requires) {
        const { presence } = watch(requirement);
        if (presence.kind === "away") return presence;
        mounts.push(presence.mounts);
      }
      return { kind: "there", mounts: mounts.join(" ") };
    },
    onChange: (listener: () => void): void => void listeners.push(listener),
    noteCycle(share: string): void {
      const ofShare = [...watched.values()].filter(({ requirement }) => requirement.share === share);
      for (const one of ofShare) lookAgain(one);
      evaluateAll(ofShare);
    },
    /** After shares were added or removed. */
    noteConfig: (): void => evaluateAll([...watched.values()]),
  };
}

export type RequiredShares = ReturnType<typeof createRequiredShares>;

function isSame(one: RequiredData, other: RequiredData): boolean {
  if (one.kind === "there") return other.kind === "there" && one.mounts === other.mounts;
  return other.kind === "away" && one.reason === other.reason;
}

function viewOf({ engine }: Tools, share: string): ShareView | null {
  const all = engine();
  return all?.names.includes(share) === true ? all.view(share) : null;
}

/** The mount, while programs can work on it. */
function usableMount(view: ShareView | null): { readonly id: string; readonly path: string } | null {
  const mount = view?.seen?.mount ?? null;
  return view !== null && mount !== null && shareStatus(view).mount_alive ? mount.found : null;
}

function presenceOf(one: Watched, tools: Tools, before: RequiredData): RequiredData {
  const { share, folder } = one.requirement;
  const view = viewOf(tools, share);
  const away = (reason: string): RequiredData => ({
    kind: "away",
    requirement: requirementText(one.requirement),
    reason,
    // What is away for everybody begins when somebody could have looked.
    sinceMs:
      before.kind === "away" && before.reason !== HANDED_OVER ? before.sinceMs : tools.clock.monotonicMs(),
  });
  if (tools.engine() === null) return away(HANDED_OVER);
  if (view === null) return away("it is not in the configuration any more");
  const mount = usableMount(view);
  if (mount === null) return away(reasonOf(view));
  if (folder === null) return { kind: "there", mounts: mount.id };
  if (one.folder === null || one.folder.mount !== mount.id) return away("the folder was not looked for yet");
  return one.folder.missing === null ? { kind: "there", mounts: mount.id } : away(one.folder.missing);
}

function reasonOf(view: ShareView): string {
  const { memory, seen } = view;
  if (seen === null) return NOT_LOOKED_AT;
  const status = shareStatus(view);
  if (seen.mount === null) {
    if (memory.held === "unmounted") return "it was unmounted by hand";
    const because = keptUnmountedBy(status)?.title ?? memory.lastError;
    return because === null ? "it is not mounted" : `it is not mounted: ${because}`;
  }
  if (!status.tb_reachable && !status.fb_reachable) return "no route leads to it";
  return "its mount does not answer";
}

/** Why the folder is not found; null: it is there. */
async function missingFolder(
  prober: Pick<Prober, "folderLook">,
  path: string,
  folder: string,
): Promise<string | null> {
  const listing = await prober.folderLook(path, folder, FOLDER_LOOK_MS);
  if (listing === null) return "the look for the folder had no answer";
  if (listing.state === "listed") return null;
  if (listing.state === "outside") return "the folder leads out of the share";
  return listing.errno === "ENOENT"
    ? "the folder is not there"
    : `the folder cannot be read (${listing.errno})`;
}
