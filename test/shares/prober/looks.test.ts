// How mounts and folders are looked at on each system.
import assert from "node:assert/strict";
import { chmod, mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { describe, it, type TestContext } from "node:test";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { spaceOf } from "../../../src/shares/prober/file-checks.ts";
import { checkFolder } from "../../../src/shares/prober/folder-check.ts";
import { checkMountDarwin, createCheckMountDarwin } from "../../../src/shares/prober/mount-check-darwin.ts";
import { checkMountLinux } from "../../../src/shares/prober/mount-check-linux.ts";
import { fileProber } from "../../support/file-prober.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const NOBODY = 65_534;

for (const [system, look] of [
  ["linux", checkMountLinux],
  ["darwin", checkMountDarwin],
] as const) {
  describe(`a mount check on ${system}`, () => {
    it("A2 a root that answers and can be listed is alive, empty or not, and stays unchanged", async (t) => {
      const folder = await temporaryFolder(t);
      assert.equal(await look(folder), null);
      await writeFile(join(folder, "a file"), "");
      assert.equal(await look(folder), null);
      assert.deepEqual(await readdir(folder), ["a file"]);
    });

    it("A2 a root that is gone, or is a file, is reported by its errno", async (t) => {
      const folder = await temporaryFolder(t);
      await writeFile(join(folder, "a file"), "");
      assert.equal(await look(join(folder, "missing")), "ENOENT");
      assert.equal(await look(join(folder, "a file")), "ENOTDIR");
    });

    it("A2 a root is checked each time, whether it had few entries or many, and is reported when it is gone", async (t) => {
      const folder = join(await temporaryFolder(t), "root");
      for (const count of [3, 600, 3]) {
        await mkdir(folder);
        for (let index = 0; index < count; index++) await writeFile(join(folder, `${index}`), "");
        for (let times = 0; times < 3; times++) assert.equal(await look(folder), null);
        await rm(folder, { recursive: true });
        for (let times = 0; times < 2; times++) assert.equal(await look(folder), "ENOENT");
      }
    });

    it("A2 an unreadable root is reported", async (t) => {
      const parent = await temporaryFolder(t);
      await chmod(parent, 0o711);
      const folder = join(parent, "closed");
      await mkdir(folder);
      await chmod(folder, 0o111);
      // Root may read everything: somebody else looks for it.
      const isRoot = process.getuid?.() === 0;
      if (isRoot) process.seteuid?.(NOBODY);
      try {
        assert.equal(await look(folder), "EACCES");
      } finally {
        if (isRoot) process.seteuid?.(0);
      }
      await chmod(folder, 0o700);
    });
  });
}

describe("a mount check on darwin, over a client that answers as scripted", () => {
  const failure = (code: string): NodeJS.ErrnoException => Object.assign(new Error(code), { code });

  async function lookedOver(nameAnswers: string | null, listAnswers: string | null) {
    const asked: string[] = [];
    const look = createCheckMountDarwin(
      async (path) => {
        asked.push(path);
        if (nameAnswers !== null) throw failure(nameAnswers);
      },
      async (path) => {
        asked.push(path);
        return listAnswers;
      },
    );
    return { errno: await look("/Volumes/CORE"), asked };
  }

  it("A2 each check asks for a name that was never requested, before it lists", async () => {
    const names = new Set<string>();
    for (let count = 0; count < 3; count++) {
      const { errno, asked } = await lookedOver("ENOENT", null);
      assert.equal(errno, null);
      assert.match(asked[0] ?? "", /^\/Volumes\/CORE\/\.mountaineer-look-[-0-9a-f]{36}$/);
      assert.equal(asked[1], "/Volumes/CORE");
      names.add(asked[0] ?? "");
    }
    assert.equal(names.size, 3);
  });

  it("A2 a listing from memory does not make a dead mount alive: the name's failure counts, and nothing is listed", async () => {
    for (const code of ["ETIMEDOUT", "ENOTCONN", "EIO", "EHOSTDOWN", "ESTALE"]) {
      const { errno, asked } = await lookedOver(code, null);
      assert.deepEqual([errno, asked.length], [code, 1]);
    }
  });

  it("A2 a mount that may not be listed is reported as unlistable, though the server answers", async () => {
    assert.equal((await lookedOver("ENOENT", "EPERM")).errno, "EPERM");
    assert.equal((await lookedOver("ENOENT", "EACCES")).errno, "EACCES");
    assert.equal((await lookedOver("EPERM", null)).errno, "EPERM");
  });
});

const proberOfFile = fileProber({ clock: systemClock, logger: noopLogger });

/** A share with a link to it, as people reach it. */
async function share(t: TestContext): Promise<{ folder: string; top: string; link: string }> {
  const folder = await temporaryFolder(t);
  const top = join(folder, "mount");
  const link = join(folder, "link");
  await mkdir(join(top, "a", "inner"), { recursive: true });
  await mkdir(join(top, "with space", ".hidden"), { recursive: true });
  await writeFile(join(top, "file"), "");
  await symlink(top, link);
  return { folder, top, link };
}

async function checked(root: string, subpath: string): Promise<string> {
  const check = await checkFolder(root, subpath);
  return check.state === "failed" ? check.errno : check.state;
}

test("a folder is found at the top and below; a file is reported as a file", async (t) => {
  const { link } = await share(t);
  assert.equal(await checked(link, "a"), "there");
  assert.equal(await checked(link, "with space/.hidden"), "there");
  assert.equal(await checked(link, "missing"), "ENOENT");
  assert.equal(await checked(link, "file"), "ENOTDIR");
  assert.equal(await checked(join(link, "..", "nowhere"), "a"), "ENOENT");
});

test("nothing outside of the share is entered, whatever leads there", async (t) => {
  const { folder, top, link } = await share(t);
  await mkdir(join(folder, "mount-beside", "x"), { recursive: true });
  await symlink("/etc", join(top, "absolute"));
  await symlink("../mount-beside", join(top, "relative"));
  await symlink(join(top, "a"), join(top, "inside"));
  await symlink("loop", join(top, "loop"));
  await symlink("..", join(top, "a", "up"));
  for (const outside of ["absolute", "relative", "relative/x", ".."])
    assert.equal(await checked(link, outside), "outside", outside);
  assert.equal(await checked(link, "loop"), "ELOOP");
  for (const inside of ["inside", "a/up/a"]) assert.equal(await checked(link, inside), "there", inside);
});

test("an unreadable folder is reported", async (t) => {
  const { top, link } = await share(t);
  await chmod(join(top, "a"), 0);
  assert.equal(await asNobody(() => checked(link, "a")), "EACCES");
  await chmod(join(top, "a"), 0o700);
});

/** Root reads everything; it looks as another user for that time. */
async function asNobody<T>(look: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return look();
  process.seteuid?.(65_534);
  try {
    return await look();
  } finally {
    process.seteuid?.(0);
  }
}

test("C4 the prober reports whether a folder exists", async (t) => {
  const { top, link } = await share(t);
  await symlink("/etc", join(top, "absolute"));
  const prober = proberOfFile();
  const look = (subpath: string) => prober.checkFolder(link, subpath, 5_000);
  assert.deepEqual(await Promise.all([look("a"), look("missing"), look("absolute")]), [
    { state: "there" },
    { state: "failed", errno: "ENOENT" },
    { state: "outside" },
  ]);
});

test("F4 free space is the space that a user may fill; a size of nothing, and 1 PiB or more of which all is free, are unknown", () => {
  const of = (blocks: number, bavail: number, bsize = 4096) => spaceOf({ bsize, blocks, bavail });
  assert.deepEqual(of(1000, 250), { free_bytes: 1_024_000, total_bytes: 4_096_000 });
  assert.deepEqual(of(1000, 0), { free_bytes: 0, total_bytes: 4_096_000 });
  assert.equal(of(0, 0), null);
  assert.equal(of(2 ** 38, 2 ** 38), null);
  assert.equal(of(2 ** 52, 2 ** 52), null);
  assert.notEqual(of(2 ** 38, 2 ** 37), null, "a server may be as large");
});
