import assert from "node:assert/strict";
import test from "node:test";
import { createShareFolders } from "../../../src/daemon/control/share-folders.ts";
import type { ShareView } from "../../../src/shares/engine/share-cycle.ts";
import type { FolderListing, Look } from "../../../src/shares/prober/prober.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { answered, foundMount, seenOf, viewOf } from "../shares.ts";

const NEVER = new AbortController().signal;

function mounted(look: Look = answered(null), changes: Parameters<typeof seenOf>[0] = {}): ShareView {
  return viewOf({ seen: seenOf({ mount: { found: foundMount(), look }, ...changes }) });
}

function scene(view: ShareView = mounted()) {
  const clock = createManualClock();
  const asked: string[] = [];
  const world: { view: ShareView; listing: FolderListing | null; lastLook: Look } = {
    view,
    listing: { state: "listed", folders: ["b10", "b9", "A"], truncated: false },
    lastLook: { state: "never" },
  };
  const folders = createShareFolders({
    clock,
    engine: { names: ["CORE", "MEDIA"], view: () => world.view, look: async () => mounted() },
    prober: {
      async folders(root, subpath) {
        asked.push(`${root} ${subpath}`);
        return world.listing;
      },
      lastLook: () => world.lastLook,
    },
  });
  return { clock, asked, world, ask: (subpath?: string) => folders(request(subpath), NEVER), folders };
}

function request(subpath: string | undefined) {
  return subpath === undefined ? { share: "CORE" } : { share: "CORE", subpath };
}

test("folders come sorted as people count, with the path below the stable link", async () => {
  const { ask, asked } = scene();
  assert.deepEqual(await ask("Film/2026/"), {
    share: "CORE",
    subpath: "Film/2026",
    path: "/home/ada/Shares/CORE/Film/2026",
    folders: ["A", "b9", "b10"],
    truncated: false,
  });
  assert.equal((await ask()).path, "/home/ada/Shares/CORE");
  assert.equal((await ask(".")).subpath, "");
  assert.deepEqual(asked, [
    "/home/ada/.mountaineer/volumes/CORE Film/2026",
    "/home/ada/.mountaineer/volumes/CORE ",
    "/home/ada/.mountaineer/volumes/CORE ",
  ]);
});

test("what leads out is refused before anything is asked", async () => {
  const { ask, asked } = scene();
  for (const subpath of ["..", "a/../..", "/etc", "~/x", "a//b", "a\0b", "./a"]) {
    await assert.rejects(ask(subpath), { code: "usage" }, subpath);
  }
  assert.deepEqual(asked, []);
});

test("an unknown share is told with what may have been meant", async () => {
  const { folders } = scene();
  await assert.rejects(folders({ share: "COER" }, NEVER), {
    code: "share_unknown",
    hint: /did you mean CORE\?/,
  });
});

test("a share that is not mounted is told, and the prober not asked: its link leads to a bare folder", async () => {
  const { ask, asked } = scene(viewOf({ seen: seenOf() }));
  await assert.rejects(ask(), {
    code: "share_unavailable",
    message: /CORE is not mounted/,
    hint: /mount --share CORE/,
  });
  assert.deepEqual(asked, []);
});

test("one whose password is missing is told with that, and what to do about it", async () => {
  const missing = {
    code: "secret_missing",
    severity: "error",
    title: "The password is not there",
    hint: "mountaineer secret set nas",
    since: 0,
  } as const;
  const { ask } = scene(viewOf({ seen: seenOf(), conditions: [missing] }));
  await assert.rejects(ask(), {
    code: "share_unavailable",
    message: /not mounted: The password is not there/,
    hint: "mountaineer secret set nas",
  });
});

test("one that was not looked at yet is looked at first", async () => {
  const { ask } = scene(viewOf());
  assert.equal((await ask()).folders.length, 3);
});

test("A2 a mount that does not answer is not asked", async () => {
  for (const look of [answered("EIO"), { state: "pending", startedAtMs: -5_000 } as const]) {
    const { ask, asked } = scene(mounted(look));
    await assert.rejects(ask(), { code: "share_unavailable", message: /does not answer/ });
    assert.deepEqual(asked, []);
  }
});

test("A2 after a listing that had no answer none is begun until the mount has answered a look", async () => {
  const { ask, asked, world, clock } = scene();
  await clock.advance(5_000);
  world.listing = null;
  await assert.rejects(ask("a"), { code: "share_unavailable" });
  world.listing = { state: "listed", folders: [], truncated: false };
  world.lastLook = { state: "answered", startedAtMs: 100, finishedAtMs: 110, errno: null };
  await assert.rejects(ask("b"), { code: "share_unavailable" }, "that look is older");
  world.lastLook = { state: "pending", startedAtMs: clock.monotonicMs() - 1_500 };
  await assert.rejects(ask("c"), { code: "share_unavailable" });
  assert.equal(asked.length, 1);
  const startedAtMs = clock.monotonicMs() + 1;
  world.lastLook = { state: "answered", startedAtMs, finishedAtMs: startedAtMs, errno: null };
  assert.deepEqual((await ask("d")).folders, []);
});

test("what stands in the stable link's place is not taken for the share", async () => {
  for (const linkBlocked of [null, "it is a folder"]) {
    const { ask, asked } = scene(mounted(answered(null), { linkBlocked }));
    await ask("a");
    assert.deepEqual(asked, ["/home/ada/.mountaineer/volumes/CORE a"], "whether that was seen yet or not");
  }
});

test("each way to fail has its code and says what to do", async () => {
  const rows: [FolderListing, string, RegExp][] = [
    [{ state: "outside" }, "path_unknown", /CORE\/x leads out of the share/],
    [{ state: "failed", errno: "ENOENT" }, "path_unknown", /CORE\/x is not there/],
    [{ state: "failed", errno: "ENOTDIR" }, "path_unknown", /is no folder/],
    [{ state: "failed", errno: "EACCES" }, "permission_denied", /may not be read \(EACCES\)/],
    [{ state: "failed", errno: "EIO" }, "share_unavailable", /cannot be read: EIO/],
  ];
  for (const [listing, code, message] of rows) {
    const { ask, world } = scene();
    world.listing = listing;
    await assert.rejects(ask("x"), { code, message });
  }
});
