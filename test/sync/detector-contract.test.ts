import assert from "node:assert/strict";
import { chmod, mkdir, rename, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { readConfigBytes } from "../../src/config/read/config-bytes.ts";
import { QUIET_MS, SAFETY_POLL_MS, startDetector } from "../../src/sync/detector.ts";
import { systemFolderEvents } from "../../src/sync/folder-events.ts";
import type { Detection } from "../../src/sync/sync-settings.ts";
import { eventually } from "../support/eventually.ts";
import { createLocalFile } from "../support/local-file.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { passTimeUntil } from "../support/pass-time.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { programMissing, runProgram, saveWithNano, saveWithVim } from "./programs.ts";

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
