import assert from "node:assert/strict";
import test from "node:test";
import type { FolderEvents, FolderListener } from "../../src/sync/folder-events.ts";
import { createFolderWatches, MAX_FOLDER_WATCHES } from "../../src/sync/folder-watches.ts";
import { systemError } from "./memory-file.ts";

function fakeFolders() {
  const folders = new Map<string, Set<string>>([["/etc/app", new Set(["config.toml"])]]);
  const identities = new Map<string, string>();
  const listeners = new Map<string, FolderListener>();
  const refused = new Map<string, string>();
  let armings = 0;
  const events: FolderEvents = {
    findFolders: async () => ({ folders, notHere: null }),
    identityOf: async (folder) => identities.get(folder) ?? "1",
    watch(folder, listener) {
      const code = refused.get(folder);
      if (code !== undefined) throw systemError(code);
      armings += 1;
      listeners.set(folder, listener);
      return {
        [Symbol.dispose]: () => {
          if (listeners.get(folder) === listener) listeners.delete(folder);
        },
      };
    },
  };
  let heard = 0;
  const watches = createFolderWatches({
    events,
    path: "/etc/app/config.toml",
    isHere: () => true,
    onEvent: () => (heard += 1),
  });
  return {
    folders,
    identities,
    listeners,
    refused,
    watches,
    armings: () => armings,
    heard: () => heard,
  };
}

test("only the names that matter count, and the folder's own", async () => {
  const { watches, listeners, heard } = fakeFolders();
  await watches.arm();
  const listener = listeners.get("/etc/app");
  listener?.onName("state.json");
  assert.equal(heard(), 0);
  for (const name of ["config.toml", null, "app"]) listener?.onName(name);
  assert.equal(heard(), 3);
});

test("a folder is armed again when it is another one, or said that it ended, and else is left alone", async () => {
  const { watches, listeners, identities, armings } = fakeFolders();
  assert.deepEqual(await watches.arm(), { renewed: true, unwatched: null });
  assert.deepEqual(await watches.arm(), { renewed: false, unwatched: null });
  identities.set("/etc/app", "2");
  assert.equal((await watches.arm()).renewed, true);
  // Deleted and made again, with the same inode number.
  listeners.get("/etc/app")?.onName("app");
  assert.equal((await watches.arm()).renewed, true);
  listeners.get("/etc/app")?.onEnd();
  assert.equal(listeners.size, 0);
  assert.equal((await watches.arm()).renewed, true);
  assert.equal(armings(), 4);
  assert.equal(listeners.size, 1);
});

test("folders that the path left are not watched any more", async () => {
  const { watches, listeners, folders } = fakeFolders();
  folders.set("/old", new Set(["a"]));
  await watches.arm();
  folders.delete("/old");
  await watches.arm();
  assert.deepEqual([...listeners.keys()], ["/etc/app"]);
});

test("never more than a bounded number of watches, and it says what it leaves out", async () => {
  const { watches, listeners, folders } = fakeFolders();
  for (let index = 0; index < 200; index += 1) folders.set(`/deep/${index}`, new Set(["a"]));
  const { unwatched } = await watches.arm();
  assert.equal(listeners.size, MAX_FOLDER_WATCHES);
  assert.match(unwatched ?? "", /passes through 201 folders/);
});

test("one folder that cannot be watched does not keep the others from it", async () => {
  const { watches, listeners, folders, refused } = fakeFolders();
  folders.set("/other", new Set(["a"]));
  for (const [code, text] of [
    ["ENOSPC", /max_user_watches/],
    ["EMFILE", /max_user_instances/],
    ["EACCES", /cannot be watched: EACCES/],
  ] as const) {
    refused.set("/etc/app", code);
    assert.match((await watches.arm()).unwatched ?? "", text);
    assert.deepEqual([...listeners.keys()], ["/other"]);
  }
  refused.set("/etc/app", "ENOENT");
  assert.equal((await watches.arm()).unwatched, null);
  refused.clear();
  assert.deepEqual(await watches.arm(), { renewed: true, unwatched: null });
  assert.equal(listeners.size, 2);
});

test("after disposal nothing is watched or heard", async () => {
  const { watches, listeners, heard } = fakeFolders();
  await watches.arm();
  const listener = listeners.get("/etc/app");
  watches[Symbol.dispose]();
  assert.equal(listeners.size, 0);
  listener?.onName("config.toml");
  listener?.onEnd();
  await watches.arm();
  assert.equal(listeners.size, 0);
  assert.equal(heard(), 0);
});
