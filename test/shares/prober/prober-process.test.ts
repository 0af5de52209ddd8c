// The prober against real folders, real FUSE mounts that hang, and its own death.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdir, readFile, realpath, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it, type TestContext, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import type { MountCheck, Prober } from "../../../src/shares/prober/prober.ts";
import { startProber } from "../../../src/shares/prober/prober-process.ts";
import { resolvePaths } from "../../../src/shares/prober/resolve-paths.ts";
import { type LocalFuseMount, missingForFuse, mountLocalFuse } from "../../rig/local-fuse-mount.ts";
import { eventually } from "../../support/eventually.ts";
import { fileProber } from "../../support/file-prober.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { isGone } from "../../support/processes.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { LINUX_ALONE } from "../../support/where.ts";

/** When a look is late: never, where nothing hangs; soon, where something does. */
const NEVER_LATE_MS = 600_000;
const SOON_LATE_MS = 150;
const PATIENT_MS = 60_000;

function prober(t: TestContext, checkDeadlineMs = NEVER_LATE_MS, clock: Clock = systemClock): Prober {
  const started = startProber({ clock, logger: noopLogger, checkDeadlineMs });
  t.after(() => started[Symbol.asyncDispose]());
  return started;
}

const proberOfFile = fileProber({ clock: systemClock, logger: noopLogger, checkDeadlineMs: NEVER_LATE_MS });

const soleChild = (of: Prober): number => {
  const [pid, ...more] = of.pids;
  assert.ok(pid !== undefined && more.length === 0, `one child, not ${of.pids.join()}`);
  return pid;
};

test("a process exists before the first query only where it is to start ahead", async (t) => {
  const options = { clock: systemClock, logger: noopLogger, checkDeadlineMs: NEVER_LATE_MS };
  await using later = startProber(options);
  await using ahead = startProber({ ...options, startsAhead: true });
  const pid = soleChild(ahead);
  assert.deepEqual(later.pids, []);
  assert.equal(await ahead.folderExists(await temporaryFolder(t), PATIENT_MS), true);
  const room = await ahead.space("/", PATIENT_MS);
  assert.ok(room !== null && room.free_bytes < room.total_bytes, JSON.stringify(room));
  assert.equal(await ahead.space("/no such folder", PATIENT_MS), null);
  assert.equal(soleChild(ahead), pid);
});

describe("the prober's answers", () => {
  it("A2 a check of a folder that can be listed has no errno; of one that cannot, it has the errno's name", async (t) => {
    const folder = await temporaryFolder(t);
    await writeFile(join(folder, "a file"), "");
    const asked = proberOfFile();
    const before = systemClock.monotonicMs();
    const check = await asked.checkMount("1", folder, PATIENT_MS);
    assert.equal(check.state, "answered");
    if (check.state !== "answered") return;
    assert.equal(check.errno, null);
    assert.ok(check.startedAtMs >= before && check.finishedAtMs >= check.startedAtMs);
    assert.deepEqual(asked.lastCheck("1"), check);
    const errnoOf = async (path: string): Promise<string | null | undefined> => {
      const found = await asked.checkMount(path, path, PATIENT_MS);
      return found.state === "answered" ? found.errno : undefined;
    };
    assert.equal(await errnoOf(join(folder, "missing")), "ENOENT");
    assert.equal(await errnoOf(join(folder, "a file")), "ENOTDIR");
  });

  it("an unknown mount has never been checked, nor has a forgotten one", async (t) => {
    const folder = await temporaryFolder(t);
    const asked = proberOfFile();
    assert.deepEqual(asked.lastCheck("7"), { state: "never" });
    await asked.checkMount("7", folder, PATIENT_MS);
    asked.forget("7");
    assert.deepEqual(asked.lastCheck("7"), { state: "never" });
  });

  it("links report target and identity, other objects their kind", async (t) => {
    const folder = await temporaryFolder(t);
    const link = join(folder, "a link");
    await symlink("/somewhere", link);
    await mkdir(join(folder, "folder"));
    await writeFile(join(folder, "file"), "");
    const asked = proberOfFile();
    const paths = [
      link,
      join(folder, "folder"),
      join(folder, "file"),
      join(folder, "none"),
      join(folder, "file", "in"),
    ];
    const looks = await asked.readLinks(paths, PATIENT_MS);
    const [first] = looks;
    assert.ok(first?.state === "link");
    assert.equal(first.target, "/somewhere");
    assert.deepEqual(looks.slice(1), [
      { state: "other", kind: "folder" },
      { state: "other", kind: "file" },
      { state: "missing" },
      { state: "missing" },
    ]);
    // The very same target, and yet another link.
    await symlink("/somewhere", `${link}.new`);
    await rename(`${link}.new`, link);
    const [again] = await asked.readLinks([link], PATIENT_MS);
    assert.ok(again?.state === "link");
    assert.notEqual(again.identity, first.identity);
  });

  it("folders exist only as folders; real paths have no links inside", async (t) => {
    const folder = await temporaryFolder(t);
    await mkdir(join(folder, "real"));
    await symlink("real", join(folder, "alias"));
    await writeFile(join(folder, "file"), "");
    const asked = proberOfFile();
    const paths = ["real", "alias", "file", "none"].map((name) => join(folder, name));
    const exist = await Promise.all(paths.map((path) => asked.folderExists(path, PATIENT_MS)));
    assert.deepEqual(exist, [true, true, false, false]);
    const real = await Promise.all(paths.map((path) => asked.realPath(path, PATIENT_MS)));
    assert.deepEqual(real, [paths[0], paths[0], paths[2], null]);
  });

  it("a path is resolved through its links, even while its end does not exist", async (t) => {
    const folder = await realpath(await temporaryFolder(t));
    const at = (...steps: readonly string[]): string => [folder, ...steps].join("/");
    await mkdir(at("real", "deep"), { recursive: true });
    await writeFile(at("file"), "");
    await symlink("real/deep", at("alias"));
    await symlink("nowhere", at("dangling"));
    await symlink("loop", at("loop"));
    const asked: readonly (readonly [string, unknown])[] = [
      [at("alias"), { at: at("real", "deep"), exists: true }],
      [at("alias", "new", "er"), { at: at("real", "deep", "new", "er"), exists: false }],
      [at("alias", "..", "x"), { at: at("real", "x"), exists: false }],
      [at("file", "below"), { at: at("file", "below"), exists: false }],
      [at("x".repeat(300)), { at: at("x".repeat(300)), exists: false }],
      [at("dangling", "below"), { unclear: "a link that leads to nothing" }],
      [at("dangling", ""), { unclear: "a link that leads to nothing" }],
      [at("loop"), { unclear: "ELOOP" }],
      ["/", { at: "/", exists: true }],
      ["/no-such-thing/x", { at: "/no-such-thing/x", exists: false }],
    ];
    const found = await proberOfFile().resolvePaths(
      asked.map(([path]) => path),
      PATIENT_MS,
    );
    assert.deepEqual(
      found,
      asked.map(([, place]) => place),
    );
  });

  it("resolving long paths with many slashes takes little time", async () => {
    const paths = Array.from(
      { length: 10 },
      (_, at) => `${"/".repeat(2_000)}no-such-thing${at}${"/a".repeat(900)}/..`,
    );
    const before = process.cpuUsage();
    const found = await resolvePaths(paths);
    const { user } = process.cpuUsage(before);
    assert.ok(found.every((place) => "exists" in place && !place.exists));
    // A tenth of what it is where each slash is looked at for each step.
    assert.ok(user < 2_000_000, `${user / 1_000} ms`);
  });

  it("names have addresses, an address is its own address, and an invalid name has none", async () => {
    const asked = proberOfFile();
    assert.ok(
      (await asked.resolve("localhost", PATIENT_MS)).some((one) => one === "127.0.0.1" || one === "::1"),
    );
    assert.deepEqual(await asked.resolve("::1", 0), ["::1"]);
    assert.deepEqual(await asked.resolve("no such name", PATIENT_MS), []);
  });
});

test("a query about a file after a change sees the change, while an equal query is open", {
  skip: LINUX_ALONE,
}, async (t) => {
  const file = join(await temporaryFolder(t), "file");
  await writeFile(file, "old");
  const asked = prober(t);
  const ask = () => Promise.all([asked.checkFile(file, PATIENT_MS), asked.fileBytes(file, PATIENT_MS)]);
  await ask();
  const messages = `/proc/${soleChild(asked)}/io`;
  const said = (): string | undefined => /^wchar: .*$/m.exec(readFileSync(messages, "utf8"))?.[0];
  const before = said();
  const first = ask();
  await nextTurn();
  // The answers are there, and this process has not read them.
  while (said() === before);
  writeFileSync(file, "newer");
  const [look, bytes] = await ask();
  assert.ok(look?.state === "file" && bytes?.state === "read");
  assert.deepEqual([look.size, atob(bytes.base64)], ["5", "newer"]);
  await first;
});

describe("when a child dies", () => {
  it("its queries are sent again to a new one", async (t) => {
    const folder = await temporaryFolder(t);
    const asked = prober(t);
    await asked.checkMount("1", folder, PATIENT_MS);
    const first = soleChild(asked);
    process.kill(first, "SIGSTOP");
    const look = asked.checkMount("2", folder, PATIENT_MS);
    process.kill(first, "SIGKILL");
    const found = await look;
    assert.ok(found.state === "answered" && found.errno === null);
    await eventually(() => isGone(first));
    assert.notEqual(soleChild(asked), first);
  });

  it("one that is silent for long is replaced", async (t) => {
    const folder = await temporaryFolder(t);
    const clock = createManualClock();
    const asked = prober(t, NEVER_LATE_MS, clock);
    await asked.checkMount("1", folder, 600_000);
    const first = soleChild(asked);
    process.kill(first, "SIGSTOP");
    const look = asked.checkMount("2", folder, 600_000);
    await clock.advance(7_999);
    assert.equal(soleChild(asked), first);
    await clock.advance(1);
    await eventually(() => isGone(first));
    await clock.advance(100);
    const found = await look;
    assert.ok(found.state === "answered" && found.errno === null);
    assert.notEqual(soleChild(asked), first);
  });

  it("one that is silent while only addresses are requested is not replaced", async (t) => {
    const clock = createManualClock();
    const asked = prober(t, NEVER_LATE_MS, clock);
    await asked.checkMount("1", await temporaryFolder(t), 600_000);
    const first = soleChild(asked);
    process.kill(first, "SIGSTOP");
    const addresses = asked.resolve("localhost", 600_000);
    await clock.advance(30_000);
    assert.equal(soleChild(asked), first);
    process.kill(first, "SIGCONT");
    assert.ok((await addresses).length > 0);
  });

  it("it exists from the first query on, and not when nothing was asked for a minute", async (t) => {
    const folder = await temporaryFolder(t);
    const clock = createManualClock();
    const asked = prober(t, NEVER_LATE_MS, clock);
    assert.deepEqual(asked.pids, []);
    await asked.checkMount("1", folder, 600_000);
    const first = soleChild(asked);
    await clock.advance(59_000);
    await asked.checkMount("2", folder, 600_000);
    await clock.advance(59_000);
    assert.equal(soleChild(asked), first);
    await clock.advance(1_000);
    await eventually(() => isGone(first) && asked.pids.length === 0);
    const check = await asked.checkMount("3", folder, 600_000);
    assert.ok(check.state === "answered" && check.errno === null);
  });

  it("a query in the very turn that would end it for being idle is answered", async (t) => {
    const folder = await temporaryFolder(t);
    const clock = createManualClock();
    const answers: Promise<MountCheck>[] = [];
    const asked = prober(t, NEVER_LATE_MS, {
      ...clock,
      setTimer: (ms, run) =>
        clock.setTimer(ms, () => {
          if (ms === 60_000) answers.push(asked.checkMount("2", folder, 600_000));
          run();
        }),
    });
    await asked.checkMount("1", folder, 600_000);
    await clock.advance(60_000);
    const [look] = await eventually(() => asked.lastCheck("2").state === "answered" && answers);
    assert.equal((await look)?.state, "answered");
  });

  it("one that ends while idle is not started again before the next query", async (t) => {
    const folder = await temporaryFolder(t);
    const clock = createManualClock();
    const asked = prober(t, NEVER_LATE_MS, clock);
    await asked.checkMount("1", folder, 600_000);
    process.kill(soleChild(asked), "SIGKILL");
    await eventually(() => asked.pids.length === 0);
    await clock.advance(60_000);
    assert.deepEqual(asked.pids, []);
    assert.equal((await asked.checkMount("1", folder, 600_000)).state, "answered");
  });

  it("none outlives a daemon that is killed", async (t) => {
    const source = fileURLToPath(new URL("../../../src/shares/prober/prober-process.ts", import.meta.url));
    const program = `
      const { startProber } = await import(${JSON.stringify(source)});
      const nothing = () => {};
      const prober = startProber({ clock: { monotonicMs: () => 0, setTimer: (ms, run) => { if (ms === 1) run(); return { [Symbol.dispose]() {} }; } }, logger: { warn: nothing, info: nothing } });
      await prober.folderExists("/", 1);
      console.log(prober.pids[0]);
      setInterval(nothing, 1000);`;
    const daemon: ChildProcess = spawn(process.execPath, ["--input-type=module", "-e", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(() => daemon.kill("SIGKILL"));
    assert.ok(daemon.stdout);
    const [line] = await once(daemon.stdout, "data");
    const pid = Number(String(line));
    assert.ok(pid > 0 && !isGone(pid));
    daemon.kill("SIGKILL");
    await eventually(() => isGone(pid));
  });

  it("Ctrl-C does not reach it: it has its own session", { skip: LINUX_ALONE }, async (t) => {
    const asked = prober(t);
    assert.ok(await asked.folderExists("/", PATIENT_MS));
    const pid = soleChild(asked);
    await eventually(async () => {
      const stat = await readFile(`/proc/${pid}/stat`, "utf8");
      return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[3] === String(pid);
    });
  });

  it("disposal answers all waiting queries and ends the child", async (t) => {
    const folder = await temporaryFolder(t);
    const asked = prober(t);
    const look = asked.checkMount("1", folder, 60_000);
    const pid = soleChild(asked);
    const links = asked.readLinks([folder], 60_000);
    const files = asked.openFiles([folder], [], 60_000);
    await asked[Symbol.asyncDispose]();
    assert.equal((await look).state, "pending");
    assert.equal((await links)[0]?.state, "unknown");
    assert.equal((await files)[0]?.ok, false);
    await eventually(() => isGone(pid));
    assert.equal((await asked.checkMount("2", folder, 60_000)).state, "never");
    assert.equal(await asked.folderExists(folder, 60_000), null);
  });
});

describe("a mount that hangs", { skip: missingForFuse() ?? false }, () => {
  const ends = new AsyncDisposableStack();
  let folder: string;
  let hung: LocalFuseMount;
  before(async () => {
    folder = await temporaryFolder({ after: (end) => ends.defer(async () => void (await end())) });
    hung = ends.use(await mountLocalFuse(folder));
  });
  afterEach(() => hung.goOn());
  after(() => ends.disposeAsync());

  it("A2 marks itself, delays no other, and is not checked again until it answers", async (t) => {
    const asked = prober(t, SOON_LATE_MS);
    assert.ok((await asked.checkMount("hung", hung.path, PATIENT_MS)).state === "answered");
    // Where the machine is so slow that a sound look was late, a fresh child has come.
    await eventually(() => asked.pids.length === 1);
    const first = soleChild(asked);
    await hung.hang();
    const late = asked.checkMount("hung", hung.path, 50);
    const other = await asked.checkMount("other", folder, PATIENT_MS);
    assert.equal(other.state, "answered");
    assert.equal(asked.lastCheck("hung").state, "pending", "the other did not wait for it");
    assert.equal((await late).state, "pending");
    await eventually(() => asked.pids.length === 2);
    const since = asked.lastCheck("hung");
    // Marked: known at once, however long one would wait; and no second child hangs in it.
    assert.deepEqual(await asked.checkMount("hung", hung.path, 60_000), since);
    assert.equal((await asked.checkMount("other", folder, PATIENT_MS)).state, "answered");
    await eventually(() => asked.pids.length === 2);
    hung.goOn();
    await eventually(() => asked.lastCheck("hung").state === "answered");
    await eventually(() => asked.pids.length === 1 && isGone(first));
    const again = await asked.checkMount("hung", hung.path, PATIENT_MS);
    assert.ok(again.state === "answered" && again.errno === null);
  });

  it("A2 a local share's folders on it do not delay a check of another share's", async (t) => {
    await hung.hang();
    // Nothing is late before the other has answered.
    const asked = prober(t, 2 * PATIENT_MS);
    const held = ["tb", "fallback"].map((name) => asked.folderExists(join(hung.path, name), 10));
    assert.equal(await asked.folderExists(folder, PATIENT_MS), true);
    assert.deepEqual(await Promise.all(held), [null, null]);
  });

  it("more hung mounts than there are threads still leave threads for the rest", async (t) => {
    const asked = prober(t, SOON_LATE_MS);
    await hung.hang();
    const ids = Array.from({ length: 20 }, (_, index) => `hung${index}`);
    const looks = ids.map((id) => asked.checkMount(id, hung.path, 10));
    const other = asked.checkMount("other", folder, PATIENT_MS);
    await Promise.all(looks);
    assert.equal((await other).state, "answered");
    // Eight hang in a child at most, and one is fresh.
    await eventually(() => asked.pids.length >= 4);
    assert.ok(ids.every((id) => asked.lastCheck(id).state === "pending"));
    hung.goOn();
    await eventually(() => ids.every((id) => asked.lastCheck(id).state === "answered"));
    await eventually(() => asked.pids.length === 1);
  });

  it("however often paths are resolved, few processes hang in it, and other folders are checked", async (t) => {
    const asked = prober(t, SOON_LATE_MS);
    await hung.hang();
    const at = (index: number): string[] => [hung.path, join(hung.path, `${index}`)];
    // Longer than until they are late.
    const burst = Array.from({ length: 12 }, (_, index) => asked.resolvePaths(at(index), 4 * SOON_LATE_MS));
    assert.deepEqual(new Set(await Promise.all(burst)), new Set([null]));
    for (let index = 12; index < 24; index++)
      assert.equal(await asked.resolvePaths(at(index), 4 * SOON_LATE_MS), null);
    assert.ok(asked.pids.length <= 6, `${asked.pids.length} processes`);
    assert.deepEqual(await asked.resolvePaths(["/"], PATIENT_MS), [{ at: "/", exists: true }]);
    hung.goOn();
    await eventually(async () => (await asked.resolvePaths(at(0), PATIENT_MS))?.length === 2);
    await eventually(() => asked.pids.length === 1);
  });

  it("a check that is forgotten at once never begins, and occupies no process", async (t) => {
    const clock = createManualClock();
    const asked = prober(t, SOON_LATE_MS, clock);
    await hung.hang();
    const forgotten = asked.checkMount("forgotten", hung.path, PATIENT_MS);
    asked.forget("forgotten");
    await forgotten;
    assert.equal(clock.pendingTimers, 0);
    void asked.checkMount("hung", hung.path, PATIENT_MS);
    await eventually(() => asked.pids.length === 2);
    asked.forget("hung");
    await eventually(() => asked.pids.length === 1);
  });

  it("however often a file on it is queried, one process hangs in it", async (t) => {
    const asked = prober(t, SOON_LATE_MS);
    await hung.hang();
    const ask = (waitMs: number) => asked.checkFile(join(hung.path, "file"), waitMs);
    await ask(10);
    await eventually(() => asked.pids.length === 2);
    // Known at once, however long one would wait.
    for (let times = 0; times < 3; times++) assert.equal(await ask(PATIENT_MS), null);
    assert.equal(await asked.folderExists(folder, PATIENT_MS), true);
    assert.equal(asked.pids.length, 2);
    hung.goOn();
    await eventually(() => asked.pids.length === 1);
  });

  it("once forgotten its child is ended, and it may be checked under a new id", async (t) => {
    const own = await temporaryFolder(t);
    const asked = prober(t, SOON_LATE_MS);
    {
      await using mount = await mountLocalFuse(own);
      await asked.checkMount("old", mount.path, PATIENT_MS);
      await mount.hang();
      await asked.checkMount("old", mount.path, 10);
      await eventually(() => asked.pids.length === 2);
      const waiting = asked.checkMount("old", mount.path, 60_000);
      asked.forget("old");
      assert.deepEqual(asked.lastCheck("old"), { state: "never" });
      await waiting;
    }
    await eventually(() => asked.pids.length === 1);
    await using renewed = await mountLocalFuse(own);
    const check = await asked.checkMount("new", renewed.path, PATIENT_MS);
    assert.ok(check.state === "answered" && check.errno === null);
  });

  it("A7 open files are found on it all the same", async (t) => {
    await writeFile(join(hung.path, "held"), "data");
    const holder = spawn("tail", ["-f", join(hung.path, "held")], { stdio: "ignore", cwd: hung.path });
    t.after(() => holder.kill("SIGKILL"));
    const asked = prober(t, SOON_LATE_MS);
    await eventually(async () => {
      const [answer] = await asked.openFiles([hung.path], [], PATIENT_MS);
      return answer?.ok && answer.files.some(({ how }) => how === "fd");
    });
    await hung.hang();
    const answer = await eventually(async () => {
      const [found] = await asked.openFiles([hung.path], [], PATIENT_MS);
      return found?.ok && found;
    });
    const ours = answer.files
      .filter(({ pid }) => pid === holder.pid)
      .map(({ how, path, command }) => ({ how, path, command }));
    assert.deepEqual(ours, [
      { how: "fd", path: join(hung.path, "held"), command: "tail" },
      { how: "cwd", path: hung.path, command: "tail" },
    ]);
    const except = holder.pid === undefined ? [] : [holder.pid];
    const without = await eventually(async () => {
      const [found] = await asked.openFiles([hung.path], except, PATIENT_MS);
      return found?.ok && found;
    });
    assert.deepEqual(without.files, []);
  });

  it("a daemon killed while a check hangs leaves no prober once the mount is gone", {
    timeout: 110_000,
  }, async () => {
    await hung.hang();
    const asked = startProber({ clock: systemClock, logger: noopLogger, checkDeadlineMs: SOON_LATE_MS });
    await asked.checkMount("hung", hung.path, 10);
    await eventually(() => asked.pids.length === 2);
    const pids = [...asked.pids];
    await asked[Symbol.asyncDispose]();
    hung.goOn();
    await eventually(() => pids.every(isGone));
  });
});
