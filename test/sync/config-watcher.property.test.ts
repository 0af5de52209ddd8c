import assert from "node:assert/strict";
import test from "node:test";
import type { SyncSettings } from "../../src/config/snapshot.ts";
import type { ReloadOutcome } from "../../src/sync/config-steps.ts";
import type { Detection } from "../../src/sync/sync-settings.ts";
import { assertEach } from "../support/assert-each.ts";
import { fc, runsOf } from "../support/properties.ts";
import { APPLIED, sha256, type WatcherBench, watcherBench } from "./watcher-bench.ts";

/** The meaning of a saved text: its first word. */
const MEANINGS = ["good", "bad", "torn", "same"] as const;

type Step =
  | { do: "save"; meaning: (typeof MEANINGS)[number] | "empty"; version: number }
  | { do: "save_running" }
  | { do: "touch" }
  | { do: "remove" }
  | { do: "passing_failure"; on: boolean }
  | { do: "slow"; on: boolean }
  | { do: "unreadable"; on: boolean }
  | { do: "silent"; on: boolean }
  | { do: "settings"; settings: SyncSettings }
  | { do: "reload" }
  | { do: "edit_through_service"; version: number }
  | { do: "wait"; ms: number };

const version = fc.nat(3);
const settings: fc.Arbitrary<SyncSettings> = fc.record({
  enabled: fc.oneof(
    { weight: 5, arbitrary: fc.constant(true) },
    { weight: 1, arbitrary: fc.constant(false) },
  ),
  pollIntervalMs: fc.constantFrom(100, 500, 2_000),
  debounceMs: fc.constantFrom(0, 100, 1_000),
  detection: fc.constantFrom<Detection>("mtime", "hash", "inotify"),
  onFailure: fc.constantFrom("backoff", "fixed", "stop"),
});
const on = fc.boolean();
const does = <D extends Step["do"]>(what: D) => ({ do: fc.constant(what) });
const weighs = <T>(weight: number, arbitrary: fc.Arbitrary<T>) => ({ weight, arbitrary });
const ms = fc.constantFrom(0, 1, 30, 99, 100, 251, 999, 1_000, 2_000, 5_100, 15_000);
const step: fc.Arbitrary<Step> = fc.oneof(
  weighs(6, fc.record({ ...does("save"), meaning: fc.constantFrom(...MEANINGS, "empty"), version })),
  weighs(2, fc.record(does("save_running"))),
  weighs(1, fc.record(does("touch"))),
  weighs(1, fc.record(does("remove"))),
  weighs(1, fc.record({ ...does("passing_failure"), on })),
  weighs(1, fc.record({ ...does("slow"), on })),
  weighs(1, fc.record({ ...does("unreadable"), on })),
  weighs(1, fc.record({ ...does("silent"), on })),
  weighs(1, fc.record({ ...does("settings"), settings })),
  weighs(1, fc.record(does("reload"))),
  weighs(1, fc.record({ ...does("edit_through_service"), version })),
  weighs(8, fc.record({ ...does("wait"), ms })),
);

/** A service as the watcher sees it, with all kinds of failures, and a record of what runs. */
function createService(initial: string) {
  const service = {
    runs: initial,
    failing: false,
    slow: false,
    waiting: [] as (() => void)[],
    async offer(text: string): Promise<ReloadOutcome> {
      if (service.slow) await new Promise<void>((resolve) => service.waiting.push(resolve));
      if (text.startsWith("bad")) return { kind: "rejected", reason: `wrong: ${text}`, mistakes: [] };
      if (text.startsWith("torn")) return { kind: "rejected", reason: `no TOML: ${text}`, mistakes: [] };
      if (service.failing) throw new Error("busy");
      const changed = !text.startsWith("same") && text !== service.runs;
      service.runs = text;
      return { kind: "applied", changed, details: "1 share reloaded", diff: null };
    },
    speedUp(): void {
      service.slow = false;
      for (const go of service.waiting.splice(0)) go();
    },
  };
  return service;
}

type Service = ReturnType<typeof createService>;

async function play(
  bench: WatcherBench,
  service: Service,
  steps: readonly Step[],
): Promise<() => string | null> {
  const { clock, file, watcher } = bench;
  let saved: string | null = "good 0";
  const save = (text: string): void => {
    saved = text;
    file.save(text);
  };
  for (const action of steps) {
    switch (action.do) {
      case "save":
        save(action.meaning === "empty" ? "" : `${action.meaning} ${action.version}`);
        break;
      case "save_running":
        save(service.runs);
        break;
      case "touch":
        if (saved !== null) file.touch();
        break;
      case "remove":
        saved = null;
        file.remove();
        break;
      case "passing_failure":
        service.failing = action.on;
        break;
      case "slow":
        if (action.on) service.slow = true;
        else service.speedUp();
        break;
      case "unreadable":
        file.fail(action.on ? new Error("EIO") : null);
        break;
      case "silent":
        file.answer(!action.on);
        break;
      case "settings":
        watcher.setSettings(action.settings);
        break;
      case "reload":
        void watcher.reloadNow();
        break;
      case "edit_through_service":
        // Not awaited: the edit waits for the apply in progress.
        void watcher.inTurn(async ({ applySaved }) => {
          const text = `good ${action.version}`;
          save(text);
          service.runs = text;
          const bytes = new TextEncoder().encode(text);
          await applySaved({ bytes, sha256: sha256(text), snapshot: APPLIED, source: "edit" });
        });
        break;
      case "wait":
        await clock.advance(action.ms);
        break;
    }
  }
  return () => saved;
}

/** Removes all failures and lets time pass. */
async function calm(bench: WatcherBench, service: Service): Promise<void> {
  service.failing = false;
  service.speedUp();
  bench.file.fail(null);
  bench.file.answer(true);
  // Long enough for a retry after a minute, a debounce window and a second look.
  await bench.clock.advance(90_000);
}

function isRejected(text: string): boolean {
  return text.startsWith("bad") || text.startsWith("torn");
}

test("B1 B4 B8 for any events in any order: the last accepted content runs, one reload at a time, each with its event", async () => {
  await fc.assert(
    fc.asyncProperty(settings, fc.array(step, { minLength: 1, maxLength: 40 }), async (initial, steps) => {
      const service = createService("good 0");
      const bench = await watcherBench(null, {
        settings: initial,
        text: "good 0",
        onChange: (text) => service.offer(text),
      });
      const { watcher, events, offered, clock, file } = bench;
      try {
        const savedLast = await play(bench, service, steps);
        await calm(bench, service);
        const saved = savedLast();

        assert.equal(bench.mostAtOnce <= 1, true, "one onChange at once");
        const { state } = watcher;
        if (state.watching === "live") {
          if (saved !== null && !isRejected(saved)) {
            assert.equal(service.runs, saved, "no reload is lost");
            assert.equal(state.lastError, null, "nothing stands in the way any more");
          }
          if (saved !== null && isRejected(saved)) {
            assert.equal(state.lastError?.kind, "rejected", "a rejected file is shown as such");
          }
        }
        assert.equal(state.hash, sha256(service.runs), "the hash is that of what runs");
        assert.equal(state.fileMissing && saved !== null, false, "a file that is there is not missing");

        // Settled: nothing more happens without a change.
        const before = { offers: offered.length, events: events.length };
        // Longer than the longest delay between retries.
        await clock.advance(65_000);
        assert.deepEqual({ offers: offered.length, events: events.length }, before, "it rests");

        // A reload by hand works in every state of the watch.
        if (saved !== null && !isRejected(saved)) {
          const asked = watcher.reloadNow();
          await clock.advance(5_000);
          assert.ok(["applied", "same"].includes((await asked).kind));
          assert.equal(service.runs, saved);
          assert.equal(watcher.state.lastError, null);
          assert.notEqual(watcher.state.watching, "stopped");
        }

        // From here on without disturbance: each kind of edit causes exactly one event.
        watcher.setSettings({ ...initial, enabled: true, onFailure: "backoff" });
        file.save("good 0");
        await clock.advance(90_000);
        for (const [text, type] of [
          ["good 100", "changed"],
          ["same 100", "no-change"],
          ["bad 100", "error"],
          ["same 100", "no-change"],
          ["torn 100", "error"],
          ["good 101", "changed"],
          ["", "changed"],
        ] as const) {
          const count = events.length;
          file.save(text);
          await clock.advance(10_000);
          assertEach(
            events.slice(count),
            (event) => event.type,
            [type],
            `events after saving ${JSON.stringify(text)}`,
          );
        }
      } finally {
        await watcher[Symbol.asyncDispose]();
      }
      assert.equal(clock.pendingTimers, 0, "no timer is left");
      assert.equal(file.watches, 0, "no watch is left");
    }),
    { numRuns: runsOf(150) },
  );
});
