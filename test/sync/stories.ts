// Stories of the watcher in rows: the actions, the time that passes, and the offers and events since the row before.
import assert from "node:assert/strict";
import test from "node:test";
import type { ReloadOutcome } from "../../src/sync/config-steps.ts";
import type { Detection } from "../../src/sync/sync-settings.ts";
import { systemError } from "./memory-file.ts";
import {
  APPLIED,
  advanceUntil,
  DEFAULT_SYNC_SETTINGS,
  saveThroughService,
  sha256,
  type WatcherBench,
  type WatcherBenchOptions,
  watcherBench,
} from "./watcher-bench.ts";

export const DETECTIONS: readonly Detection[] = ["mtime", "hash", "inotify"];

/** The event of a content with a new meaning, and of one with the same meaning as before. */
export const CHANGED = "changed 1 share reloaded";
export const SAME = "no-change no changes";

/** Rejects texts that begin with "bad" or "torn", fails on "later". */
export async function service(text: string): Promise<ReloadOutcome> {
  if (text.startsWith("bad")) return { kind: "rejected", reason: `wrong: ${text}`, mistakes: [] };
  if (text.startsWith("torn")) return { kind: "rejected", reason: `no TOML: ${text}`, mistakes: [] };
  if (text.startsWith("later")) return { kind: "failed", reason: "the gateway is busy" };
  if (text.startsWith("same")) return { kind: "applied", changed: false, details: "", diff: null };
  return APPLIED;
}

/**
 * Actions, separated by `; ` (see `ACTIONS`); ms that pass; texts offered since the row before; events since the row
 * before (null: any); conditions, separated by `, ` (see `holds`).
 */
export type StoryRow = readonly [
  actions: string,
  ms: number,
  offered?: readonly string[] | null,
  told?: readonly string[] | null,
  then?: string,
];

interface Playing {
  readonly bench: WatcherBench;
  readonly settings: typeof DEFAULT_SYNC_SETTINGS;
  /** The service fails to apply all contents. */
  readonly mood: { busy: boolean };
}

type Action = (playing: Playing, what: string) => unknown;

const ACTIONS: Readonly<Record<string, Action>> = {
  save: ({ bench }, text) => bench.file.save(text),
  /** Keeps the mtime. */
  "save-quietly": ({ bench }, text) => bench.file.save(text, { keepMtime: true }),
  touch: ({ bench }) => bench.file.touch(),
  remove: ({ bench }) => bench.file.remove(),
  unreadable: ({ bench }, code) => bench.file.fail(systemError(code)),
  readable: ({ bench }) => bench.file.fail(null),
  silent: ({ bench }) => bench.file.answer(false),
  answering: ({ bench }) => bench.file.answer(true),
  busy: ({ mood }) => (mood.busy = true),
  free: ({ mood }) => (mood.busy = false),
  /** The service itself saves, as an edit does. */
  edit: ({ bench }, text) => saveThroughService(bench, text),
  /** As `edit`, but it cannot be applied now. */
  "edit-late": ({ bench }, text) => saveThroughService(bench, text, true, { kind: "failed", reason: "busy" }),
  "edit-in-vain": ({ bench }, text) => saveThroughService(bench, text, false),
  /** A reload by hand, and its result. */
  async reload({ bench }, kind) {
    assert.equal((await advanceUntil(bench.clock, bench.watcher.reloadNow())).kind, kind);
  },
  /** `set KEY VALUE` */
  set({ bench, settings }, what) {
    const [key = "", value = ""] = what.split(" ");
    Object.assign(settings, { [key]: JSON.parse(value) });
    bench.watcher.setSettings({ ...settings });
  },
};

/** `runs TEXT`, `live`, `stopped`, `off`, `fine`, `rejected`, `failed`, `unreadable`, `missing`, `there`, `N looks`, `no timer`. */
function holds({ bench }: Playing, what: string, looks: number): void {
  const { watcher, file, clock } = bench;
  const { watching, lastError, fileMissing, hash } = watcher.state;
  const [, count] = /^(\d+) looks?$/.exec(what) ?? [];
  if (what.startsWith("runs ")) assert.equal(hash, sha256(what.slice("runs ".length)), what);
  else if (count !== undefined) assert.equal(looks, Number(count), what);
  else if (what === "no timer") assert.deepEqual([clock.pendingTimers, file.watches], [0, 0]);
  else if (["missing", "there"].includes(what)) assert.equal(fileMissing, what === "missing");
  else if (["live", "stopped", "off"].includes(what)) assert.equal(watching, what);
  else assert.equal(lastError?.kind ?? "fine", what);
}

export interface StoryOptions extends Omit<WatcherBenchOptions, "start" | "onChange"> {
  /** Runs with each detection. */
  readonly each?: true;
}

/** One test, or one for each detection. */
export function story(
  title: string,
  { each, ...options }: StoryOptions,
  rows: readonly StoryRow[] | ((detection: Detection) => readonly StoryRow[]),
): void {
  for (const detection of each === true ? DETECTIONS : [options.settings?.detection ?? "mtime"])
    test(each === true ? `${title} (${detection})` : title, async (t) => {
      const settings = { ...DEFAULT_SYNC_SETTINGS, ...options.settings, detection };
      const mood = { busy: false };
      const onChange = async (text: string): Promise<ReloadOutcome> =>
        mood.busy ? { kind: "failed", reason: "busy" } : service(text);
      const bench = await watcherBench(t, { ...options, settings, onChange });
      const playing = { bench, settings, mood };
      const seen = { offered: 0, told: 0 };
      for (const [index, row] of (typeof rows === "function" ? rows(detection) : rows).entries()) {
        const [actions, ms, offered = [], told = [], then = ""] = row;
        const { looks } = bench.file;
        for (const action of actions.split("; ").filter((one) => one !== "")) {
          const [verb = "", ...what] = action.split(" ");
          const act = ACTIONS[verb];
          assert.ok(act !== undefined, `no action ${verb}`);
          await act(playing, what.join(" "));
        }
        await bench.clock.advance(ms);
        const where = `row ${index}: ${actions}`;
        if (offered !== null) assert.deepEqual(bench.offered.slice(seen.offered), offered, where);
        if (told !== null) assert.deepEqual(bench.told().slice(seen.told), told, where);
        seen.offered = bench.offered.length;
        seen.told = bench.told().length;
        for (const what of then.split(", ").filter((one) => one !== ""))
          holds(playing, what, bench.file.looks - looks);
      }
    });
}
