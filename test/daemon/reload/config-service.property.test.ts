// Random interleavings of saves, edits, reloads and failures: what runs is the last content that was accepted.

import assert from "node:assert/strict";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { OWNER_RIGHTS } from "../../../src/api/operations/operation.ts";
import { findHomeContext } from "../../../src/config/home-context.ts";
import { readConfigBytes } from "../../../src/config/read/config-bytes.ts";
import { parseConfig } from "../../../src/config/read/load.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { systemClock as clock } from "../../../src/runtime/time/clock.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { fc } from "../../support/properties.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { sha256 } from "../samples.ts";
import { NEVER, openScene, type Scene } from "./config-scene.ts";

type Action =
  | { readonly do: "save"; readonly seconds: number; readonly how: "in-place" | "rename" }
  /** The meaning of the save before, in other bytes. */
  | { readonly do: "comment" }
  | { readonly do: "break" }
  | { readonly do: "delete" }
  | { readonly do: "edit"; readonly seconds: number }
  | { readonly do: "replace"; readonly seconds: number }
  | { readonly do: "rollback"; readonly n: number }
  | { readonly do: "reload" }
  | { readonly do: "preview" }
  | { readonly do: "refuse"; readonly refuses: boolean }
  | { readonly do: "rest"; readonly ms: number };

const seconds = fc.integer({ min: 1, max: 9 });
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ do: fc.constant("save"), seconds, how: fc.constantFrom("in-place", "rename") } as const),
  fc.constant({ do: "comment" } as const),
  fc.constant({ do: "break" } as const),
  fc.constant({ do: "delete" } as const),
  fc.record({ do: fc.constant("edit"), seconds } as const),
  fc.record({ do: fc.constant("replace"), seconds } as const),
  fc.record({ do: fc.constant("rollback"), n: fc.integer({ min: 0, max: 3 }) } as const),
  fc.constant({ do: "reload" } as const),
  fc.constant({ do: "preview" } as const),
  fc.record({ do: fc.constant("refuse"), refuses: fc.boolean() } as const),
  fc.record({ do: fc.constant("rest"), ms: fc.integer({ min: 0, max: 200 }) } as const),
);

interface World extends Scene, AsyncDisposable {
  perform(action: Action): Promise<void>;
}

type Detection = "mtime" | "hash" | "inotify";

async function createWorld(folder: string, detection: Detection): Promise<World> {
  const home = join(folder, "home");
  await mkdir(home, { recursive: true });
  const path = join(home, "config.toml");
  let written = 0;
  let meant = 1;
  /** No two texts have one length: what no detector by mtime can tell apart is not what is looked for here. */
  const text = (secs: number, more = ""): string => {
    written += 1;
    meant = secs;
    return [
      `# ${"x".repeat(written)}`,
      "[global]",
      `check_interval_secs = ${secs}${more}`,
      "[sync]",
      `detection = "${detection}"`,
      "poll_interval = 0.05",
      "debounce = 0.02",
      'on_failure = "fixed"',
      "",
    ].join("\n");
  };
  await writeFile(path, text(1));
  const scene = await openScene(home);
  const { service, mood } = scene;
  const { control } = service;

  const save = async (content: string, how: "in-place" | "rename"): Promise<void> => {
    if (how === "in-place") return writeFile(path, content);
    await writeFile(`${path}.new`, content);
    await rename(`${path}.new`, path);
  };
  const perform = async (each: Action): Promise<void> => {
    switch (each.do) {
      case "save":
        return save(text(each.seconds), each.how);
      case "comment":
        return save(text(meant), "rename");
      case "break":
        return save(text(1, " seconds ["), "in-place");
      case "delete":
        return rm(path, { force: true });
      case "edit": {
        const edits = [{ key: "global.check_interval_secs", value: String(each.seconds) }];
        await control.edit({ edits, source: "test" }, NEVER, OWNER_RIGHTS);
        return;
      }
      case "replace": {
        const { sha256: expected_sha256 } = await control.config(null, NEVER);
        await control.editText(
          { text: text(each.seconds), expected_sha256, source: "test" },
          NEVER,
          OWNER_RIGHTS,
        );
        return;
      }
      case "rollback":
        await control.rollback({ n: each.n }, NEVER, OWNER_RIGHTS);
        return;
      case "reload":
        await control.reload({}, NEVER);
        return;
      case "preview":
        await control.reload({ dry_run: true }, NEVER);
        return;
      case "refuse":
        mood.refuses = each.refuses;
        return;
      case "rest":
        return clock.sleep(each.ms);
    }
  };
  return {
    ...scene,
    async perform(each) {
      try {
        await perform(each);
      } catch (error) {
        // A person would read it: the file is not what was seen, is not there, is broken, has no such entry.
        const expected = [
          "config_changed",
          "config_unreadable",
          "config_invalid",
          "config_uneditable",
          "history_unknown",
        ];
        if (!(error instanceof MountaineerError) || !expected.includes(error.code)) throw error;
      }
    },
    [Symbol.asyncDispose]: () => scene.stop(),
  };
}

async function assertSettled(world: World): Promise<void> {
  const { service, path, transitions, streamed } = world;
  const { control, watcher } = service;
  const homeContext = findHomeContext({ HOME: join(path, "../.."), MOUNTAINEER_HOME: join(path, "..") });
  const fileNow = async (): Promise<string | null> => readFile(path, "utf8").catch(() => null);
  await eventually(async () => {
    const file = await fileNow();
    const { sha256: running, last_error } = control.sync();
    if (file === null) {
      assert.equal(last_error?.kind === "unreadable", false, "a missing file is no error");
      return true;
    }
    const isValid = (await parseConfig(await readConfigBytes(path), path, homeContext)).ok;
    if (isValid) {
      assert.equal(running, sha256(file), "a valid file is what runs");
      assert.equal(last_error, null, "and nothing is wrong");
    } else {
      assert.equal(last_error?.kind, "rejected", "a broken file is told");
    }
    return !watcher.busy;
  });

  const { entries } = await control.history();
  const newest = sha256(await control.historyText({ n: 0 }));
  // Nothing is awaited from here on: a look that ends meanwhile would be told by one of both alone.
  const report = control.sync();
  assert.equal(
    world.config().global.checkIntervalMs,
    watcher.running.snapshot.config.global.checkIntervalMs,
    "one thing runs",
  );
  assert.equal(entries[0]?.sha256, report.sha256, "the newest of the history is what runs");
  assert.equal(newest, report.sha256);

  const applied = transitions.filter((each) => each.name === "config.applied");
  assertEach(
    applied,
    ({ generation }) => generation,
    applied.map((_, index) => index + 2),
    "generations grow by one",
  );
  assert.equal(report.generation, applied.length + 1);
  const changed = report.events.filter(({ type }) => type === "changed");
  assert.equal(
    changed.length,
    applied.length,
    `each applied content is one event: ${JSON.stringify(report.events)}`,
  );
  assertEach(
    report.events,
    ({ id }) => id,
    report.events.map((_, index) => index + 1),
  );
  const generations = report.events.map(({ generation }) => generation);
  assert.deepEqual(
    generations,
    generations.toSorted((a, b) => a - b),
    "generations of events never fall",
  );
  assertEach(
    streamed,
    ({ id }) => id,
    streamed.map((_, index) => index + 1),
  );
  assert.deepEqual(
    streamed.flatMap(({ event }) => (event.kind === "sync" ? [event.event] : [])),
    report.events,
    "the stream tells the same events",
  );
  const rejected = transitions.filter(({ name }) => name === "config.rejected").length;
  assert.equal(rejected, report.events.filter(({ type }) => type === "error").length);
}

let worlds = 0;

async function holds(t: TestContext, overlapping: boolean, runs: number): Promise<void> {
  const root = await temporaryFolder(t);
  const steps = fc.array(action, { minLength: 3, maxLength: 10 });
  const detection = fc.constantFrom<Detection>("mtime", "hash", "inotify");
  await fc.assert(
    fc.asyncProperty(steps, detection, async (actions, detects) => {
      worlds += 1;
      await using world = await createWorld(join(root, String(worlds)), detects);
      const underWay: Promise<void>[] = [];
      for (const each of actions) {
        const performed = world.perform(each);
        underWay.push(performed);
        // What changes the file by itself is never at work twice at a time; the service's own work overlaps with it.
        const isPlain = ["save", "comment", "break", "delete", "rest", "refuse"].includes(each.do);
        if (isPlain || !overlapping) await performed;
      }
      await Promise.all(underWay);
      await world.perform({ do: "refuse", refuses: false });
      await assertSettled(world);
    }),
    { numRuns: runs, endOnFailure: true, verbose: 1, interruptAfterTimeLimit: 60_000 },
  );
}

test("B4 B6 B8 in any sequence, the last accepted content runs, and all reports agree", (t) =>
  holds(t, false, 12));

test("B4 B6 B8 with edits, reloads and saves at once, the last accepted content runs, and all reports agree", (t) =>
  holds(t, true, 18));
