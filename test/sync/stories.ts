// Stories of the watcher, a row each: what is done, how long is waited, and what was offered and told since the row before.
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

/** What is told of a content that runs from now on, and of one that means what ran before. */
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
 * Deeds, separated by `; `: see `DEEDS`. Then ms that pass. Texts that were offered since the row before, and what was told
 * (null: whatever). What holds then, separated by `, `: see `holds`.
 */
export type StoryRow = readonly [
  deeds: string,
  ms: number,
  offered?: readonly string[] | null,
  told?: readonly string[] | null,
  then?: string,
];

interface Playing {
  readonly bench: WatcherBench;
  readonly settings: typeof DEFAULT_SYNC_SETTINGS;
  /** The service fails whatever it is offered. */
  readonly mood: { busy: boolean };
}

type Deed = (playing: Playing, what: string) => unknown;

const DEEDS: Readonly<Record<string, Deed>> = {
  save: ({ bench }, text) => bench.file.save(text),
  /** At the mtime of before. */
  "save-quietly": ({ bench }, text) => bench.file.save(text, { keepMtime: true }),
  touch: ({ bench }) => bench.file.touch(),
  remove: ({ bench }) => bench.file.remove(),
  unreadable: ({ bench }, code) => bench.file.fail(systemError(code)),
  readable: ({ bench }) => bench.file.fail(null),
  silent: ({ bench }) => bench.file.answer(false),
  answering: ({ bench }) => bench.file.answer(true),
  busy: ({ mood }) => (mood.busy = true),
  free: ({ mood }) => (mood.busy = false),
  /** Saved by the service itself, as an edit. */
  edit: ({ bench }, text) => saveThroughService(bench, text),
  /** By hand, and what that is answered with. */
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
  /** Played under each detection. */
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
        const [deeds, ms, offered = [], told = [], then = ""] = row;
        const { looks } = bench.file;
        for (const deed of deeds.split("; ").filter((one) => one !== "")) {
          const [verb = "", ...what] = deed.split(" ");
          const act = DEEDS[verb];
          assert.ok(act !== undefined, `no deed ${verb}`);
          await act(playing, what.join(" "));
        }
        await bench.clock.advance(ms);
        const where = `row ${index}: ${deeds}`;
        if (offered !== null) assert.deepEqual(bench.offered.slice(seen.offered), offered, where);
        if (told !== null) assert.deepEqual(bench.told().slice(seen.told), told, where);
        seen.offered = bench.offered.length;
        seen.told = bench.told().length;
        for (const what of then.split(", ").filter((one) => one !== ""))
          holds(playing, what, bench.file.looks - looks);
      }
    });
}
