// Tokens, links and sessions of the management API, and the owner's right, without a server in front.
import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Access } from "../../../src/api/http/access.ts";
import { isOnLoopback, OwnerRights } from "../../../src/api/http/owner-rights.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

async function setUp(t: TestContext) {
  const home = await temporaryFolder(t);
  const logger = createRecordingLogger();
  const path = join(home, "management.json");
  const open = () => Access.open({ home, clock: createManualClock(), logger });
  return { logger, path, open, access: await open() };
}

test("E2 E4 the 16 newest links are good, and the 16 newest codes of tabs", async (t) => {
  const { access } = await setUp(t);
  const links: string[] = [];
  for (let count = 0; count < 17; count++) links.push((await access.makeLink()).secret);
  assert.equal(await access.redeem(links[0] ?? ""), null);
  assert.notEqual(await access.redeem(links[1] ?? ""), null);
  const owners = new OwnerRights(createManualClock());
  const codes = Array.from({ length: 17 }, (_, index) => owners.request(`session ${index}`).code);
  assert.throws(() => owners.grant(codes[0] ?? ""), { code: "permission_denied" });
  assert.ok(owners.grant(codes[1] ?? "") > 0);
});

test("E2 a token that cannot be written is not in force, and the one before it stays", async (t) => {
  const { path, access } = await setUp(t);
  const { token } = await access.makeToken();
  await rm(path);
  await mkdir(path);
  const [, link] = await Promise.all([
    assert.rejects(access.makeToken(), { code: "home_unwritable" }),
    access.makeLink(),
  ]);
  await assert.rejects(access.forgetToken(), { code: "home_unwritable" });
  assert.equal(access.isToken(token), true);
  assert.notEqual(await access.redeem(link.secret), null, "a link that was made meanwhile is good");
});

test("E2 an unreadable file lets no one in, and does not prevent a daemon from starting", async (t) => {
  const { path, open } = await setUp(t);
  const empty = { version: "1", token_sha256: null, sessions: [], links: [] };
  for (const text of [
    "no JSON",
    JSON.stringify({ ...empty, version: "2" }),
    JSON.stringify({ ...empty, token_sha256: "x" }),
    JSON.stringify({ ...empty, sessions: [{ sha256: "x", until: 1e15, by: "token" }] }),
  ]) {
    await writeFile(path, text);
    const access = await open();
    assert.deepEqual([access.isToken(""), access.untilMs()], [false, null], text);
    assert.notEqual((await access.makeToken()).token, "");
  }
});

test("E2 without a token no request counts as having one", async (t) => {
  const { access } = await setUp(t);
  assert.equal(access.isToken("0".repeat(64)), false);
  const { token } = await access.makeToken();
  assert.equal(access.isToken(token), true);
  await access.forgetToken();
  assert.deepEqual([access.isToken(token), await access.signIn(token)], [false, null]);
});

test("links are on disk once reported as saved, and nothing is written without need", async (t) => {
  const { logger, path, access, open } = await setUp(t);
  const links = Array.from({ length: 3 }, () => access.makeLink());
  await access.saved();
  assert.equal(JSON.parse(await readFile(path, "utf8")).links.length, 3);
  const [first] = await Promise.all(links);
  assert.notEqual(await (await open()).redeem(first?.secret ?? ""), null);
  await rm(path);
  await mkdir(path);
  await access.keepPagePort(null);
  assert.deepEqual(logger.lines, []);
  await access.keepPagePort(9000);
  assert.equal(logger.lines.length, 1);
});

test("F4 E2 only a request from this machine, to one of its names and through no proxy, is on loopback", () => {
  for (const [remoteAddress, headers, isThere] of [
    ["127.0.0.1", { host: "127.0.0.1:9000" }, true],
    ["::1", { host: "localhost" }, true],
    ["10.0.0.2", { host: "127.0.0.1:9000" }, false],
    [undefined, { host: "127.0.0.1:9000" }, false],
    ["127.0.0.1", { host: "nas.local" }, false],
    ["127.0.0.1", { host: "[::1" }, false],
    ["127.0.0.1", {}, false],
    ["127.0.0.1", { host: "localhost", via: "1.1 p" }, false],
  ] as const) {
    const request = { socket: { remoteAddress }, headers } as unknown as IncomingMessage;
    assert.equal(isOnLoopback(request), isThere, JSON.stringify([remoteAddress, headers]));
  }
});
