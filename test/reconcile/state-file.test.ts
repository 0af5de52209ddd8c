// Real files and disks: what is remembered survives crashes, full disks, newer versions and torn files.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { lstat, mkdir, readdir, readFile, rm, stat, symlink, watch, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";
import { openStateStore } from "../../src/reconcile/state-file.ts";
import { EMPTY_SHARE_MEMORY, type ShareMemory } from "../../src/reconcile/state-store.ts";
import type { MountaineerError } from "../../src/runtime/errors.ts";
import { eventually } from "../support/eventually.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";
import { assertReplacedWhole } from "../support/replaced-whole.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { mountTmpfs, remountTmpfs } from "../support/tiny-disk.ts";

const START_MS = Date.UTC(2026, 10, 20, 12);

const FULL: ShareMemory = {
  activeInterface: "fallback",
  tbReachableSince: START_MS - 30_000,
  tbHealthySince: START_MS - 20_000,
  tbRecoveryPending: true,
  override: "unmounted",
  lastSwitchAt: START_MS - 1,
  lastError: 'host "ü"\nis gone',
  wakeAddresses: ["aa:bb:cc:dd:ee:ff@10.0.0.2"],
  provedNetworks: ["subnet:10.0.0.0/24@10.0.0.2"],
};

async function start(t: TestContext, path: string, readOnly = false) {
  const clock = createManualClock(START_MS);
  const logger = createRecordingLogger();
  const memory = await openStateStore({ path, clock, logger, readOnly });
  t.after(() => memory[Symbol.asyncDispose]());
  return { clock, logger, memory };
}

async function statePath(t: TestContext): Promise<string> {
  return join(await temporaryFolder(t), "state.json");
}

async function load(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, "utf8"));
}

describe("state.json", () => {
  it("A5 has exactly this form", async (t) => {
    const path = await statePath(t);
    const { memory } = await start(t, path);
    await memory.save("CORE", FULL);
    assert.equal(await memory.save("empty", { ...EMPTY_SHARE_MEMORY, wakeAddresses: [] }), null);
    const expected = `{
  "version": 1,
  "observed_at": "2026-11-20T12:00:00.000Z",
  "shares": {
    "CORE": {
      "active_interface": "fallback",
      "tb_reachable_since": "2026-11-20T11:59:30.000Z",
      "tb_healthy_since": "2026-11-20T11:59:40.000Z",
      "tb_recovery_pending": true,
      "held": "unmounted",
      "last_switch_at": "2026-11-20T11:59:59.999Z",
      "last_error": "host \\"ü\\"\\nis gone",
      "wake_addresses": [
        "aa:bb:cc:dd:ee:ff@10.0.0.2"
      ],
      "proved_networks": [
        "subnet:10.0.0.0/24@10.0.0.2"
      ]
    },
    "empty": {
      "active_interface": "none",
      "tb_reachable_since": null,
      "tb_healthy_since": null,
      "tb_recovery_pending": false,
      "held": null,
      "last_switch_at": null,
      "last_error": null
    }
  }
}
`;
    assert.equal(await readFile(path, "utf8"), expected);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });

  it("A5 is restored unchanged, whatever names shares have", async (t) => {
    const path = await statePath(t);
    const first = await start(t, path);
    const names = ["CORE", "__proto__", "constructor", "ü ☃", "a\nb", "", "7"];
    for (const name of names) await first.memory.save(name, { ...FULL, lastError: name });
    await first.memory[Symbol.asyncDispose]();
    const second = await start(t, path);
    const { restored } = second.memory;
    assert.deepEqual(new Set(restored.shares.keys()), new Set(names));
    for (const name of names) {
      assert.deepEqual(restored.shares.get(name), { ...FULL, lastError: name });
    }
    assert.equal(restored.observedAt, START_MS);
    assert.equal(restored.setAside, null);
    assert.deepEqual(second.logger.lines, []);
  });

  it("A5 keeps shares that were not mentioned yet, and drops forgotten ones", async (t) => {
    const path = await statePath(t);
    const first = await start(t, path);
    for (const name of ["a", "b", "c"]) await first.memory.save(name, FULL);
    await first.memory[Symbol.asyncDispose]();
    const second = await start(t, path);
    await second.memory.save("a", EMPTY_SHARE_MEMORY);
    assert.equal(await second.memory.forget("b"), null);
    await second.memory.forget("never there");
    const third = await start(t, path);
    assert.deepEqual([...third.memory.restored.shares.keys()], ["a", "c"]);
    assert.deepEqual(third.memory.restored.shares.get("c"), FULL);
  });

  it("starts empty where there is no file, and writes nothing until a change", async (t) => {
    const path = await statePath(t);
    const { memory, logger } = await start(t, path);
    assert.deepEqual(memory.restored, {
      shares: new Map(),
      observedAt: null,
      setAside: null,
    });
    assert.equal(memory.saveError, null);
    await memory[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(dirname(path)), []);
    assert.deepEqual(logger.lines, []);
  });

  it("advances the time of the last observation when flushed", async (t) => {
    const path = await statePath(t);
    const { memory, clock } = await start(t, path);
    await memory.save("CORE", FULL);
    await clock.advance(5_000);
    assert.equal(await memory.flush(), null);
    const { memory: again } = await start(t, path);
    assert.equal(again.restored.observedAt, START_MS + 5_000);
    assert.deepEqual(again.restored.shares.get("CORE"), FULL);
  });
});

describe("writes", () => {
  it("A5 fifty at once are at most two, and all of them durable", async (t) => {
    const path = await statePath(t);
    const { memory } = await start(t, path);
    const renames = countRenames(t, dirname(path));
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, index) => memory.save(`S${index}`, { ...FULL, lastSwitchAt: index })),
    );
    assert.ok(outcomes.every((outcome) => outcome === null));
    const { memory: again } = await start(t, path);
    assert.equal(again.restored.shares.size, 50);
    assert.ok((await renames()) <= 2);
  });

  it("disposal waits for a write in progress; later calls report that it is closed", async (t) => {
    const path = await statePath(t);
    const { memory } = await start(t, path);
    const outcome = memory.save("CORE", FULL);
    await memory[Symbol.asyncDispose]();
    assert.equal(await outcome, null);
    const before = await readFile(path, "utf8");
    const late = await memory.save("CORE", EMPTY_SHARE_MEMORY);
    assert.ok(late instanceof Error);
    await memory[Symbol.asyncDispose]();
    assert.equal(await readFile(path, "utf8"), before);
  });

  it("A5 a full disk delays nothing: unsaved at once, retried until the newest is saved", async (t) => {
    const disk = await mountTmpfs(t, "size=256k");
    if (disk === null) return;
    const path = join(disk, "state.json");
    const { memory, clock, logger } = await start(t, path);
    await memory.save("CORE", FULL);
    const before = await readFile(path, "utf8");
    await assert.rejects(writeFile(join(disk, "ballast"), "x".repeat(1024 * 1024)), { code: "ENOSPC" });

    const outcome = await memory.save("CORE", { ...FULL, lastError: "second" });
    assert.ok(outcome instanceof Error);
    assert.match(outcome.message, /ENOSPC/u);
    assert.equal(memory.saveError, outcome);
    assert.equal(await readFile(path, "utf8"), before);
    assert.deepEqual((await readdir(disk)).sort(), ["ballast", "state.json"]);
    assert.notEqual(await memory.save("CORE", { ...FULL, lastError: "third" }), null);
    assert.equal(clock.pendingTimers, 1);

    await rm(join(disk, "ballast"));
    await clock.advance(2_000);
    await eventually(() => memory.saveError === null);
    const saved = Object(await load(path));
    assert.equal(saved.shares.CORE.last_error, "third");
    assert.equal(saved.observed_at, "2026-11-20T12:00:02.000Z");
    assert.equal(clock.pendingTimers, 0);
    assert.deepEqual(
      logger.lines.map(({ level, message }) => `${level} ${message}`),
      ["error the state file cannot be saved", "info the state file is saved again"],
    );
  });

  it("A5 retries a read-only disk after 1, 2, 4 … 60 s, each failure once", async (t) => {
    const disk = await mountTmpfs(t, "size=256k");
    if (disk === null) return;
    const path = join(disk, "state.json");
    const { memory, clock, logger } = await start(t, path);
    await remountTmpfs(disk, "ro");
    const outcome = await memory.save("CORE", FULL);
    assert.ok(outcome instanceof Error);
    assert.match(outcome.message, /EROFS/u);
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      const before = memory.saveError;
      await clock.advance(seconds * 1_000 - 1);
      assert.equal(memory.saveError, before, `before ${seconds} s`);
      await clock.advance(1);
      await eventually(() => memory.saveError !== before && clock.pendingTimers === 1);
    }
    assert.equal(logger.lines.length, 1);
    await remountTmpfs(disk, "rw");
    await clock.advance(60_000);
    await eventually(() => memory.saveError === null);
    assert.deepEqual(Object.keys(Object(await load(path)).shares), ["CORE"]);
  });

  it("A5 disposal tries an unsaved state again, and ends its retries", async (t) => {
    const disk = await mountTmpfs(t, "size=256k");
    if (disk === null) return;
    const path = join(disk, "state.json");
    const first = await start(t, path);
    await remountTmpfs(disk, "ro");
    await first.memory.save("CORE", FULL);
    await remountTmpfs(disk, "rw");
    await first.memory[Symbol.asyncDispose]();
    assert.deepEqual(Object.keys(Object(await load(path)).shares), ["CORE"]);
    assert.equal(first.clock.pendingTimers, 0);
    const second = await start(t, path);
    await remountTmpfs(disk, "ro");
    await second.memory.save("CORE", EMPTY_SHARE_MEMORY);
    await second.memory[Symbol.asyncDispose]();
    assert.equal(second.clock.pendingTimers, 0);
  });
});

/** Counts how often a file got its name in `folder`, until asked. */
function countRenames(t: TestContext, folder: string): () => Promise<number> {
  const ending = new AbortController();
  t.after(() => ending.abort());
  const last = "the last to be counted";
  const counting = (async () => {
    let count = 0;
    for await (const event of watch(folder, { signal: ending.signal })) {
      if (event.filename === last) break;
      if (event.eventType === "rename" && event.filename === "state.json") count++;
    }
    return count;
  })();
  return async () => {
    // Told in order: what comes after this came later.
    await writeFile(join(folder, last), "");
    return counting;
  };
}

describe("a corrupt state file", () => {
  const good = `"active_interface":"tb","tb_reachable_since":null,"tb_healthy_since":null,"tb_recovery_pending":false,"held":null,"last_switch_at":null`;
  const cases: Record<string, string> = {
    empty: "",
    "blank, as after a power cut": "\0".repeat(512),
    "no JSON": "{ version: 1",
    "half a file":
      '{\n  "version": 1,\n  "observed_at": "2026-11-20T12:00:00.000Z",\n  "shares": {\n    "CORE": {',
    null: "null",
    "an array": "[]",
    "a number": "1",
    "no version": '{"observed_at":"2026-11-20T12:00:00.000Z","shares":{}}',
    "a version that is none": '{"version":"1","observed_at":"2026-11-20T12:00:00.000Z","shares":{}}',
    "version 0": '{"version":0,"observed_at":"2026-11-20T12:00:00.000Z","shares":{}}',
    "no time": '{"version":1,"shares":{}}',
    "no shares": '{"version":1,"observed_at":"2026-11-20T12:00:00.000Z"}',
    "a list of shares": '{"version":1,"observed_at":"2026-11-20T12:00:00.000Z","shares":[]}',
    "a share that is none": '{"version":1,"observed_at":"2026-11-20T12:00:00.000Z","shares":{"CORE":null}}',
    "a time that is none": `{"version":1,"observed_at":"2026-11-20T12:00:00.000Z","shares":{"CORE":{${good.replace('"last_switch_at":null', '"last_switch_at":"yesterday"')},"last_error":null}}}`,
    "a time that no calendar has": `{"version":1,"observed_at":"2026-11-20T12:00:00.000Z","shares":{"CORE":{${good.replace('"last_switch_at":null', '"last_switch_at":"2026-13-40T00:00:00Z"')},"last_error":null}}}`,
  };
  for (const [title, text] of Object.entries(cases)) {
    it(`A5 is set aside, not overwritten: ${title}`, async (t) => {
      const path = await statePath(t);
      await writeFile(path, text);
      const { memory, logger } = await start(t, path);
      const aside = memory.restored.setAside;
      assert.equal(aside, `${path}.corrupt-2026-11-20T12-00-00.000Z`);
      assert.equal(await readFile(aside, "utf8"), text);
      assert.equal(memory.restored.shares.size, 0);
      assert.equal(logger.lines.length, 1);
      assert.equal(logger.lines[0]?.level, "error");
      assert.ok(
        typeof logger.lines[0]?.fields["reason"] === "string" && logger.lines[0].fields["reason"] !== "",
      );
      const again = await start(t, path);
      assert.equal(again.memory.restored.setAside, null);
      assert.deepEqual(again.logger.lines, []);
    });
  }

  it("A5 loses only the invalid records, names them, and saves the others", async (t) => {
    const path = await statePath(t);
    const whole = await start(t, path);
    for (const name of ["CORE", "MEDIA", "BACKUP"]) await whole.memory.save(name, FULL);
    await whole.memory[Symbol.asyncDispose]();
    const state = Object(await load(path));
    state.shares.MEDIA.active_interface = "wifi";
    delete state.shares.BACKUP.held;
    await writeFile(path, JSON.stringify(state));

    const { memory, logger } = await start(t, path);
    assert.deepEqual([...memory.restored.shares], [["CORE", FULL]]);
    assert.equal(memory.restored.observedAt, START_MS);
    const { fields } = logger.lines[0] ?? assert.fail("nothing was logged");
    assert.deepEqual(fields["kept_shares"], ["CORE"]);
    assert.match(String(fields["lost_shares"]), /MEDIA: .*active_interface.*BACKUP: .*held/u);
    assert.deepEqual(Object.keys(Object(await load(path)).shares), ["CORE"]);
  });

  it("A5 replaces no file that was set aside earlier", async (t) => {
    const path = await statePath(t);
    for (const text of ["first", "second", "third"]) {
      await writeFile(path, text);
      await start(t, path);
    }
    const asides = (await readdir(dirname(path))).filter((name) => name.includes(".corrupt-")).sort();
    assert.equal(asides.length, 3);
    const texts = await Promise.all(asides.map((name) => readFile(join(dirname(path), name), "utf8")));
    assert.deepEqual(texts.sort(), ["first", "second", "third"]);
  });
});

describe("a state file that is not ours to read", () => {
  it("A5 of a newer version ends the start and stays unchanged", async (t) => {
    const path = await statePath(t);
    for (const text of ['{"version":2}', '{"version":1.5,"shares":{}}', '{"version":99,"shares":"other"}']) {
      await writeFile(path, text);
      for (const readOnly of [false, true]) {
        await assert.rejects(start(t, path, readOnly), (error: MountaineerError) => {
          assert.equal(error.code, "state_newer");
          assert.ok(error.message.includes(path));
          return true;
        });
      }
      assert.equal(await readFile(path, "utf8"), text);
      assert.deepEqual(await readdir(dirname(path)), [basename(path)]);
    }
  });

  const standing: Record<string, (path: string) => Promise<unknown>> = {
    "a folder": (path) => mkdir(path),
    "a symbolic link": async (path) => {
      await writeFile(join(dirname(path), "real.json"), "mine");
      await symlink("real.json", path);
    },
    "a named pipe": (path) => promisify(execFile)("mkfifo", [path]),
  };
  for (const [kind, make] of Object.entries(standing)) {
    it(`${kind} in its place is reported, not waited for, and nothing is changed`, async (t) => {
      const path = await statePath(t);
      await make(path);
      const names = await readdir(dirname(path));
      const { ino } = await lstat(path);
      for (const readOnly of [false, true]) {
        await assert.rejects(start(t, path, readOnly), {
          code: "home_unwritable",
          message: `cannot read ${path}: it is ${kind}, not a regular file`,
        });
      }
      assert.equal((await lstat(path)).ino, ino);
      assert.deepEqual(await readdir(dirname(path)), names);
      if (kind === "a symbolic link") assert.equal(await readFile(path, "utf8"), "mine");
    });
  }

  it("is reported when a corrupt one cannot be set aside", async (t) => {
    const disk = await mountTmpfs(t, "size=64k");
    if (disk === null) return;
    const path = join(disk, "state.json");
    await writeFile(path, "{");
    await remountTmpfs(disk, "ro");
    await assert.rejects(start(t, path), {
      code: "home_unwritable",
      message: /cannot set aside the corrupt/u,
    });
    assert.equal(await readFile(path, "utf8"), "{");
  });
});

describe("read-only access", () => {
  it("reads, and changes nothing whatever it finds", async (t) => {
    const path = await statePath(t);
    const writer = await start(t, path);
    await writer.memory.save("CORE", FULL);
    const leftover = `.state.json.${2 ** 22 + 1}-0123456789ab.tmp`;
    await writeFile(join(dirname(path), leftover), "");
    const { memory } = await start(t, path, true);
    assert.deepEqual(memory.restored.shares.get("CORE"), FULL);
    const before = await readFile(path, "utf8");
    assert.equal(await memory.save("CORE", EMPTY_SHARE_MEMORY), null);
    await memory.forget("CORE");
    await memory.flush();
    await memory[Symbol.asyncDispose]();
    assert.equal(await readFile(path, "utf8"), before);

    await writeFile(path, "{");
    const corrupt = await start(t, path, true);
    assert.equal(corrupt.memory.restored.setAside, null);
    assert.equal(corrupt.logger.lines[0]?.level, "error");
    assert.equal(await readFile(path, "utf8"), "{");
    assert.deepEqual((await readdir(dirname(path))).sort(), [leftover, "state.json"]);
  });
});

describe("kill -9", () => {
  it("A5 leaves a whole state: each save replaces the file", async (t) => {
    const path = await statePath(t);
    const first = await start(t, path);
    await first.memory.save("CORE", FULL);
    await assertReplacedWhole(path, async () => {
      const { memory } = await start(t, path);
      assert.equal(await memory.save("CORE", EMPTY_SHARE_MEMORY), null);
    });
  });
});
