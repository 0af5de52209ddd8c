import assert from "node:assert/strict";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { findControlSocket, listenForControl } from "../../../src/carrier/control/control-socket.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

for (const [what, name] of [
  ["in the home", "h"],
  ["in a short folder of its own, where the home's path is too long for one", "h".repeat(100)],
] as const) {
  test(`A10 the carrier's socket is ${what}, for its owner alone, and goes with it`, async (t) => {
    const home = join(await temporaryFolder(t), name);
    await mkdir(join(home, "carrier"), { recursive: true });
    const server = createServer();
    t.after(() => server.close());
    const remove = await listenForControl(server, home);
    const path = await findControlSocket(home);
    assert.ok(Buffer.byteLength(path) <= 100 && (await stat(path)).isSocket());
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    const isOutside = !path.startsWith(home);
    assert.equal(isOutside, name.length > 1);
    await remove();
    assert.equal(await isThere(path), false);
    if (!isOutside) return;
    assert.equal(await isThere(dirname(path)), false);
    await assert.rejects(readFile(join(home, "carrier/socket.json")), { code: "ENOENT" });
  });
}

test("A10 what a killed carrier left in its short folder goes, and nothing in a folder of another name", async (t) => {
  const base = await temporaryFolder(t);
  const home = join(base, "h".repeat(100));
  await mkdir(join(home, "carrier"), { recursive: true });
  const server = createServer();
  t.after(() => server.close());
  const remove = await listenForControl(server, home);
  const left = dirname(await findControlSocket(home));
  await remove();
  const sockets = [left, join(base, "another")].map((folder) => join(folder, "sock"));
  for (const socket of sockets) {
    await mkdir(dirname(socket));
    await writeFile(socket, "");
    await writeFile(join(home, "carrier/socket.json"), JSON.stringify({ socket }));
    const next = createServer();
    await (await listenForControl(next, home))();
    next.close();
  }
  assert.deepEqual(await Promise.all(sockets.map(isThere)), [false, true]);
});
