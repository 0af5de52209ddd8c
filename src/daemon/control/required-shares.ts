// Whether the shares and folders that backends require are available, according to the share engine. Only the prober
// searches for folders, because reading a mount may hang.
import { routeLabel } from "../../api/labels/label.ts";
import { requirementText, type ShareRequirement } from "../../config/values/requirement.ts";
import type { DataPrograms, RequiredData } from "../../gateway/backends/policy/required-data.ts";
import { type Clock, settlesWithin, type Timer } from "../../runtime/time/clock.ts";
import type { ShareView } from "../../shares/engine/share-cycle.ts";
import type { ShareEngine } from "../../shares/engine/share-engine.ts";
import type { ProgramAccess } from "../../shares/policy/decide.ts";
import { UNUSABLE } from "../../shares/policy/mount-fact.ts";
import type { Prober } from "../../shares/prober/prober.ts";
import { shareStatus, unmountedReason } from "./share-status.ts";

/** Longest wait of `refresh`, ms: a failed call waits for it. */
const REQUESTED_CHECK_MS = 2_000;
/** Deadline of a check for a folder, ms. */
const FOLDER_CHECK_MS = 5_000;
/** Minimum time between two checks of a folder, ms: after it was found, and after it was missing. */
const FOLDER_THERE_MS = 10_000;
const FOLDER_MISSING_MS = 1_900;
/**
 * For this long after a folder disappears, ms, the folder is looked for again after short pauses, so that a brief
 * absence is not reported. The pauses are uneven, so that not all of them fall into a periodic absence.
 */
const FOLDER_GONE_MS = 10_000;
const FOLDER_PAUSES_MS = [230, 410, 310, 530, 370];
const HANDED_OVER = "another daemon is still in charge of it";
const NOT_CHECKED = "it has not been checked yet";

interface Tools {
  readonly clock: Clock;
  /** The share engine; null while another daemon is in charge of the shares. */
  readonly engine: () => Pick<ShareEngine, "names" | "view" | "trigger" | "untilIdle" | "want"> | null;
  readonly prober: Pick<Prober, "checkFolder">;
}

export type RequiredShares = ReturnType<typeof createRequiredShares>;

/**
 * Watches the requirements that `status` has been called with. `recordCycle` must be called after each cycle of a
 * share.
 */
export function createRequiredShares(tools: Tools) {
  const watched = new Map<string, Watched>();
  const listeners: (() => void)[] = [];
  const rooms = createRooms(tools.engine);
  let isResting = false;

  const emit = (): void => {
    for (const listener of listeners) listener();
  };
  const watch = (requirement: ShareRequirement): Watched => {
    const key = keyOf(requirement);
    const known = watched.get(key);
    if (known !== undefined) return known;
    const one = new Watched(requirement, { ...tools, accessOf: rooms.of, isResting: () => isResting, emit });
    watched.set(key, one);
    one.evaluate();
    one.checkFolder();
    return one;
  };
  const evaluateAll = (all: readonly Watched[]): void => {
    if (all.map((one) => one.evaluate()).includes(true)) emit();
  };
  const ofShare = (share: string): readonly Watched[] =>
    [...watched.values()].filter(({ requirement }) => requirement.share === share);

  return {
    /** Whether the required shares and folders are all available; if not, which one is missing and why. */
    status(requires: readonly ShareRequirement[]): RequiredData {
      const all = requires.map((requirement) => watch(requirement).presence);
      // A share that is being moved is reported before others: the move waits until the programs on that
      // share have ended.
      const missing = all.find(({ kind }) => kind === "moving") ?? all.find(({ kind }) => kind === "away");
      const mounts = all.flatMap((data) => (data.kind === "there" ? [data.mounts] : []));
      return missing ?? { kind: "there", mounts: mounts.join(" ") };
    },
    want(requires: readonly ShareRequirement[]): void {
      for (const { share } of requires)
        if (usableMount(viewOf(tools, share)) === null) tools.engine()?.want(share);
    },
    async refresh(requires: readonly ShareRequirement[]): Promise<void> {
      const engine = tools.engine();
      if (engine === null) return;
      const required = new Set(requires.map(({ share }) => share));
      const enough = new AbortController();
      const checks = engine.names
        .filter((name) => required.has(name))
        .map((share) => {
          engine.trigger(share, "data");
          return engine.untilIdle(share, enough.signal);
        });
      await settlesWithin(tools.clock, REQUESTED_CHECK_MS, Promise.allSettled(checks));
      enough.abort();
    },
    /** Resolves when each required folder of a mounted share was looked for once. */
    async foldersChecked(requires: readonly ShareRequirement[]): Promise<void> {
      await Promise.all(requires.map((requirement) => watch(requirement).checked));
    },
    onChange: (listener: () => void): void => void listeners.push(listener),
    watchPrograms: rooms.watchPrograms,
    running: rooms.running,
    setAccess(share: string, access: ProgramAccess): void {
      if (rooms.set(share, access)) evaluateAll(ofShare(share));
    },
    recordCycle(share: string): void {
      const all = ofShare(share);
      for (const one of all) one.checkFolder();
      evaluateAll(all);
    },
    /** To be called after shares were added or removed, or when `required` changed. */
    configChanged(required: readonly ShareRequirement[]): void {
      const wanted = new Set(required.map(keyOf));
      for (const [key, one] of watched) {
        if (wanted.has(key)) continue;
        one[Symbol.dispose]();
        watched.delete(key);
      }
      evaluateAll([...watched.values()]);
    },
    /**
     * Stops looking. Call it when another daemon takes charge of the shares; calls that continue here then use the
     * last result.
     */
    rest(): void {
      isResting = true;
    },
    [Symbol.dispose](): void {
      for (const one of watched.values()) one[Symbol.dispose]();
    },
  };
}

function keyOf(requirement: ShareRequirement): string {
  return `${requirementText(requirement)} ${requirement.route ?? "any"}`;
}

interface WatchTools extends Tools {
  readonly accessOf: (share: string) => ProgramAccess;
  readonly isResting: () => boolean;
  /** Called when a check for the folder has changed `presence`. */
  readonly emit: () => void;
}

class Watched implements Disposable {
  readonly requirement: ShareRequirement;
  presence: RequiredData;
  readonly #tools: WatchTools;
  /** The last check of the folder. `missing`: the reason if it was not found; null if it was. */
  #folder: { readonly mount: string; readonly atMs: number; readonly missing: string | null } | null = null;
  #isChecking = false;
  /** Number of checks in a row that did not find the folder. */
  #missedChecks = 0;
  #isForgotten = false;
  /** Resolves when the check of the folder that is under way has ended. */
  checked: Promise<void> = Promise.resolve();
  #nextCheck: Timer | null = null;

  constructor(requirement: ShareRequirement, tools: WatchTools) {
    this.requirement = requirement;
    this.#tools = tools;
    this.presence = this.#unavailable(NOT_CHECKED, tools.clock.monotonicMs());
  }

  /** Updates `presence` from the engine's newest view. Returns true if `presence` changed. */
  evaluate(): boolean {
    const before = this.presence;
    this.presence = this.#presenceAfter(before);
    return !isSame(before, this.presence);
  }

  /** Checks the folder if the last check is long enough ago. */
  checkFolder(missingRestMs = FOLDER_MISSING_MS): void {
    const { share, folder } = this.requirement;
    const mount = usableMount(viewOf(this.#tools, share));
    if (folder === null || mount === null || this.#isChecking || this.#tools.isResting()) return;
    const known = this.#folder?.mount === mount.id ? this.#folder : null;
    const restMs = known?.missing === null ? FOLDER_THERE_MS : missingRestMs;
    if (known !== null && this.#tools.clock.monotonicMs() - known.atMs < restMs) return;
    this.checked = this.#check(mount, folder);
  }

  [Symbol.dispose](): void {
    this.#isForgotten = true;
    this.#nextCheck?.[Symbol.dispose]();
  }

  async #check(mount: { readonly id: string; readonly path: string }, folder: string): Promise<void> {
    const { clock, prober, isResting, emit } = this.#tools;
    this.#isChecking = true;
    const missing = await missingFolder(prober, mount.path, folder);
    this.#isChecking = false;
    if (isResting()) return;
    this.#folder = { mount: mount.id, atMs: clock.monotonicMs(), missing };
    this.#missedChecks = missing === null ? 0 : this.#missedChecks + 1;
    if (this.evaluate()) emit();
    if (missing !== null) this.#recheckSoon();
  }

  /** Looks for the folder again soon. The share's cycles are rarer, and the folder might be absent at each of them. */
  #recheckSoon(): void {
    const { clock } = this.#tools;
    if (this.presence.kind !== "away" || this.#isForgotten) return;
    if (clock.monotonicMs() - this.presence.sinceMs > FOLDER_GONE_MS) return;
    const pauseMs = FOLDER_PAUSES_MS[this.#missedChecks % FOLDER_PAUSES_MS.length] ?? 0;
    this.#nextCheck?.[Symbol.dispose]();
    this.#nextCheck = clock.setTimer(pauseMs, () => this.checkFolder(0));
  }

  #unavailable(reason: string, sinceMs: number): RequiredData {
    return { kind: "away", requirement: requirementText(this.requirement), reason, sinceMs };
  }

  #presenceAfter(before: RequiredData): RequiredData {
    const { clock, engine, accessOf } = this.#tools;
    const { share, folder, route } = this.requirement;
    const began = beganAt(before);
    const unavailable = (reason: string): RequiredData =>
      this.#unavailable(reason, began ?? clock.monotonicMs());
    if (engine() === null) return unavailable(HANDED_OVER);
    const view = viewOf(this.#tools, share);
    // After a start, the engine may not know the share yet.
    if (view === null)
      return unavailable(wasChecked(before) ? "it is no longer in the configuration" : NOT_CHECKED);
    const access = accessOf(share);
    if (access !== "free") {
      const sinceMs = began ?? (access === "taken" ? clock.monotonicMs() : null);
      return { kind: "moving", requirement: requirementText(this.requirement), sinceMs };
    }
    const mount = usableMount(view);
    if (mount === null) return unavailable(reasonOf(view));
    if (route !== undefined && mount.route !== route) {
      const link = shareStatus(view).tb_link;
      return unavailable(`it is on ${routeLabel(mount.route, link)}, not on ${routeLabel(route, link)}`);
    }
    const isKnown = folder === null || this.#folder?.mount === mount.id;
    const missing = isKnown ? (this.#folder?.missing ?? null) : "the folder has not been checked yet";
    return missing === null ? { kind: "there", mounts: mount.id } : unavailable(missing);
  }
}

/**
 * Keeps track of the shares on which the engine wants no programs to run, and triggers the engine when the
 * last program on such a share has ended.
 */
function createRooms(engine: Tools["engine"]) {
  /** `isOccupied`: programs were still running on the share when the engine asked. */
  const rooms = new Map<string, { readonly access: ProgramAccess; isOccupied: boolean }>();
  let list: () => readonly DataPrograms[] = () => [];
  const of = (share: string): ProgramAccess => rooms.get(share)?.access ?? "free";
  const running = (share: string): readonly number[] =>
    list()
      .filter(({ requires }) => requires.some((one) => one.share === share))
      .flatMap(({ pids }) => pids);
  const reportChange = (): void => {
    for (const [share, requested] of rooms) {
      if (!requested.isOccupied || running(share).length > 0) continue;
      requested.isOccupied = false;
      engine()?.trigger(share, "drain");
    }
  };
  return {
    of,
    running,
    watchPrograms(given: () => readonly DataPrograms[]): () => void {
      list = given;
      return reportChange;
    },
    /** Returns false if nothing changed. */
    set(share: string, access: ProgramAccess): boolean {
      if (of(share) === access) return false;
      rooms.set(share, { access, isOccupied: access === "asked" && running(share).length > 0 });
      return true;
    },
  };
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

/** The mount, if programs can use it now; else null. */
export function usableMount(view: ShareView | null) {
  return view?.mount?.use.state === "usable" ? (view.observed?.mount?.found ?? null) : null;
}

/**
 * The time when the requirement became unavailable, monotonic ms; null if it is available, or could not be
 * checked.
 */
function beganAt(before: RequiredData): number | null {
  if (before.kind === "there") return null;
  return before.kind === "away" && before.reason === HANDED_OVER ? null : before.sinceMs;
}

function wasChecked(before: RequiredData): boolean {
  return before.kind !== "away" || (before.reason !== NOT_CHECKED && before.reason !== HANDED_OVER);
}

function reasonOf(view: ShareView): string {
  const { memory, observed, mount } = view;
  if (observed === null) return NOT_CHECKED;
  const status = shareStatus(view);
  if (mount === null) {
    if (memory.override === "unmounted") return "it was unmounted by hand";
    const because = unmountedReason(status)?.title ?? memory.lastError;
    return because === null ? "it is not mounted" : `it is not mounted: ${because}`;
  }
  if (!status.tb_reachable && !status.fb_reachable) return "no route leads to it";
  return mount.use.state === "unusable" ? UNUSABLE[mount.use.why] : NOT_CHECKED;
}

async function missingFolder(
  prober: Pick<Prober, "checkFolder">,
  path: string,
  folder: string,
): Promise<string | null> {
  const check = await prober.checkFolder(path, folder, FOLDER_CHECK_MS);
  if (check === null) return "the check of the folder had no answer";
  if (check.state === "there") return null;
  if (check.state === "outside") return "the folder leads out of the share";
  return check.errno === "ENOENT" ? "the folder is not there" : `the folder cannot be read (${check.errno})`;
}
