// kill -9 between the request that rotates a refresh token and the write of what came back.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "../../../support/eventually.ts";
import {
  BACKEND,
  failureOf,
  headerOf,
  isGood,
  openSignIns,
  type SignInRig,
  startSignInRig,
} from "./sign-in-rig.ts";

const RENEWER = fileURLToPath(new URL("../programs/sign-in-renewer.ts", import.meta.url));
const { signal } = new AbortController();

function startRenewer({ home, server }: SignInRig): ChildProcess {
  return spawn(process.execPath, [RENEWER, home, server.url], { stdio: ["pipe", "pipe", "inherit"] });
}

/** The server has rotated the token and the process that asked for it is gone before it could keep what came. */
async function crashInRotation(rig: SignInRig): Promise<void> {
  rig.authorization.endAccessTokens();
  const { requested, release } = rig.authorization.holdTokenAnswers();
  const child = startRenewer(rig);
  const ended = once(child, "exit");
  child.stdin?.end();
  await requested;
  const grant = await rig.grants.read(BACKEND, signal);
  assert.ok(grant !== null && grant.renewingSinceMs !== null, "the intent is on disk before the answer");
  child.kill("SIGKILL");
  await ended;
  release();
}

test("E1 a crash in a rotation, at a server with a grace period: the next process renews, and no one has to sign in", async (t) => {
  const rig = await startSignInRig(t, { hasGrace: true });
  await rig.signIn();
  await crashInRotation(rig);
  const { notice, carried, refused } = openSignIns(t, rig);
  assert.ok(await isGood(rig, headerOf(await refused(await carried()))));
  assert.equal(notice(), null);
  assert.equal((await rig.grants.read(BACKEND, signal))?.renewingSinceMs, null);
});

test("E1 a crash in a rotation, at a server without a grace period: one notice, and not one further request", async (t) => {
  const rig = await startSignInRig(t);
  await rig.signIn();
  await crashInRotation(rig);
  const { notice, carried, refused } = openSignIns(t, rig);
  const token = await carried();
  const asked = rig.authorization.count("/token");
  for (let call = 0; call < 50; call++) {
    assert.equal(failureOf(await refused(token)).kind, "unauthorized");
  }
  assert.equal(rig.authorization.count("/token"), asked + 1);
  assert.equal(notice()?.code, "login_needed");
  assert.match(notice()?.title ?? "", /an earlier renewal was interrupted/);
  assert.equal(notice()?.hint, "mountaineer backends login tickets");
  // Whoever comes after it reads it from the disk, and asks nobody.
  failureOf(await openSignIns(t, rig).refused(token));
  assert.equal(rig.authorization.count("/token"), asked + 1);
});

test("E1 a process that renews and another that wants to: one rotation, and both have the new token", async (t) => {
  const rig = await startSignInRig(t);
  await rig.signIn();
  const children = [startRenewer(rig), startRenewer(rig)];
  const texts = children.map(() => "");
  for (const [at, child] of children.entries()) {
    child.stdout?.setEncoding("utf8").on("data", (piece: string) => {
      texts[at] += piece;
    });
  }
  await eventually(() => texts.every((text) => text.includes("ready\n")));
  rig.authorization.endAccessTokens();
  for (const child of children) child.stdin?.end();
  await Promise.all(children.map((child) => once(child, "close")));
  const said = texts.map((text) => text.replace("ready\n", ""));
  assert.equal(new Set(said).size, 1, said.join());
  assert.match(said[0] ?? "", /"header":"Bearer /);
  assert.equal(rig.authorization.count("/token refresh_token"), 1);
});
