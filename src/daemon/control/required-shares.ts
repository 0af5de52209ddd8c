// What backends require of shares: whether it is there, as the share engine sees it. Folders are looked for by the prober.
import { requirementText, type ShareRequirement } from "../../config/values/requirement.ts";
import {
  type DataPrograms,
  type RequiredData,
  STANDINGS,
  type Standing,
} from "../../gateway/backends/policy/required-data.ts";
import { type Clock, settledWithin, type Timer } from "../../runtime/time/clock.ts";
import type { ShareView } from "../../shares/engine/share-cycle.ts";
import type { ShareEngine } from "../../shares/engine/share-engine.ts";
import type { Room } from "../../shares/policy/decide.ts";
import type { Prober } from "../../shares/prober/prober.ts";
import { keptUnmountedBy, shareStatus } from "./share-status.ts";

/** How long a look that is asked for may take, ms: a call that failed waits for it. */
const ASKED_LOOK_MS = 2_000;
/** How long the look for a folder may take, ms. */
const FOLDER_LOOK_MS = 5_000;
/** A folder that was there is looked for again after this, one that was not after the other, ms. */
const FOLDER_THERE_MS = 10_000;
const FOLDER_MISSING_MS = 1_900;
/**
 * One that has just gone is looked for in close order for so long, ms: what comes and goes is not away. Uneven, so that
 * the looks do not keep step with it.
 */
const FOLDER_GONE_MS = 10_000;
const FOLDER_PAUSES_MS = [230, 410, 310, 530, 370];
const HANDED_OVER = "another daemon is still in charge of it";
const NOT_LOOKED_AT = "it was not looked at yet";

interface Tools {
  readonly clock: Clock;
  /** Null: another daemon still looks after the shares. */
  readonly engine: () => Pick<ShareEngine, "names" | "view" | "trigger" | "settle" | "want"> | null;
  readonly prober: () => Pick<Prober, "folderLook">;
}

/** Of one requirement. */
interface Watched {
  readonly requirement: ShareRequirement;
  presence: RequiredData;
  standing: Standing;
  /** On which mount the folder was looked for, when, and why it was not found (null: found); null: not yet. */
  folder: { readonly mount: string; readonly atMs: number; readonly missing: string | null } | null;
  looking: boolean;
  /** Looks without it since it was there. */
  missedLooks: number;
  nextLook: Timer | null;
}

/**
 * `look` begins to watch what it is asked about for the first time. `noteCycle` is to be called after each cycle of a
 * share.
 */
export function createRequiredShares(tools: Tools) {
  const watched = new Map<string, Watched>();
  const listeners: (() => void)[] = [];
  const room = createRoom(tools.engine);
  let isResting = false;

  const evaluate = (one: Watched): boolean => {
    const before = one.presence;
    const next = presenceOf(one, tools, before, room.of(one.requirement.share));
    const standing = standingOf(one, tools);
    const isOther = !isSame(before, next) || standing !== one.standing;
    one.presence = next;
    one.standing = standing;
    return isOther;
  };
  const tell = (): void => {
    for (const listener of listeners) listener();
  };
  const lookForFolder = async (one: Watched, mount: string, path: string, folder: string): Promise<void> => {
    one.looking = true;
    const missing = await missingFolder(tools.prober(), path, folder);
    one.looking = false;
    if (isResting) return;
    one.folder = { mount, atMs: tools.clock.monotonicMs(), missing };
    one.missedLooks = missing === null ? 0 : one.missedLooks + 1;
    if (evaluate(one)) tell();
    lookSoon(one);
  };
  /** The cycles of its share come too seldom, and may keep step with it. */
  const lookSoon = (one: Watched): void => {
    const { requirement, presence, missedLooks } = one;
    if (missedLooks === 0 || presence.kind !== "away") return;
    if (watched.get(requirementText(requirement)) !== one) return;
    if (tools.clock.monotonicMs() - presence.sinceMs > FOLDER_GONE_MS) return;
    const pauseMs = FOLDER_PAUSES_MS[missedLooks % FOLDER_PAUSES_MS.length] ?? 0;
    one.nextLook?.[Symbol.dispose]();
    one.nextLook = tools.clock.setTimer(pauseMs, () => lookAgain(one, 0));
  };
  const lookAgain = (one: Watched, missingRestMs = FOLDER_MISSING_MS): void => {
    const { share, folder } = one.requirement;
    const mount = usableMount(viewOf(tools, share));
    if (folder === null || mount === null || one.looking || isResting) return;
    const known = one.folder?.mount === mount.id ? one.folder : null;
    const restMs = known?.missing === null ? FOLDER_THERE_MS : missingRestMs;
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
    const unlooked = {
      standing: "none" as const,
      folder: null,
      looking: false,
      missedLooks: 0,
      nextLook: null,
    };
    const one: Watched = { requirement, presence, ...unlooked };
    watched.set(key, one);
    evaluate(one);
    lookAgain(one);
    return one;
  };
  const forget = (one: Watched): void => {
    watched.delete(requirementText(one.requirement));
    one.nextLook?.[Symbol.dispose]();
  };

  const evaluateAll = (all: readonly Watched[]): void => {
    if (all.map(evaluate).includes(true)) tell();
  };
  const ofShare = (share: string): readonly Watched[] =>
    [...watched.values()].filter(({ requirement }) => requirement.share === share);

  return {
    /** Whether all of these are there. */
    look(requires: readonly ShareRequirement[]): RequiredData {
      const all = requires.map((requirement) => watch(requirement).presence);
      // A share that waits for room would wait in vain beside one that is away.
      const missing = all.find(({ kind }) => kind === "moving") ?? all.find(({ kind }) => kind === "away");
      return missing ?? { kind: "there", mounts: all.flatMap(mountsOf).join(" ") };
    },
    /** How the worst of these is mounted, as its share was seen last. */
    standing(requires: readonly ShareRequirement[]): Standing {
      const found = requires.map((requirement) => standingOf(watch(requirement), tools));
      return STANDINGS.findLast((standing) => found.includes(standing)) ?? "tb";
    },
    want(requires: readonly ShareRequirement[]): void {
      for (const { share } of requires)
        if (usableMount(viewOf(tools, share)) === null) tools.engine()?.want(share);
    },
    async lookNow(requires: readonly ShareRequirement[]): Promise<void> {
      const engine = tools.engine();
      if (engine === null) return;
      const shares = [...new Set(requires.map(({ share }) => share))].filter((share) =>
        engine.names.includes(share),
      );
      const enough = new AbortController();
      const looked = shares.map((share) => {
        engine.trigger(share, "data");
        return engine.settle(share, enough.signal);
      });
      await settledWithin(tools.clock, ASKED_LOOK_MS, Promise.allSettled(looked));
      enough.abort();
    },
    onChange: (listener: () => void): void => void listeners.push(listener),
    watchPrograms: room.watchPrograms,
    running: room.running,
    makeRoom(share: string, is: Room): void {
      if (room.set(share, is)) evaluateAll(ofShare(share));
    },
    noteCycle(share: string): void {
      const all = ofShare(share);
      for (const one of all) lookAgain(one);
      evaluateAll(all);
    },
    /** After shares were added or removed, or when other things are `required`. */
    noteConfig(required: readonly ShareRequirement[]): void {
      const wanted = new Set(required.map(requirementText));
      for (const [key, one] of watched) if (!wanted.has(key)) forget(one);
      evaluateAll([...watched.values()]);
    },
    /** Another daemon looks after the shares from now on: what was seen last holds for the calls that go on here. */
    rest(): void {
      isResting = true;
    },
    [Symbol.dispose](): void {
      for (const one of watched.values()) forget(one);
    },
  };
}

/** What runs on shares, and where it has to make room. */
function createRoom(engine: Tools["engine"]) {
  const rooms = new Map<string, Exclude<Room, "free">>();
  /** Shares that programs still ran on at the last look. */
  const occupied = new Set<string>();
  let list: () => readonly DataPrograms[] = () => [];
  const running = (share: string): readonly number[] =>
    list()
      .filter(({ requires }) => requires.some((one) => one.share === share))
      .flatMap(({ pids }) => pids);
  const noteChange = (): void => {
    for (const share of occupied) {
      if (running(share).length > 0) continue;
      occupied.delete(share);
      engine()?.trigger(share, "drain");
    }
  };
  return {
    running,
    watchPrograms(given: () => readonly DataPrograms[]): () => void {
      list = given;
      return noteChange;
    },
    of: (share: string): Room => rooms.get(share) ?? "free",
    /** False: it was so already. */
    set(share: string, room: Room): boolean {
      if ((rooms.get(share) ?? "free") === room) return false;
      if (room === "free") rooms.delete(share);
      else rooms.set(share, room);
      if (room === "asked" && running(share).length > 0) occupied.add(share);
      else occupied.delete(share);
      return true;
    },
  };
}

export type RequiredShares = ReturnType<typeof createRequiredShares>;

function mountsOf(data: RequiredData): readonly string[] {
  return data.kind === "there" ? [data.mounts] : [];
}

function isSame(one: RequiredData, other: RequiredData): boolean {
  if (one.kind === "there") return other.kind === "there" && one.mounts === other.mounts;
  if (one.kind === "moving") return other.kind === "moving" && one.sinceMs === other.sinceMs;
  return other.kind === "away" && one.reason === other.reason;
}

function viewOf({ engine }: Tools, share: string): ShareView | null {
  const all = engine();
  return all?.names.includes(share) === true ? all.view(share) : null;
}

/** The mount, while programs can work on it. */
function usableMount(view: ShareView | null): { readonly id: string; readonly path: string } | null {
  const seen = view?.seen ?? null;
  const mount = seen?.mount ?? null;
  if (view === null || seen === null || mount === null || !shareStatus(view).mount_alive) return null;
  const { found, carried = null } = mount;
  // A mount over a route that is gone may take long to fail by itself.
  const isCut = carried === null && found.route !== null && seen.routes[found.route].probe.verdict === "gone";
  return isCut ? null : found;
}

/** What is carried goes where its carrier takes it, which may be elsewhere than where it was mounted. */
function standingOf({ presence, requirement }: Watched, tools: Tools): Standing {
  const view = viewOf(tools, requirement.share);
  const mount = view?.seen?.mount ?? null;
  if (presence.kind !== "there" || view === null || mount === null) return "none";
  const { carried = null } = view;
  if (carried === null)
    return mount.found.route ?? (view.memory.activeInterface === "tb" ? "tb" : "fallback");
  return carried.phase === "carrying" ? carried.route : "none";
}

/** Since when nobody can work on it, monotonic ms; null: somebody can, or it could not be looked at. */
function beganAt(before: RequiredData): number | null {
  if (before.kind === "there") return null;
  // What is away for everybody begins when somebody could have looked.
  return before.kind === "away" && before.reason === HANDED_OVER ? null : before.sinceMs;
}

function presenceOf(one: Watched, tools: Tools, before: RequiredData, room: Room): RequiredData {
  const { share, folder } = one.requirement;
  const view = viewOf(tools, share);
  const began = beganAt(before);
  const away = (reason: string): RequiredData => ({
    kind: "away",
    requirement: requirementText(one.requirement),
    reason,
    sinceMs: began ?? tools.clock.monotonicMs(),
  });
  if (tools.engine() === null) return away(HANDED_OVER);
  // The engine of a daemon that has just started does not know it yet.
  if (view === null)
    return away(wasLookedAt(before) ? "it is not in the configuration any more" : NOT_LOOKED_AT);
  if (room !== "free") {
    const sinceMs = began ?? (room === "taken" ? tools.clock.monotonicMs() : null);
    return { kind: "moving", requirement: requirementText(one.requirement), sinceMs };
  }
  const mount = usableMount(view);
  if (mount === null) return away(reasonOf(view));
  if (folder === null) return { kind: "there", mounts: mount.id };
  if (one.folder === null || one.folder.mount !== mount.id) return away("the folder was not looked for yet");
  return one.folder.missing === null ? { kind: "there", mounts: mount.id } : away(one.folder.missing);
}

function wasLookedAt(before: RequiredData): boolean {
  return before.kind !== "away" || (before.reason !== NOT_LOOKED_AT && before.reason !== HANDED_OVER);
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
  return status.mount_alive ? "the route in use is gone" : "its mount does not answer";
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
