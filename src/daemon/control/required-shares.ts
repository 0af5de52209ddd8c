// What backends require of shares: whether it is there, as the share engine sees it. Folders are looked for by the prober.
import type { ShareRequirement } from "../../config/requirement.ts";
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

interface Tools {
  readonly clock: Clock;
  readonly engine: () => Pick<ShareEngine, "names" | "view">;
  readonly prober: () => Pick<Prober, "folderLook">;
}

type Presence =
  | { readonly kind: "there"; readonly mounts: string }
  | { readonly kind: "away"; readonly reason: string; readonly sinceMs: number };

/** Of one requirement. */
interface Watched {
  readonly requirement: ShareRequirement;
  presence: Presence;
  /** On which mount the folder was looked for, when, and why it was not found (null: found); null: not yet. */
  folder: { readonly mount: string; readonly atMs: number; readonly missing: string | null } | null;
  looking: boolean;
}

type Away = {
  readonly kind: "away";
  readonly requirement: string;
  readonly reason: string;
  readonly sinceMs: number;
};

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
    const presence: Presence = {
      kind: "away",
      reason: "it was not looked at yet",
      sinceMs: tools.clock.monotonicMs(),
    };
    const one: Watched = { requirement, presence, folder: null, looking: false };
    watched.set(key, one);
    evaluate(one);
    lookAgain(one);
    return one;
  };

  return {
    /** Whether all of these are there. */
    look(requires: readonly ShareRequirement[]): { readonly kind: "there"; readonly mounts: string } | Away {
      const mounts: string[] = [];
      for (const requirement of requires) {
        const { presence } = watch(requirement);
        if (presence.kind === "away") return { ...presence, requirement: requirementText(requirement) };
        mounts.push(presence.mounts);
      }
      return { kind: "there", mounts: mounts.join(" ") };
    },
    onChange: (listener: () => void): void => void listeners.push(listener),
    noteCycle(share: string): void {
      let changed = false;
      for (const one of watched.values()) {
        if (one.requirement.share !== share) continue;
        changed = evaluate(one) || changed;
        lookAgain(one);
      }
      if (changed) tell();
    },
    /** After shares were added or removed. */
    noteConfig(): void {
      let changed = false;
      for (const one of watched.values()) changed = evaluate(one) || changed;
      if (changed) tell();
    },
  };
}

export type RequiredShares = ReturnType<typeof createRequiredShares>;

function requirementText({ share, folder }: ShareRequirement): string {
  return folder === null ? share : `${share}:/${folder}`;
}

function isSame(one: Presence, other: Presence): boolean {
  if (one.kind === "there") return other.kind === "there" && one.mounts === other.mounts;
  return other.kind === "away" && one.reason === other.reason;
}

function viewOf({ engine }: Tools, share: string): ShareView | null {
  const all = engine();
  return all.names.includes(share) ? all.view(share) : null;
}

/** The mount, while programs can work on it. */
function usableMount(view: ShareView | null): { readonly id: string; readonly path: string } | null {
  const mount = view?.seen?.mount ?? null;
  return view !== null && mount !== null && shareStatus(view).mount_alive ? mount.found : null;
}

function presenceOf(one: Watched, tools: Tools, before: Presence): Presence {
  const { share, folder } = one.requirement;
  const view = viewOf(tools, share);
  const away = (reason: string): Presence => ({
    kind: "away",
    reason,
    sinceMs: before.kind === "away" ? before.sinceMs : tools.clock.monotonicMs(),
  });
  if (view === null) return away("it is not in the configuration any more");
  const mount = usableMount(view);
  if (mount === null) return away(reasonOf(view));
  if (folder === null) return { kind: "there", mounts: mount.id };
  if (one.folder === null || one.folder.mount !== mount.id) return away("the folder was not looked for yet");
  return one.folder.missing === null ? { kind: "there", mounts: mount.id } : away(one.folder.missing);
}

function reasonOf(view: ShareView): string {
  const { memory, seen } = view;
  if (seen === null) return "it was not looked at yet";
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
