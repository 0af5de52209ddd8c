// What rclone is started with: its version, its config and arguments, and the note of its process.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, copyFile, cp, mkdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext, test } from "node:test";
import { entryExists } from "../../../../src/runtime/files/durable-file.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { startDetached } from "../../../../src/runtime/process/child-process.ts";
import { isRunning } from "../../../../src/runtime/process/process-identity.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { whyClosed } from "../../../../src/shares/drivers/fuse.ts";
import { type AttemptTools, attemptMount } from "../../../../src/shares/drivers/rclone/attempt.ts";
import { createRcloneCheck } from "../../../../src/shares/drivers/rclone/available.ts";
import {
  configText,
  mountArguments,
  RCLONE_PROGRAM,
  rcloneFiles,
} from "../../../../src/shares/drivers/rclone/files.ts";
import { createRcloneDriver } from "../../../../src/shares/drivers/rclone/rclone.ts";
import { createRcloneUnmount } from "../../../../src/shares/drivers/rclone/unmount.ts";
import {
  createServingProcesses,
  listServing,
  parseProcessRecord,
  readProcessRecord,
} from "../../../../src/shares/drivers/serving-processes.ts";
import { createMountTable } from "../../../../src/shares/mounts/mount-table.ts";
import { fileProber } from "../../../support/file-prober.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import { pluck } from "../../../support/pluck.ts";
import { preferSystemRclone } from "../../../support/system-rclone.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { mountTmpfs } from "../../../support/tiny-disk.ts";
import { routeTo, shareSpec } from "../../share-spec.ts";
import { limits } from "../driver-contract.ts";
import { noSkip } from "./bench.ts";

/** Nothing is installed in it. */
const NO_HOME = "/nowhere";

interface Programs {
  readonly folder: string;
  /** Puts one there as package managers do. */
  put(name: string, script: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** How often rclone was asked for its version. */
  asked(): Promise<number>;
}

/** Programs of our own, and no others on PATH. */
async function ownPrograms(t: TestContext): Promise<Programs> {
  const folder = await temporaryFolder(t);
  preferSystemRclone(t);
  const path = process.env["PATH"];
  t.after(() => {
    process.env["PATH"] = path;
  });
  process.env["PATH"] = folder;
  const calls = join(folder, "calls");
  await writeFile(calls, "");
  const self: Programs = {
    folder,
    async put(name, script) {
      const file = join(folder, `${name}.new`);
      await writeFile(file, `#!/bin/sh\necho called >>${calls}\n${script}\n`);
      await chmod(file, 0o755);
      await rename(file, join(folder, name));
    },
    remove: (name) => rm(join(folder, name)),
    asked: async () => (await readFile(calls, "utf8")).split("\n").length - 1,
  };
  await self.put("rclone", version("1.60.1"));
  await self.put("fusermount3", "exit 0");
  return self;
}

const version = (text: string): string => `echo rclone v${text}`;

describe("requirements of mounting with rclone", noSkip, () => {
  it("is not checked again where an earlier answer will do, as long as nothing was missing then", async (t) => {
    const programs = await ownPrograms(t);
    const clock = createManualClock();
    const check = createRcloneCheck(clock, NO_HOME);
    assert.equal(await check.missingRequirement(), null);
    await programs.remove("rclone");
    assert.equal(await check.missingRequirement(clock.monotonicMs()), null, "it was there then");
    await clock.advance(1);
    assert.equal((await check.missingRequirement(clock.monotonicMs()))?.text, "rclone is not installed");
    await programs.put("rclone", version("1.71.0"));
    await clock.advance(1);
    assert.equal(await check.missingRequirement(), null, "what was missing is looked for again");
  });

  it("is searched for each time, and a program is asked for its version once", async (t) => {
    const programs = await ownPrograms(t);
    const check = createRcloneCheck(systemClock, NO_HOME);
    assert.equal(await check.missingRequirement(), null);
    assert.equal(await check.missingRequirement(), null);
    assert.equal(await programs.asked(), 1);
    await programs.remove("rclone");
    assert.equal((await check.missingRequirement())?.text, "rclone is not installed");
    await programs.put("rclone", version("1.71.0"));
    assert.equal(await check.missingRequirement(), null);
    assert.equal(await programs.asked(), 2, "another program");
    await programs.remove("fusermount3");
    assert.equal((await check.missingRequirement())?.text, "fusermount3 is not installed");
    await programs.put("fusermount3", "exit 0");
    await programs.put("rclone", version("1.59.2"));
    assert.equal((await check.missingRequirement())?.text, "rclone 1.59 cannot speak SMB");
    assert.match((await check.missingRequirement())?.hint ?? "", /1\.60/);
  });

  it("includes a program that appears earlier on PATH, within a minute", async (t) => {
    const programs = await ownPrograms(t);
    const earlier = await temporaryFolder(t);
    process.env["PATH"] = `${earlier}:${programs.folder}`;
    const clock = createManualClock();
    const check = createRcloneCheck(clock, NO_HOME);
    assert.equal(await check.missingRequirement(), null);
    assert.equal(check.version?.minor, 60);
    const file = join(earlier, "rclone");
    await writeFile(file, "#!/bin/sh\necho rclone v1.71.0\n");
    await chmod(file, 0o755);
    await clock.advance(60_000);
    assert.equal(await check.missingRequirement(), null);
    assert.equal(check.version?.minor, 71);
  });

  it("includes a program that an upgrade has not finished", async (t) => {
    const programs = await ownPrograms(t);
    const check = createRcloneCheck(systemClock, NO_HOME);
    assert.equal(await check.missingRequirement(), null);
    await programs.put("rclone", "echo libfuse.so: cannot open shared object file >&2; exit 127");
    assert.equal(
      (await check.missingRequirement())?.text,
      "rclone does not run: libfuse.so: cannot open shared object file",
    );
    await writeFile(join(programs.folder, "rclone"), "#!/no/such/shell\n");
    assert.match((await check.missingRequirement())?.text ?? "", /^cannot start rclone: /);
    await rm(join(programs.folder, "rclone"));
    await symlink(join(programs.folder, "gone"), join(programs.folder, "rclone"));
    assert.equal((await check.missingRequirement())?.text, "rclone is not installed");
    await programs.put("gone", version("1.60.1"));
    assert.equal(await check.missingRequirement(), null);
  });

  it("does not include a program whose version cannot be read", async (t) => {
    const programs = await ownPrograms(t);
    await programs.put("rclone", "echo rclone DEV");
    const check = createRcloneCheck(systemClock, NO_HOME);
    assert.equal(await check.missingRequirement(), null);
  });

  it("is checked once for all shares of a beat", async (t) => {
    const programs = await ownPrograms(t);
    const check = createRcloneCheck(systemClock, NO_HOME);
    const beganAtMs = systemClock.monotonicMs();
    const answers = [1, 2, 3].map(() => check.missingRequirement(beganAtMs));
    assert.deepEqual(await Promise.all(answers), [null, null, null]);
    assert.equal(await programs.asked(), 1);
  });
});

it("a missing device is not an inaccessible one", async (t) => {
  const folder = await temporaryFolder(t);
  assert.equal(await whyClosed(folder), null);
  const lacking = await whyClosed(join(folder, "none"));
  assert.ok(lacking !== null);
  assert.match(lacking.text, /none cannot be opened \(ENOENT\)/);
});

const route = routeTo("nas.local", { port: 4450 });
const share = shareSpec({
  username: "anna",
  password: "secret",
  routes: { tb: route, fallback: routeTo("fe80::1") },
});

describe("the config", () => {
  it("differs between routes only in host and port, so that unsent writes are found again", () => {
    const [tb, fallback] = [
      configText(share, share.routes.tb, "obscured"),
      configText(share, share.routes.fallback, "obscured"),
    ];
    const without = (text: string): string => text.replace(/^(host|port) = .*$/gm, "");
    assert.equal(without(tb), without(fallback));
    assert.match(tb, /^host = nas\.local\nport = 4450$/m);
    assert.match(fallback, /^host = \[fe80::1\]\nport = 445$/m);
  });

  it("keeps odd users whole, splits off domains, and names a guest", () => {
    const userOf = (username: string): string[] =>
      configText({ ...share, username }, route, "x")
        .split("\n")
        .filter((line) => /^(user|domain) =/.test(line));
    assert.deepEqual(userOf(" anna;`x` "), ['user = """`x` """', 'domain = """ anna"""']);
    assert.deepEqual(userOf("WORK\\anna"), ['user = """anna"""', 'domain = """WORK"""']);
    assert.deepEqual(userOf("anna@example.org"), ['user = """anna@example.org"""']);
    const guest = configText(share, route, null);
    assert.match(guest, /^user = """guest"""$/m);
    assert.ok(!guest.includes("pass"));
  });

  it("has no password in the arguments, and the route as the mount table will show it", () => {
    const args = mountArguments(share, route, "/v/CORE", rcloneFiles("/home", "CORE"));
    assert.ok(!args.join(" ").includes("secret"));
    assert.equal(args[args.indexOf("--devname") + 1], "//nas.local:4450/CORE");
  });

  it("mounts with the engine in the cheaper mode, which other rclones handle badly", () => {
    const verb = (engine: number | null): string | undefined =>
      mountArguments(share, route, "/v/CORE", rcloneFiles("/home", "CORE"), null, {
        major: 1,
        minor: 76,
        engine,
      })[0];
    assert.deepEqual([verb(1), verb(null)], ["mount2", "mount"]);
  });

  it("A11 closes a cached file at once where rclone would overwrite its successor's metadata on a later close", () => {
    const argsOf = (minor: number): readonly string[] =>
      mountArguments(share, route, "/v/CORE", rcloneFiles("/home", "CORE"), null, {
        major: 1,
        minor,
        engine: null,
      });
    const args = argsOf(74);
    assert.equal(args[args.indexOf("--vfs-handle-caching") + 1], "0s");
    assert.ok(!argsOf(73).includes("--vfs-handle-caching"), "an unknown option keeps rclone from starting");
  });
});

describe("the record of the process that serves a mount", () => {
  it("is invalid in a copy of its home, and stays valid in a home that is moved", async (t) => {
    const folder = await temporaryFolder(t);
    const [home, copy, moved] = [join(folder, "home"), join(folder, "copy"), join(folder, "moved")];
    const files = rcloneFiles(home, "CORE");
    const note = {
      ...{ pid: 5, startTime: "77", mountPath: "/v/CORE", carriedPort: null, pinned: false },
      ...{ server: "0af3", folder: files.folder },
    };
    await mkdir(files.folder, { recursive: true });
    await writeFile(files.process, JSON.stringify(note));
    await cp(home, copy, { recursive: true });
    assert.deepEqual(await readProcessRecord(files), note);
    assert.equal(await readProcessRecord(rcloneFiles(copy, "CORE")), null);
    await rename(home, moved);
    assert.deepEqual(await readProcessRecord(rcloneFiles(moved, "CORE")), note);
  });

  it("is read back, and nothing else is taken for one", () => {
    const note = { pid: 5, startTime: "77", mountPath: "/v/CORE", server: "0af3" };
    for (const carried of [
      { carriedPort: null, pinned: false },
      { carriedPort: 4450, pinned: true, engine: 3 },
    ])
      assert.deepEqual(parseProcessRecord(JSON.stringify({ ...note, ...carried })), { ...note, ...carried });
    for (const text of [
      null,
      "",
      "{",
      "[]",
      "null",
      "5",
      '{"pid":"5","startTime":"7","mountPath":"/"}',
      '{"pid":5}',
    ]) {
      assert.equal(parseProcessRecord(text), null, String(text));
    }
  });
});

for (const verb of ["mount", "mount2"])
  test(`A13 a ${verb} that was started and not recorded is recognized by its arguments, and so is the server whose cache it has`, async (t) => {
    const folder = await temporaryFolder(t);
    const own = rcloneFiles(folder, "CORE", "0123456789abcdef");
    await mkdir(own.folder, { recursive: true });
    // A shell by that name, which reads a line and ends.
    const program = join(folder, "rclone");
    await copyFile("/bin/sh", program);
    const script = ["-c", "read line", verb, "share:core", join(folder, "volumes/CORE")];
    const child = spawn(program, [...script, "--config", own.config, "--cache-dir", own.cache], {
      stdio: ["pipe", "ignore", "ignore"],
    });
    t.after(() => child.kill("SIGKILL"));
    await once(child, "spawn");
    // What it replaced has left its note.
    const ended = { pid: 2 ** 22 + 1, startTime: "b:1" };
    const note = { ...ended, mountPath: "/mnt", carriedPort: null, pinned: false, server: "first" };
    await writeFile(own.process, JSON.stringify(note));
    const share = { shareName: "CORE", files: rcloneFiles(folder, "CORE") };
    const serving = createServingProcesses(RCLONE_PROGRAM);
    const found = await serving.newest(share);
    assert.deepEqual([found?.server, found?.mountPath], [own.server, join(folder, "volumes/CORE")]);
    assert.deepEqual(pluck(await serving.running(share), "pid"), [child.pid]);
    child.stdin?.end();
    await once(child, "exit");
    // Nobody serves it now: the note is what is known.
    assert.equal((await createServingProcesses(RCLONE_PROGRAM).newest(share))?.server, "first");
  });

/** What serves CORE, with a process that stands for rclone. */
async function serve(t: TestContext) {
  const files = rcloneFiles(await temporaryFolder(t), "CORE", "0123456789abcdef");
  await mkdir(files.folder, { recursive: true });
  const serving = createServingProcesses(RCLONE_PROGRAM);
  const place = { shareName: "CORE", files, mountPath: "/v/CORE" };
  const begin = async () => {
    const own = await startDetached("sleep", ["60"], { logPath: null });
    const identity = await serving.started(place, own, null, "", null);
    const end = async () => {
      process.kill(own.pid, "SIGKILL");
      await own.exited;
      await settle();
    };
    t.after(() => {
      try {
        process.kill(own.pid, "SIGKILL");
      } catch {
        // It has ended.
      }
    });
    return { own, identity, end };
  };
  const at = (id: string) =>
    serving.of(place, { id, path: "/v/CORE", type: "fuse.rclone", source: "x", options: [], deviceMinor: 0 });
  return { serving, place, files, begin, at };
}

test("A11 a process that no longer serves anything writes its metadata before it is ended", async (t) => {
  const { serving, place, begin } = await serve(t);
  const { own, identity } = await begin();
  assert.ok(identity !== null);
  const written: unknown[] = [];
  const unmounts = createRcloneUnmount({
    ...{ clock: systemClock, logger: noopLogger, serving },
    // What it asks of the others is about mounts, and there is none.
    prober: undefined as never,
    mountTable: undefined as never,
    unsent: undefined as never,
    flusher: {
      hasMetadata: async () => true,
      async writeMetadata({ pid }, which) {
        written.push([pid, which, await isRunning(identity)]);
        return { due: 1, written: 1 };
      },
    },
  });
  assert.equal(await unmounts.endLeftovers(place, 10_000), true);
  assert.deepEqual(written, [[own.pid, "all", true]]);
  assert.equal(await isRunning(identity), false);
});

test("A2 the exit of a share's process is reported, unless it was asked to exit or was replaced", async (t) => {
  const { serving, place, files, begin } = await serve(t);
  const told: string[] = [];
  const unregister = serving.onUnexpectedExit((share) => told.push(share));
  const [replaced, asked] = [await begin(), await begin()];
  await replaced.end();
  serving.ending("CORE", true);
  await asked.end();
  assert.deepEqual(told, []);
  const crashed = await begin();
  serving.ending("CORE", true);
  serving.ending("CORE", false);
  assert.deepEqual(pluck(await serving.running(place), "pid"), [crashed.identity?.pid]);
  await crashed.end();
  assert.deepEqual(told, ["CORE"]);
  assert.deepEqual([await serving.newestRunning(place), await serving.running(place)], [null, []]);
  assert.ok((await serving.newest(place)) !== null, "it is known which one has exited");
  unregister();
  await (await begin()).end();
  assert.deepEqual(told, ["CORE"]);
  await serving.ended(place);
  assert.equal(await serving.started(place, crashed.own, null, "", null), null, "it has exited already");
  assert.deepEqual([await serving.newest(place), await readProcessRecord(files)], [null, null]);
});

test("A2 a mount's process is gone once that has exited, and one that served a mount serves no other at its path", async (t) => {
  const { begin, at } = await serve(t);
  const unseen = await begin();
  await unseen.end();
  assert.deepEqual(await at("0"), {
    ...{ identity: null, gone: true, own: true },
    ...{ carriedPort: null, pinned: false, server: null },
  });
  const { identity, end } = await begin();
  const { gone, own, server, identity: found } = await at("1");
  assert.deepEqual([found, gone, own, server], [identity, false, true, "0123456789abcdef"]);
  const other = await at("2");
  assert.deepEqual([other.identity, other.gone], [null, false]);
  await end();
  const ended = await at("1");
  assert.deepEqual([ended.identity, ended.gone, ended.server], [null, true, "0123456789abcdef"]);
  assert.equal((await at("2")).gone, false);
});

test("What to mount: where the system lists no processes, like macOS, none of rclone's is found, and nothing fails", async (t) => {
  assert.deepEqual(await listServing(RCLONE_PROGRAM, join(await temporaryFolder(t), "proc")), []);
});

for (const { during, error } of [
  { during: "the folder is made", error: /EBUSY/ },
  { during: "rclone's files are written", error: /EISDIR/ },
]) {
  test(
    `A13 a share that another program mounts at the path just before ${during} stays mounted`,
    noSkip,
    async (t) => {
      const disk = await mountTmpfs(t, "size=1m");
      if (disk === null) return;
      const folder = await temporaryFolder(t);
      const stateFolder = join(folder, "home");
      const table = createMountTable({ clock: systemClock });
      let reads = 0;
      const driver = createRcloneDriver({
        clock: systemClock,
        logger: noopLogger,
        prober: fileProber({ clock: systemClock, logger: noopLogger, checkDeadlineMs: 500 })(),
        mountTable: {
          async read(notBeforeMs) {
            const entries = await table.read(notBeforeMs);
            reads += 1;
            return reads === 1 ? entries.filter(({ path }) => path !== disk) : entries;
          },
        },
        stateFolder,
        addressesOf: () => [],
      });
      const share = {
        ...shareSpec({ folder, routes: { tb: routeTo("127.0.0.1"), fallback: routeTo("127.0.0.2") } }),
        mountPath: disk,
      };
      // A folder in place of the config file, so that it cannot be written.
      if (during !== "the folder is made")
        await mkdir(rcloneFiles(stateFolder, share.name).config, { recursive: true });
      const outcome = await driver.mount(share, "tb", limits());
      assert.ok(!outcome.ok && error.test(outcome.text), JSON.stringify(outcome));
      assert.ok((await table.read(systemClock.monotonicMs())).some(({ path }) => path === disk));
    },
  );
}

test(
  "A13 a mount that another program makes at the path while rclone starts is not taken for the share",
  noSkip,
  async (t) => {
    const programs = await ownPrograms(t);
    await programs.put("rclone", `[ $1 = mount ] && exec /bin/sleep 60\n${version("1.71.0")}`);
    const folder = await temporaryFolder(t);
    const stateFolder = join(folder, "home");
    const share = shareSpec({ folder });
    const disk = {
      id: "1",
      path: share.mountPath,
      type: "tmpfs",
      source: "disk",
      options: [],
      deviceMinor: 0,
    };
    const { process: note } = rcloneFiles(stateFolder, share.name);
    const driver = createRcloneDriver({
      clock: systemClock,
      logger: noopLogger,
      prober: fileProber({ clock: systemClock, logger: noopLogger, checkDeadlineMs: 500 })(),
      mountTable: { read: async () => ((await entryExists(note)) ? [disk] : []) },
      stateFolder,
      addressesOf: () => [],
    });
    const outcome = await driver.mount(share, "tb", limits());
    assert.ok(!outcome.ok && outcome.reason === "path_taken", JSON.stringify(outcome));
    assert.match(outcome.text, /is a mount of disk/);
  },
);

for (const undone of [true, false]) {
  test(`A11 after a failed attempt ${undone ? "without" : "with"} a mount, ${undone ? "no program" : "a program"} can have written`, async (t) => {
    const folder = await temporaryFolder(t);
    const share = shareSpec({ folder, password: "secret" });
    let told = 0;
    const parts = {
      obscure: () => Promise.reject(new Error("no rclone")),
      unmounts: { undo: async () => undone },
      care: { neverMounted: () => void told++ },
      folders: { clear: async () => {} },
    };
    const paths = {
      shareName: share.name,
      files: rcloneFiles(folder, share.name),
      mountPath: share.mountPath,
    };
    // An attempt that fails before rclone is started uses no more than these.
    const tools = parts as unknown as AttemptTools;
    const outcome = await attemptMount(tools, { share, paths, route: "tb", through: null, ...limits() });
    assert.deepEqual([outcome.ok, told], [false, undone ? 1 : 0]);
  });
}
