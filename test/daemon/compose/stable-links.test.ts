import assert from "node:assert/strict";
import { mkdir, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { createStableLinks } from "../../../src/daemon/compose/stable-links.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import type { Prober } from "../../../src/shares/prober/prober.ts";
import { fileProber } from "../../support/file-prober.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { specOf } from "../shares.ts";

// Its clock stands still: however busy the machine is, no look is late.
const proberOfFile = fileProber({ clock: createManualClock(), logger: silentLogger });

async function scene(t: TestContext) {
  const prober = proberOfFile();
  const folder = await temporaryFolder(t);
  let looks = 0;
  const counting: Prober = {
    ...prober,
    readLink(path, waitMs) {
      looks += 1;
      return prober.readLink(path, waitMs);
    },
  };
  const clock = createManualClock();
  const spec = specOf({
    mountPath: join(folder, "volumes", "CORE"),
    stablePath: join(folder, "Shares", "CORE"),
  });
  const { ensure, ensureNow, look } = createStableLinks(clock, counting);
  return {
    folder,
    clock,
    spec,
    ensure,
    ensureNow,
    look,
    link: () => readlink(spec.stablePath),
    looks: () => looks,
  };
}

test("a link that is missing is made, with its folder", async (t) => {
  const { spec, ensure, link } = await scene(t);
  assert.equal(await ensure(spec, spec.mountPath), null);
  assert.equal(await link(), spec.mountPath);
});

test("a link that was right is not looked at again for two seconds, then mended", async (t) => {
  const { spec, ensure, link, looks, clock } = await scene(t);
  await ensure(spec, spec.mountPath);
  await rm(spec.stablePath);
  assert.equal(ensure(spec, spec.mountPath), null, "at once, without a promise");
  assert.equal(looks(), 1);
  await clock.advance(2_000);
  assert.equal(await ensure(spec, spec.mountPath), null);
  assert.equal(await link(), spec.mountPath);
});

test("another target is not put off: the link follows an adopted mount, and comes back", async (t) => {
  const { folder, spec, ensure, link } = await scene(t);
  await ensure(spec, spec.mountPath);
  const adopted = join(folder, "media", "core");
  assert.equal(await ensure(spec, adopted), null);
  assert.equal(await link(), adopted);
  assert.equal(await ensure(spec, spec.mountPath), null);
  assert.equal(await link(), spec.mountPath);
});

test("A6 after the mount path was changed the old link is still ours", async (t) => {
  const { folder, spec, ensure, link } = await scene(t);
  await ensure(spec, spec.mountPath);
  const moved = { ...spec, mountPath: join(folder, "elsewhere", "CORE") };
  assert.equal(await ensure(moved, moved.mountPath), null);
  assert.equal(await link(), moved.mountPath);
});

test("A6 after the link's own path was changed there is a new one, and the old one is left", async (t) => {
  const { folder, spec, ensure, link } = await scene(t);
  await ensure(spec, spec.mountPath);
  const moved = { ...spec, stablePath: join(folder, "Other", "CORE") };
  assert.equal(await ensure(moved, moved.mountPath), null);
  assert.equal(await readlink(moved.stablePath), spec.mountPath);
  assert.equal(await link(), spec.mountPath);
});

for (const [what, make] of [
  ["a file", (path: string) => writeFile(path, "mine")],
  ["a folder", (path: string) => mkdir(path)],
  ["a link to something else", (path: string) => symlink("/etc", path)],
] as const) {
  test(`${what} in its place blocks it, is named, left as it is, and looked at each time`, async (t) => {
    const { folder, spec, ensure, looks } = await scene(t);
    await mkdir(join(folder, "Shares"));
    await make(spec.stablePath);
    for (const look of [1, 2]) {
      assert.match((await ensure(spec, spec.mountPath)) ?? "", /Shares\/CORE is a/);
      assert.equal(looks(), look);
    }
    await rm(spec.stablePath, { recursive: true });
    assert.equal(await ensure(spec, spec.mountPath), null);
  });
}

test("whoever asks in person has it looked at and mended at once", async (t) => {
  const { spec, ensure, ensureNow, link } = await scene(t);
  await ensure(spec, spec.mountPath);
  await rm(spec.stablePath);
  assert.equal(await ensureNow(spec, spec.mountPath), null);
  assert.equal(await link(), spec.mountPath);
});

test("a look tells what is wrong and changes nothing", async (t) => {
  const { folder, spec, ensure, look, link } = await scene(t);
  assert.equal(await look(spec, null), null, "nothing is mounted, and nothing is in the way");
  assert.equal(await look(spec, spec.mountPath), `${spec.stablePath} is missing`);
  await assert.rejects(link(), { code: "ENOENT" });
  await ensure(spec, spec.mountPath);
  assert.equal(await look(spec, spec.mountPath), null);
  const adopted = join(folder, "media", "core");
  assert.equal(await look(spec, adopted), `${spec.stablePath} is a link to ${spec.mountPath}`);
  await rm(spec.stablePath);
  await writeFile(spec.stablePath, "mine");
  for (const mountedAt of [null, spec.mountPath]) {
    assert.equal(await look(spec, mountedAt), `${spec.stablePath} is a file`);
  }
});
