// What backends require of shares, by what the share engine sees: folders that come and go, what is forgotten, and room.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ShareRequirement } from "../../../src/config/values/requirement.ts";
import { createRequiredShares } from "../../../src/daemon/control/required-shares.ts";
import { UNHEARD } from "../../../src/shares/drivers/moving-mounts.ts";
import type { ShareView } from "../../../src/shares/engine/share-cycle.ts";
import type { FolderCheck } from "../../../src/shares/prober/prober.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";
import { answered, foundMount, probe, seenOf, viewOf } from "../shares.ts";

const CORE: ShareRequirement = { share: "CORE", folder: null };
const WORK: ShareRequirement = { share: "CORE", folder: "work" };
const MEDIA: ShareRequirement = { share: "MEDIA", folder: null };
const CYCLE_MS = 2_000;
const THERE: FolderCheck = { state: "there" };
const GONE: FolderCheck = { state: "failed", errno: "ENOENT" };

function mounted(changes: Parameters<typeof seenOf>[0] = {}): ShareView {
  return viewOf({ observed: seenOf({ mount: { found: foundMount(), check: answered(null) }, ...changes }) });
}

function stage() {
  const clock = createManualClock();
  const views = new Map<string, ShareView>([
    ["CORE", mounted()],
    ["MEDIA", mounted()],
  ]);
  const triggered: string[] = [];
  const looks: number[] = [];
  let isThere = (_nowMs: number): boolean | Promise<boolean> => true;
  const required = createRequiredShares({
    clock,
    engine: () => ({
      names: [...views.keys()],
      view(name) {
        const view = views.get(name);
        assert.ok(view !== undefined);
        return view;
      },
      trigger: (name, reason) => void triggered.push(`${name} ${reason}`),
      want: (name) => void triggered.push(`${name} wanted`),
      untilIdle: () => Promise.resolve(),
    }),
    prober: {
      async checkFolder() {
        looks.push(clock.monotonicMs());
        return (await isThere(clock.monotonicMs())) ? THERE : GONE;
      },
    },
  });
  return {
    clock,
    views,
    triggered,
    looks,
    required,
    folderIs: (holds: typeof isThere) => {
      isThere = holds;
    },
    /** Cycles of the share pass by. */
    async cycles(ms: number, each: () => void = () => {}): Promise<void> {
      for (let past = 0; past < ms; past += 50) {
        if (past % CYCLE_MS === 0) required.recordCycle("CORE");
        await clock.advance(50);
        await settle();
        each();
      }
    },
  };
}

describe("a folder of a share", () => {
  test("C1 that is away half of each second is never away for long, whatever the rhythm of the checks", async () => {
    const s = stage();
    s.required.status([WORK]);
    await s.cycles(CYCLE_MS);
    s.folderIs((nowMs) => nowMs % 1_000 >= 500);
    let longestMs = 0;
    let wasAway = false;
    await s.cycles(120_000, () => {
      const data = s.required.status([WORK]);
      wasAway ||= data.kind === "away";
      if (data.kind === "away") longestMs = Math.max(longestMs, s.clock.monotonicMs() - data.sinceMs);
    });
    assert.ok(wasAway, "its absence was seen");
    assert.ok(longestMs < 3_000, `away for ${longestMs} ms`);
  });

  test("C1 that is gone is checked often at first, then rarely, and is noticed when it returns", async () => {
    const s = stage();
    s.required.status([WORK]);
    await s.cycles(CYCLE_MS);
    s.folderIs(() => false);
    await s.cycles(40_000);
    assert.deepEqual(s.required.status([WORK]).kind, "away");
    const soon = s.looks.filter((atMs) => atMs > s.clock.monotonicMs() - 10_000).length;
    assert.ok(soon <= 6, `${soon} looks in the last 10 s`);
    s.folderIs(() => true);
    await s.cycles(CYCLE_MS * 2);
    assert.deepEqual(s.required.status([WORK]), { kind: "there", mounts: foundMount().id });
  });

  test("C1 that was missed once is checked again before the next cycle of its share", async () => {
    const s = stage();
    s.required.status([WORK]);
    await s.cycles(CYCLE_MS);
    s.folderIs(() => false);
    while (s.required.status([WORK]).kind !== "away") await s.cycles(50);
    const missed = s.looks.length;
    await s.clock.advance(410);
    assert.equal(s.looks.length, missed + 1);
  });

  test("C1 that is no longer required is forgotten and no longer checked", async () => {
    const s = stage();
    s.required.status([WORK]);
    s.folderIs(() => false);
    await s.cycles(CYCLE_MS);
    s.required.configChanged([CORE]);
    const before = s.looks.length;
    await s.cycles(60_000);
    assert.equal(s.looks.length, before);
    assert.equal(s.required.status([CORE]).kind, "there");
  });

  test("B11 is not checked while the service only hands over, and a check in progress is ignored", async () => {
    const s = stage();
    s.required.status([WORK]);
    await s.cycles(CYCLE_MS);
    const before = s.required.status([WORK]);
    assert.equal(before.kind, "there");
    const looks = s.looks.length;
    s.folderIs(() => {
      s.required.rest();
      return false;
    });
    await s.cycles(60_000);
    assert.deepEqual([s.required.status([WORK]), s.looks.length], [before, looks + 1]);
  });

  test("C1 that hangs is checked once, however many cycles pass until it answers", async () => {
    const s = stage();
    const hanging = Promise.withResolvers<boolean>();
    s.folderIs(() => hanging.promise);
    s.required.status([WORK]);
    await s.cycles(60_000);
    assert.equal(s.looks.length, 1);
    hanging.resolve(true);
    await settle();
    assert.equal(s.required.status([WORK]).kind, "there");
  });

  test("C1 is not checked after the end, though a check was in progress", async () => {
    const s = stage();
    const hanging = Promise.withResolvers<boolean>();
    s.folderIs(() => hanging.promise);
    s.required.status([WORK]);
    await s.cycles(CYCLE_MS);
    s.required.configChanged([CORE]);
    hanging.resolve(false);
    await s.clock.advance(60_000);
    assert.equal(s.looks.length, 1);
  });

  test("C1 is not checked once the service has ended", async () => {
    const s = stage();
    s.required.status([WORK]);
    s.folderIs(() => false);
    await s.cycles(CYCLE_MS);
    s.required[Symbol.dispose]();
    const before = s.looks.length;
    await s.clock.advance(60_000);
    assert.equal(s.looks.length, before);
  });
});

describe("a share", () => {
  test("C1 whose own host is gone is unavailable at once, before its mount says so; of one that moves its program decides", () => {
    const s = stage();
    const gone = { atMs: 1000, probe: probe("gone") };
    const answers = { atMs: 1000, probe: probe("answers") };
    assert.equal(s.required.status([CORE]).kind, "there");
    s.views.set("CORE", mounted({ routes: { tb: gone, fallback: answers } }));
    s.required.recordCycle("CORE");
    const data = s.required.status([CORE]);
    assert.deepEqual(
      [data.kind, data.kind === "away" ? data.reason : ""],
      ["away", "the route in use is gone"],
    );
    const moving = { ...UNHEARD, phase: { ...UNHEARD.phase, is: "serving" }, route: "fallback" } as const;
    const mount = { found: foundMount({ moves: true, route: "fallback" }), check: answered(null), moving };
    s.views.set("CORE", mounted({ routes: { tb: gone, fallback: answers }, mount }));
    s.required.recordCycle("CORE");
    assert.equal(s.required.status([CORE]).kind, "there");
  });

  test("C1 that is remounted is reported to everything that requires it, even next to an unavailable one", () => {
    const s = stage();
    let told = 0;
    s.required.status([MEDIA, CORE]);
    s.required.onChange(() => told++);
    s.views.set("MEDIA", viewOf({ observed: seenOf() }));
    s.required.recordCycle("MEDIA");
    assert.equal(s.required.status([MEDIA, CORE]).kind, "away");
    s.required.setAccess("CORE", "asked");
    s.required.setAccess("CORE", "asked");
    const asked = { kind: "moving", requirement: "CORE", sinceMs: null } as const;
    assert.deepEqual(s.required.status([MEDIA, CORE]), asked);
    assert.equal(told, 2);
    s.required.setAccess("CORE", "taken");
    assert.deepEqual(s.required.status([MEDIA, CORE]), { ...asked, sinceMs: s.clock.monotonicMs() });
    s.required.setAccess("CORE", "free");
    assert.equal(s.required.status([MEDIA, CORE]).kind, "away");
    assert.equal(told, 4);
  });

  test("C1 its programs are those of backends that require it, and their end starts its cycle once", () => {
    const s = stage();
    let pids = [7];
    const changed = s.required.watchPrograms(() => [
      { requires: [WORK], pids },
      { requires: [MEDIA], pids: [9] },
    ]);
    assert.deepEqual([s.required.running("CORE"), s.required.running("MEDIA")], [[7], [9]]);
    s.required.setAccess("CORE", "asked");
    changed();
    pids = [8];
    changed();
    assert.deepEqual(s.triggered, []);
    pids = [];
    changed();
    changed();
    assert.deepEqual(s.triggered, ["CORE drain"]);
  });

  test("C1 a requested check begins a cycle of each required share, and of no other", async () => {
    const s = stage();
    await s.required.refresh([CORE, WORK, { share: "OTHER", folder: null }]);
    assert.deepEqual(s.triggered, ["CORE data"]);
  });
});

// What a backend is told of its shares while the daemon that looks after them is only starting.

const REQUIRED = [{ share: "CORE", folder: null }];

function startScene() {
  let view = viewOf();
  let names: readonly string[] = [];
  const shares = createRequiredShares({
    clock: createManualClock(),
    engine: () => ({ names, view: () => view, trigger() {}, want() {}, untilIdle: async () => {} }),
    prober: { checkFolder: async () => null },
  });
  const look = () => {
    const data = shares.status(REQUIRED);
    return data.kind === "away" ? data.reason : data.kind;
  };
  return {
    shares,
    look,
    set(next: readonly string[], nextView = view) {
      names = next;
      view = nextView;
      shares.configChanged(REQUIRED);
    },
  };
}

test("C1 a share that a starting daemon's engine does not know yet has not been checked; it is not removed", () => {
  const { look, set } = startScene();
  assert.equal(look(), "it has not been checked yet");
  set([]);
  assert.equal(look(), "it has not been checked yet");
  set(["CORE"]);
  assert.equal(look(), "it has not been checked yet");
});

test("C1 a share stays available while one check of its mount failed", () => {
  const { look, set } = startScene();
  set(["CORE"], mounted({ mount: { found: foundMount(), check: answered("EIO") } }));
  assert.equal(look(), "there");
  set(["CORE"], mounted({ mount: { found: foundMount(), check: answered("ENOTCONN") } }));
  assert.equal(look(), "its mount does not answer");
});

test("C1 a share that existed and was removed is no longer in the configuration", () => {
  const { look, set } = startScene();
  look();
  set(["CORE"], viewOf({ observed: seenOf({ mount: null }) }));
  assert.equal(look(), "it is not mounted");
  set([]);
  assert.equal(look(), "it is no longer in the configuration");
  set(["CORE"]);
  assert.equal(look(), "it is not mounted");
});
