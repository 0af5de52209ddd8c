// How a mount is looked at on each system. What a server answers to, only a mount can show; here are the folders that
// answer as one would.
import assert from "node:assert/strict";
import { chmod, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { lookAtMount } from "../../../src/shares/prober/mount-look.ts";
import { createLookAtMountDarwin, lookAtMountDarwin } from "../../../src/shares/prober/mount-look-darwin.ts";
import { type LookAtMount, lookAtMountLinux } from "../../../src/shares/prober/mount-look-linux.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const NOBODY = 65_534;

const looked = (look: LookAtMount, path: string): Promise<string | null> =>
  new Promise((resolve) => look(path, resolve));

for (const [system, look] of [
  ["linux", lookAtMountLinux],
  ["darwin", lookAtMountDarwin],
] as const) {
  describe(`a look on ${system}`, () => {
    it("A2 a root that answers and can be listed is alive, empty or not, and is left as it was", async (t) => {
      const folder = await temporaryFolder(t);
      assert.equal(await looked(look, folder), null);
      await writeFile(join(folder, "a file"), "");
      assert.equal(await looked(look, folder), null);
      assert.deepEqual(await readdir(folder), ["a file"]);
    });

    it("A2 a root that is gone, or is no folder, is told by its errno", async (t) => {
      const folder = await temporaryFolder(t);
      await writeFile(join(folder, "a file"), "");
      assert.equal(await looked(look, join(folder, "missing")), "ENOENT");
      assert.equal(await looked(look, join(folder, "a file")), "ENOTDIR");
    });

    it("A2 a root is looked at anew each time, whether it held few entries or many, and is told when it is gone", async (t) => {
      const folder = join(await temporaryFolder(t), "root");
      for (const count of [3, 600, 3]) {
        await mkdir(folder);
        for (let index = 0; index < count; index++) await writeFile(join(folder, `${index}`), "");
        for (let times = 0; times < 3; times++) assert.equal(await looked(look, folder), null);
        await rm(folder, { recursive: true });
        for (let times = 0; times < 2; times++) assert.equal(await looked(look, folder), "ENOENT");
      }
    });

    it("A2 a root that may not be read says so", async (t) => {
      const parent = await temporaryFolder(t);
      await chmod(parent, 0o711);
      const folder = join(parent, "closed");
      await mkdir(folder);
      await chmod(folder, 0o111);
      // Root may read everything: somebody else looks for it.
      const isRoot = process.getuid?.() === 0;
      if (isRoot) process.seteuid?.(NOBODY);
      try {
        assert.equal(await looked(look, folder), "EACCES");
      } finally {
        if (isRoot) process.seteuid?.(0);
      }
      await chmod(folder, 0o700);
    });
  });
}

describe("a look on darwin, over a client that answers as it is told", () => {
  const failure = (code: string): NodeJS.ErrnoException => Object.assign(new Error(code), { code });

  async function lookedOver(nameAnswers: string | null, listAnswers: string | null) {
    const asked: string[] = [];
    const look = createLookAtMountDarwin(
      (path, answer) => {
        asked.push(path);
        answer(nameAnswers === null ? null : failure(nameAnswers));
      },
      (path, done) => {
        asked.push(path);
        done(listAnswers);
      },
    );
    return { errno: await looked(look, "/Volumes/CORE"), asked };
  }

  it("A2 each look asks for a name that was never asked for, before it lists", async () => {
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

  it("A2 a mount that may not be listed is told as that, though the server answers", async () => {
    assert.equal((await lookedOver("ENOENT", "EPERM")).errno, "EPERM");
    assert.equal((await lookedOver("ENOENT", "EACCES")).errno, "EACCES");
    assert.equal((await lookedOver("EPERM", null)).errno, "EPERM");
  });
});

it("A2 the look is the one of this system", () => {
  assert.equal(lookAtMount, process.platform === "darwin" ? lookAtMountDarwin : lookAtMountLinux);
});
