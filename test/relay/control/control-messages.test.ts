// What a carrier or a daemon of another version may say: whatever is not whole is nothing.
import assert from "node:assert/strict";
import { chown, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { test } from "node:test";
import {
  parseEndpoint,
  parseIdentity,
  parseJournalEntry,
  parseLine,
  parseMount,
  parseMoveOutcome,
  parseName,
  parseNotice,
  parseShare,
  parseWantedPort,
} from "../../../src/relay/control/control-messages.ts";
import { findControlSocket, listenForControl } from "../../../src/relay/control/control-socket.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const NOBODY = 65_534;

type Parse = (value: unknown) => unknown;

/** Each is read as it is, and is nothing without one of its members, or with a member of another type. */
const WHOLE: readonly (readonly [string, Parse, Record<string, unknown>])[] = [
  ["a notice", parseNotice, { share: "CORE", what: "lost" }],
  ["an entry", parseJournalEntry, { share: "CORE", at: 1, reason: "asked", from: "tb", to: "fallback" }],
  ["a process", parseIdentity, { pid: 7, startTime: "1" }],
  ["an endpoint", (value) => parseEndpoint(value) && value, { address: "10.0.0.2", port: 445 }],
  ["a mount", (value) => parseMount(value) && value, { id: "m1", path: "/mnt" }],
  ["a failed move", (value) => parseMoveOutcome(value) && value, { ok: false, reason: "silent", text: "" }],
  [
    "a share",
    (value) => parseShare(value, 0) && value,
    { share: "CORE", kind: "rclone", route: "tb", phase: "carrying", port: 4_450 },
  ],
];
/** Members that may be left out. */
const OPTIONAL = ["ok", "text"];

for (const [name, parse, whole] of WHOLE) {
  test(`A10 ${name} is read, and is nothing where a member is missing or of another type`, () => {
    assert.deepEqual(parse(whole), whole);
    for (const key of Object.keys(whole).filter((one) => !OPTIONAL.includes(one))) {
      for (const other of [undefined, null, {}, true])
        assert.equal(parse({ ...whole, [key]: other }), null, `${key} ${String(other)}`);
    }
    for (const other of [null, "text", 7, []]) assert.equal(parse(other), null);
  });
}

test("A10 a port is a whole number from 1 to 65,535, and a name a text of bounded length", () => {
  for (const port of [1, 445, 65_535]) {
    assert.equal(parseWantedPort(port), port);
    assert.equal(parseEndpoint({ address: "nas", port })?.port, port);
  }
  for (const port of [0, -1, 65_536, 1.5, "445"]) {
    assert.equal(parseWantedPort(port), null);
    assert.equal(parseEndpoint({ address: "nas", port }), null);
  }
  assert.equal(parseName("n".repeat(1_024))?.length, 1_024);
  for (const name of ["", "n".repeat(1_025), 7]) assert.equal(parseName(name), null);
});

test("A10 a mount's process is complete, or the mount is unknown", () => {
  const mount = { id: "m1", path: "/mnt" };
  const identity = { pid: 7, startTime: "1" };
  assert.deepEqual(parseMount({ ...mount, process: identity })?.process, identity);
  assert.equal(parseMount({ ...mount, process: null })?.process, null);
  assert.deepEqual(
    [true, false, undefined].map((repeats) => parseMount({ ...mount, repeats })?.repeats),
    [true, undefined, undefined],
  );
  assert.equal(parseMount({ ...mount, process: { pid: 7 } }), null);
});

test("A10 times of a share follow the reader's clock, and an invalid time or number is dropped", () => {
  const share = { share: "CORE", kind: "rclone", route: "tb", phase: "carrying", port: 4_450 };
  const told = parseShare(
    { ...share, lastAnswerAtMs: 100, routeLostAtMs: "then", moves: "many", bytesUp: 5 },
    1_000,
  );
  assert.deepEqual(
    [told?.lastAnswerAtMs, told?.routeLostAtMs, told?.moves, told?.bytesUp, told?.unansweredSinceMs],
    [1_100, null, 0, 5, null],
  );
});

test("A10 a line of another form is ignored", () => {
  assert.deepEqual(parseLine('{"v":1,"ask":"list"}'), { v: 1, ask: "list" });
  for (const line of ['{"v":2,"ask":"list"}', '{"ask":"list"}', "[1]", "", "{"])
    assert.equal(parseLine(line), null);
});

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

for (const [what, name] of [
  ["in the home", "h"],
  ["in a short folder of its own, where the home's path is too long for one", "h".repeat(100)],
] as const) {
  test(`A10 the relay's socket is ${what}, for its owner only, and is removed with it`, async (t) => {
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

test("A10 a copied home has its own relay: the record of another home's relay is neither followed nor acted on", async (t) => {
  const base = await temporaryFolder(t);
  const home = join(base, "h".repeat(100));
  const [copy, older] = [join(base, "copy"), join(base, "older")];
  for (const one of [home, copy, older]) await mkdir(join(one, "carrier"), { recursive: true });
  const servers = [createServer(), createServer()] as const;
  t.after(() => servers.map((server) => server.close()));
  const remove = await listenForControl(servers[0], home);
  const path = await findControlSocket(home);
  const note = await readFile(join(home, "carrier/socket.json"), "utf8");
  await writeFile(join(copy, "carrier/socket.json"), note);
  await writeFile(join(older, "carrier/socket.json"), JSON.stringify({ socket: path }));
  for (const one of [copy, older])
    assert.equal(await findControlSocket(one), join(one, "carrier/control.sock"));
  await (await listenForControl(servers[1], copy))();
  assert.ok(await isThere(path), "the other home's carrier is still reached");
  await remove();
});

test("A10 a killed relay's files in its short folder are removed, and nothing in a folder of another name or owner", async (t) => {
  const base = await temporaryFolder(t);
  const home = join(base, "h".repeat(100));
  await mkdir(join(home, "carrier"), { recursive: true });
  const server = createServer();
  t.after(() => server.close());
  const remove = await listenForControl(server, home);
  const left = dirname(await findControlSocket(home));
  await remove();
  const somebodys = `${left}x`;
  const folders = [left, join(base, "another"), ...(process.getuid?.() === 0 ? [somebodys] : [])];
  t.after(() => rm(somebodys, { recursive: true, force: true }));
  const sockets = folders.map((folder) => join(folder, "sock"));
  for (const socket of sockets) {
    await mkdir(dirname(socket));
    if (dirname(socket) === somebodys) await chown(somebodys, NOBODY, NOBODY);
    await writeFile(socket, "");
    await writeFile(join(home, "carrier/socket.json"), JSON.stringify({ socket, home }));
    const next = createServer();
    await (await listenForControl(next, home))();
    next.close();
  }
  const [isLeft, ...areOthersLeft] = await Promise.all(sockets.map(isThere));
  assert.equal(isLeft, false);
  assert.ok(areOthersLeft.every(Boolean), String(areOthersLeft));
  if (process.getuid?.() !== 0) t.skip("needs root, for a folder of another owner");
});
