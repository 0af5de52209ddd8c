import assert from "node:assert/strict";
import { chmod, mkdir, rename, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { readConfigBytes } from "../../src/config/read/config-bytes.ts";
import type { SyncSettings } from "../../src/config/snapshot.ts";
import { noopLogger } from "../../src/runtime/log/log.ts";
import { createConfigWatcher } from "../../src/sync/config-watcher.ts";
import { QUIET_MS, SAFETY_POLL_MS, startDetector } from "../../src/sync/detector.ts";
import { systemFolderEvents } from "../../src/sync/folder-events.ts";
import type { SyncEvent } from "../../src/sync/sync-event.ts";
import type { Detection } from "../../src/sync/sync-settings.ts";
import { missingForFuse, mountLocalFuse } from "../rig/local-fuse-mount.ts";
import { assertEach } from "../support/assert-each.ts";
import { BETWEEN_LOOKS_MS, eventually } from "../support/eventually.ts";
import { createLocalFile } from "../support/local-file.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { passTimeUntil } from "../support/pass-time.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { programMissing, runProgram, saveWithNano, saveWithVim } from "./programs.ts";
import { DEFAULT_SYNC_SETTINGS, sha256 } from "./watcher-bench.ts";

const ALL = { mtime: true, hash: true, inotify: true } as const;
const NONE = { mtime: false, hash: false, inotify: false } as const;
/** Same bytes, other times. */
const TIMES_ONLY = { mtime: true, hash: false, inotify: false } as const;
/** Other bytes in the same file, same size and mtime. */
const BYTES_ONLY = { mtime: false, hash: true, inotify: true } as const;

interface Change {
  readonly what: string;
  /** Default: all detectors. */
  readonly seenBy?: Readonly<Record<Detection, boolean>>;
  /** Creates the watched file below an empty folder, and returns its path. Default: `etc/app/config.toml`. */
  readonly layOut?: (root: string) => Promise<string>;
  /** `n`: 1, then 2. Each change is made twice, the second time for a detector that has seen the first one. */
  readonly make: (path: string, n: number, root: string) => Promise<void>;
  readonly needs?: readonly string[];
  /** No watched folder has an event: `inotify` sees the change by its slow poll, or a moment later. */
  readonly isLate?: true;
}

const LONG_AGO = new Date(Date.UTC(2026, 0, 1));
const FIRST = "interval = 0\n";
const text = (n: number): string => `interval = ${n}\n`;

async function plain(root: string): Promise<string> {
  const folder = join(root, "etc", "app");
  await mkdir(folder, { recursive: true });
  await writeOld(join(folder, "config.toml"), FIRST);
  return join(folder, "config.toml");
}

/** A Kubernetes ConfigMap: config.toml → ..data/config.toml, ..data → a folder with a time in its name. */
async function configMap(root: string, data = "..data"): Promise<string> {
  const folder = join(root, "etc");
  await mkdir(join(folder, "..2026_0"), { recursive: true });
  await writeOld(join(folder, "..2026_0", "config.toml"), FIRST);
  await symlink("..2026_0", join(folder, "..data"));
  await symlink(`${data}/config.toml`, join(folder, "config.toml"));
  return join(folder, "config.toml");
}

async function linkedFile(root: string): Promise<string> {
  await mkdir(join(root, "dotfiles"));
  await mkdir(join(root, "home"));
  await writeOld(join(root, "dotfiles", "config.toml"), FIRST);
  await symlink(join(root, "dotfiles", "config.toml"), join(root, "home", "config.toml"));
  return join(root, "home", "config.toml");
}

async function linkedFolder(root: string): Promise<string> {
  await mkdir(join(root, "versions", "0"), { recursive: true });
  await writeOld(join(root, "versions", "0", "config.toml"), FIRST);
  await symlink("versions/0", join(root, "current"));
  return join(root, "current", "config.toml");
}

async function writeOld(path: string, content: string): Promise<void> {
  await writeFile(path, content);
  await utimes(path, LONG_AGO, LONG_AGO);
}

async function swapLink(target: string, link: string): Promise<void> {
  await symlink(target, `${link}.new`);
  await rename(`${link}.new`, link);
}

type Write = (path: string, content: string) => Promise<void>;

/** A new file, renamed over the old one. */
const renamedOver =
  (write: Write, content: (n: number) => string): Change["make"] =>
  async (path, n) => {
    await write(`${path}.tmp`, content(n));
    await rename(`${path}.tmp`, path);
  };
const madeAnew =
  (content: (n: number) => string): Change["make"] =>
  async (path, n) => {
    await rm(path);
    await writeFile(path, content(n));
  };
const dataSwapped =
  (write: Write): Change["make"] =>
  async (path, n) => {
    const folder = join(path, "..");
    await mkdir(join(folder, `..2026_${n}`));
    await write(join(folder, `..2026_${n}`, "config.toml"), text(n));
    await swapLink(`..2026_${n}`, join(folder, "..data"));
  };
/** `cp` or `mv`. */
const overBy =
  (program: string): Change["make"] =>
  async (path, n, root) => {
    await writeFile(join(root, "other"), text(n));
    await runProgram(program, join(root, "other"), path);
  };
const same = (): string => FIRST;

const CHANGES: readonly Change[] = [
  { what: "written in place", make: (path, n) => writeFile(path, `${text(n)}# longer\n`) },
  { what: "written in place, same size", make: (path, n) => writeFile(path, text(n)) },
  { what: "appended to", make: (path, n) => writeFile(path, text(n), { flag: "a" }) },
  { what: "rewritten with the same bytes", seenBy: TIMES_ONLY, make: (path) => writeFile(path, FIRST) },
  { what: "replaced by rename", make: renamedOver(writeFile, text) },
  { what: "replaced by rename, same bytes", seenBy: TIMES_ONLY, make: renamedOver(writeFile, same) },
  { what: "`..data` swapped", layOut: configMap, make: dataSwapped(writeFile) },
  {
    what: "`..data` swapped, by a link that begins with `./`",
    layOut: (root) => configMap(root, "./..data"),
    make: dataSwapped(writeFile),
  },
  {
    what: "`..data` swapped to a file of the same size and mtime",
    layOut: configMap,
    make: dataSwapped(writeOld),
  },
  { what: "deleted and recreated", make: madeAnew(text) },
  { what: "deleted and recreated with the same bytes", seenBy: TIMES_ONLY, make: madeAnew(same) },
  {
    what: "touched",
    seenBy: TIMES_ONLY,
    make: (path, n) => utimes(path, LONG_AGO, new Date(LONG_AGO.getTime() + n * 1_000)),
  },
  { what: "chmod", seenBy: NONE, make: (path, n) => chmod(path, n === 1 ? 0o600 : 0o640) },
  { what: "same size and mtime restored", seenBy: BYTES_ONLY, make: (path, n) => writeOld(path, text(n)) },
  {
    what: "replaced by a file of the same size and mtime",
    make: renamedOver(writeOld, text),
  },
  { what: "another size, mtime restored", make: (path, n) => writeOld(path, `${text(n)}${"#".repeat(n)}\n`) },
  {
    what: "parent folder replaced",
    isLate: true,
    async make(path, n, root) {
      await mkdir(join(root, `next-${n}`));
      await writeFile(join(root, `next-${n}`, "config.toml"), text(n));
      await rename(join(path, ".."), join(root, `before-${n}`));
      await rename(join(root, `next-${n}`), join(path, ".."));
    },
  },
  {
    what: "parent folder deleted and made again",
    isLate: true,
    async make(path, n) {
      await rm(join(path, ".."), { recursive: true });
      await mkdir(join(path, ".."));
      await writeFile(path, text(n));
    },
  },
  {
    what: "a symlink to the file, written through",
    layOut: linkedFile,
    make: (path, n) => writeFile(path, text(n)),
  },
  {
    what: "a symlink to the file, its target replaced",
    layOut: linkedFile,
    make: (_path, n, root) => renamedOver(writeFile, text)(join(root, "dotfiles", "config.toml"), n, root),
  },
  {
    what: "a symlink to the file, pointed elsewhere",
    layOut: linkedFile,
    async make(path, n, root) {
      await writeFile(join(root, "dotfiles", `${n}.toml`), text(n));
      await swapLink(join(root, "dotfiles", `${n}.toml`), path);
    },
  },
  {
    what: "a symlink to its folder, pointed elsewhere",
    isLate: true,
    layOut: linkedFolder,
    async make(_path, n, root) {
      await mkdir(join(root, "versions", `${n}`));
      await writeFile(join(root, "versions", `${n}`, "config.toml"), text(n));
      await swapLink(`versions/${n}`, join(root, "current"));
    },
  },
  {
    what: "vim, a new file renamed into place",
    make: (path, n) => saveWithVim(path, `# ${n}`, "no"),
  },
  {
    what: "vim, written in place over a backup",
    make: (path, n) => saveWithVim(path, `# ${n}`, "yes"),
  },
  { what: "nano", make: (path, n) => saveWithNano(path, `# ${n}`) },
  {
    what: "sed -i",
    needs: ["sed"],
    // BSD's wants to be told that it keeps no copy.
    make: (path, n) =>
      runProgram(
        "sed",
        "-i",
        ...(process.platform === "darwin" ? [""] : []),
        `s/interval = .*/interval = ${n}/`,
        path,
      ),
  },
  { what: "cp over it", make: overBy("cp") },
  { what: "mv over it", make: overBy("mv") },
];

/** Two saves within one tick of the kernel's clock have one mtime; the debounce keeps reads further apart than that. */
async function isOlderThanATick(path: string): Promise<boolean> {
  return Date.now() - (await stat(path)).mtimeMs > 20;
}

interface Watched {
  /** Reports until now. */
  readonly reports: number;
  /** Makes the detector process what has happened; resolves with whether it reported a change. */
  afterChange(expected: boolean, change: () => Promise<void>, isLate?: boolean): Promise<boolean>;
}

async function watchWith(t: TestContext, detection: Detection, path: string): Promise<Watched> {
  const clock = createManualClock();
  let reports = 0;
  const problems: (string | null)[] = [];
  const detector = startDetector(detection, {
    file: createLocalFile(path, readConfigBytes),
    clock,
    pollIntervalMs: 1_000,
    onChange: () => (reports += 1),
    onPresence: () => {},
    onDegraded: (reason) => problems.push(reason),
    folderEvents: systemFolderEvents,
  });
  t.after(() => detector[Symbol.dispose]());
  await detector.check();
  assert.deepEqual(problems, []);
  const idleTimers = clock.pendingTimers;
  /** Lets the settle timer fire when an event has set it. */
  const settled = async (): Promise<boolean> => {
    if (clock.pendingTimers === idleTimers) return false;
    await clock.advance(QUIET_MS);
    await detector.check();
    return true;
  };
  return {
    get reports() {
      return reports;
    },
    async afterChange(expected, change, isLate = false) {
      const before = reports;
      const startedAt = clock.monotonicMs();
      await change();
      if (detection !== "inotify") {
        await detector.check();
        await detector.check();
      } else if (isLate) {
        await passTimeUntil(clock, () => reports > before, SAFETY_POLL_MS);
        await detector.check();
        return reports > before;
      } else if (expected) {
        await eventually(async () => (await settled()) && reports > before);
      } else {
        await eventually(settled);
        while (await settled());
      }
      // By an event of the OS, not by the safety poll.
      assert.ok(clock.monotonicMs() - startedAt < SAFETY_POLL_MS);
      return reports > before;
    },
  };
}

for (const change of CHANGES) {
  for (const detection of ["mtime", "hash", "inotify"] as const) {
    const expected = (change.seenBy ?? ALL)[detection];
    const title = `B2 ${detection} ${expected ? "sees" : "does not see"}: ${change.what}`;
    test(title, { timeout: 300_000 }, async (t) => {
      const missing = await programMissing(...(change.needs ?? []));
      if (missing !== null) return t.skip(missing);
      const root = await temporaryFolder(t);
      const path = await (change.layOut ?? plain)(root);
      const watched = await watchWith(t, detection, path);
      for (const n of [1, 2]) {
        await eventually(() => isOlderThanATick(path));
        const seen = await watched.afterChange(expected, () => change.make(path, n, root), change.isLate);
        assert.equal(seen, expected, `change ${n}`);
      }
    });
  }
}

for (const detection of ["mtime", "hash", "inotify"] as const) {
  test(`B3 ${detection}: deleting is not a change, returning changed is one`, async (t) => {
    const root = await temporaryFolder(t);
    const path = await plain(root);
    const watched = await watchWith(t, detection, path);
    assert.equal(await watched.afterChange(false, () => rm(path)), false);
    assert.equal(await watched.afterChange(true, () => writeFile(path, text(1))), true);
    assert.equal(await watched.afterChange(false, () => rm(join(path, ".."), { recursive: true })), false);
    const back = async (): Promise<void> => {
      await mkdir(join(path, ".."), { recursive: true });
      await writeFile(path, text(22));
    };
    assert.equal(await watched.afterChange(true, back, true), true);
    await assert.rejects(stat(`${path}.tmp`));
  });

  test(`B4 ${detection}: an error that is reverted is a change`, async (t) => {
    const root = await temporaryFolder(t);
    const path = await plain(root);
    const watched = await watchWith(t, detection, path);
    assert.equal(await watched.afterChange(true, () => writeFile(path, "[[[ wrong")), true);
    assert.equal(await watched.afterChange(true, () => writeOld(path, FIRST)), true);
  });
}

/** No real look at a file is late by a clock that runs while it is waited for. */
const NEVER_LATE_MS = 3_600_000;
const STEP_MS = 10;

/** A watcher on a real file, by a clock that the test moves; contents that begin with "[" and do not end are torn. */
async function watchReally(
  t: TestContext,
  path: string,
  loaded: string,
  settings: Partial<SyncSettings>,
  checkDeadlineMs = NEVER_LATE_MS,
) {
  const clock = createManualClock(Date.now());
  const offered: string[] = [];
  const events: SyncEvent[] = [];
  const watcher = createConfigWatcher<null>({
    file: createLocalFile(path, readConfigBytes),
    settings: { ...DEFAULT_SYNC_SETTINGS, pollIntervalMs: 50, debounceMs: 100, ...settings },
    clock,
    logger: noopLogger,
    first: { sha256: sha256(loaded), snapshot: null },
    checkDeadlineMs,
    async load(bytes) {
      const text = new TextDecoder().decode(bytes);
      offered.push(text);
      if (text.startsWith("[") && !text.endsWith("]")) {
        return { ok: false, reason: "torn", mistakes: [] };
      }
      return { ok: true, snapshot: null };
    },
    apply: async () => ({ snapshot: null, changed: true, details: "settings reloaded", diff: null }),
    onEvent: (event) => events.push(event),
    onState: () => {},
  });
  t.after(() => watcher[Symbol.asyncDispose]());
  await watcher.start();
  /** Lets time pass, step by step, until it is so. */
  const until = (check: () => boolean): Promise<unknown> =>
    eventually(
      async () => {
        if (!check()) await clock.advance(STEP_MS);
        return check();
      },
      60_000,
      BETWEEN_LOOKS_MS,
    );
  return { clock, until, watcher, offered, events };
}

for (const detection of ["mtime", "hash", "inotify"] as const satisfies readonly Detection[]) {
  test(`B1 twenty real saves in a row are one reload, and the last one runs (${detection})`, async (t) => {
    const root = await temporaryFolder(t);
    const path = join(root, "config.toml");
    await writeFile(path, "a");
    const { clock, until, watcher, offered, events } = await watchReally(t, path, "a", {
      detection,
      debounceMs: 400,
    });
    for (let save = 1; save <= 20; save += 1) {
      await writeFile(`${path}.tmp`, `save ${save}`);
      await rename(`${path}.tmp`, path);
      await clock.advance(STEP_MS);
    }
    await until(() => watcher.state.hash === sha256("save 20"));
    assert.deepEqual(offered, ["save 20"]);
    assertEach(events, ({ type, details }) => `${type} ${details}`, ["changed settings reloaded"]);
  });
}

test("a file written slowly, in pieces, is not an error", async (t) => {
  const root = await temporaryFolder(t);
  const path = join(root, "config.toml");
  await writeFile(path, "[a]");
  const settings = { detection: "inotify", debounceMs: 50 } as const;
  const { clock, until, watcher, offered, events } = await watchReally(t, path, "[a]", settings);
  await writeFile(path, "");
  await clock.advance(80);
  await writeFile(path, "[", { flag: "a" });
  await until(() => offered.includes("["));
  await writeFile(path, "b]", { flag: "a" });
  await until(() => watcher.state.hash === sha256("[b]"));
  assertEach(events, ({ type }) => type, ["changed"]);
});

test("B2 hash: a file on a mount that hangs is an error event, and applies when the mount answers again", async (t) => {
  const lacking = missingForFuse();
  if (lacking !== null) return t.skip(lacking);
  let unmount = async (): Promise<void> => {};
  t.after(() => unmount());
  const root = await temporaryFolder(t);
  const mount = await mountLocalFuse(root);
  unmount = async () => mount[Symbol.asyncDispose]();
  const path = join(mount.path, "config.toml");
  await writeFile(join(root, "behind", "config.toml"), "a");
  const { until, watcher, events } = await watchReally(t, path, "a", { detection: "hash" }, 5_000);
  await writeFile(join(root, "behind", "config.toml"), "b");
  await until(() => watcher.state.hash === sha256("b"));
  await mount.hang();
  await until(() => watcher.state.lastError?.kind === "unreadable");
  assert.match(events.at(-1)?.details ?? "", /gave no answer within 5 s/);
  await writeFile(join(root, "behind", "config.toml"), "c");
  mount.goOn();
  await until(() => watcher.state.hash === sha256("c"));
  assert.equal(watcher.state.lastError, null);
  await watcher[Symbol.asyncDispose]();
});
