// Logons as a NAS counts them: a login that it refuses is hardly tried, is told, and works as soon as it is right.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { describe, type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { ShareStatus } from "../../src/api/contract/contract.ts";
import { missingForSmb } from "../../src/demo/stage/smb-available.ts";
import { eventually } from "../support/eventually.ts";
import { isServed, type LogonsScene, logonsScene } from "./logons-scene.ts";

const IS_WHOLE = process.env["MOUNTAINEER_LOGONS"] === "all";
/** How long nobody says a word. */
const LEFT_ALONE_MS = IS_WHOLE ? 600_000 : 12_000;
/** By itself, in any hour. */
const REFUSALS_AT_MOST = 2;
/** Beside other suites a machine is too busy for a claim of speed. */
const CARRIED_WITHIN_MS = IS_WHOLE ? 5_000 : 20_000;

async function play(
  t: TestContext,
  [shares, lines]: readonly [number, readonly string[]],
  story: (scene: LogonsScene) => Promise<void>,
): Promise<void> {
  const scene = await logonsScene(t, shares, lines);
  try {
    await story(scene);
  } catch (error) {
    const noise = ["management request", "host probed", "probe"];
    const log = (await scene.home.log()).filter(({ message }) => !noise.includes(String(message)));
    for (const line of log.slice(-80)) t.diagnostic(JSON.stringify(line));
    throw error;
  } finally {
    await scene[Symbol.asyncDispose]();
  }
}

function isRefused({ conditions }: ShareStatus): boolean {
  return conditions.some(({ code }) => code === "login_refused");
}

/** No further word: from the new secret on until all are carried. */
async function carriedAfter(t: TestContext, scene: LogonsScene, password: string): Promise<void> {
  await scene.secret(password);
  const atMs = performance.now();
  for (const name of scene.names)
    await scene.until(name, "carried", (one) => isServed(one) && !isRefused(one));
  const tookMs = performance.now() - atMs;
  t.diagnostic(`carried ${Math.round(tookMs)} ms after the right password`);
  assert.ok(tookMs < CARRIED_WITHIN_MS, `${tookMs} ms`);
  for (const name of scene.names)
    await eventually(async () => (await scene.read(name, "kept.txt")) === `of ${name}`);
}

/** A program that holds a file open until its input ends. */
function openFile(path: string) {
  const script = 'exec 3< "$1"; echo open; cat';
  const child = spawn("sh", ["-c", script, "sh", path], { cwd: "/", stdio: ["pipe", "pipe", "ignore"] });
  return {
    opened: once(child.stdout, "data"),
    async close() {
      const exited = once(child, "exit");
      child.stdin.end();
      await exited;
    },
    [Symbol.dispose]: () => void child.kill("SIGKILL"),
  };
}

async function loseConnections(scene: LogonsScene): Promise<void> {
  const { tb, fallback } = scene.nas.cables;
  await Promise.all([tb.setMode("refuse"), fallback.setMode("refuse")]);
  await scene.until(
    "CORE",
    "both hosts gone",
    ({ tb_reachable, fb_reachable }) => !tb_reachable && !fb_reachable,
  );
  await Promise.all([tb.setMode("pass"), fallback.setMode("pass")]);
}

describe("logons", { skip: (await missingForSmb("/nowhere")) ?? false, timeout: 5_000_000 }, () => {
  test("A14 a mistyped first password for three shares: refused twice at most, reported with the command that corrects it, and mounted within 5 s of the right one", (t) =>
    play(t, [3, []], async (scene) => {
      await scene.secret("mistyped");
      await scene.start();
      for (const name of scene.names) {
        const { conditions, mount_state } = await scene.until(name, "refused", isRefused);
        assert.equal(mount_state, "unmounted");
        const hint = conditions.find(({ code }) => code === "login_refused")?.hint ?? "";
        assert.match(hint, /mountaineer secret set nas\b/);
      }
      await pause(LEFT_ALONE_MS);
      const alone = await scene.refused();
      assert.ok(alone >= 1 && alone <= REFUSALS_AT_MOST, `${alone} refused by itself`);
      const mount = await scene.home.cli(["mount", "--share", "CORE", "--json"]);
      assert.equal(mount.code, 1, mount.stderr);
      assert.match(mount.stdout, /attempted logon is invalid/);
      // The NAS writes its log when it comes to it; the last line of this test holds that there is no further one.
      await eventually(async () => (await scene.refused()) > alone);
      await carriedAfter(t, scene, scene.nas.password);
      assert.equal(await scene.refused(), alone + 1);
    }));

  for (const [how, lines] of [
    ["a mount that moves", []],
    ["mounted for each route", ['on_route_change = "remount"']],
  ] as const) {
    test(`A14 a password that is changed on the NAS is noticed at the next reconnect and reported, and the new one applies under open files: ${how}`, (t) =>
      play(t, [1, lines], async (scene) => {
        await scene.secret(scene.nas.password);
        await scene.start();
        const isMounted = (share: ShareStatus): boolean =>
          share.mount_state === "mounted" && share.mount_alive && !isRefused(share);
        await scene.until("CORE", "mounted", isMounted);
        using open = openFile(scene.at("CORE", "kept.txt"));
        await open.opened;
        await scene.nas.setPassword("another word");
        await loseConnections(scene);
        await scene.until("CORE", "refused", isRefused);
        await pause(LEFT_ALONE_MS);
        const alone = await scene.refused();
        assert.ok(alone >= 1 && alone <= REFUSALS_AT_MOST, `${alone} refused by itself`);
        const mountBefore = await mountIds(scene);
        const atMs = performance.now();
        await scene.secret("another word");
        await scene.until("CORE", "served again", isMounted);
        const tookMs = performance.now() - atMs;
        t.diagnostic(`served again ${Math.round(tookMs)} ms after the new password`);
        assert.ok(tookMs < CARRIED_WITHIN_MS, `${tookMs} ms`);
        await eventually(async () => (await scene.read("CORE", "kept.txt")) === "of CORE");
        assert.deepEqual(await mountIds(scene), mountBefore, "what is open is not cut off");
        await open.close();
        assert.ok((await scene.refused()) <= REFUSALS_AT_MOST);
      }));
  }

  test("A14 an account that is valid again resumes without a remount, on a person's word", (t) =>
    play(t, [2, []], async (scene) => {
      await scene.secret(scene.nas.password);
      await scene.start();
      for (const name of scene.names) await scene.until(name, "carried", isServed);
      const mountBefore = await mountIds(scene);
      await scene.nas.setPassword("another word");
      await loseConnections(scene);
      for (const name of scene.names) await scene.until(name, "refused", isRefused);
      await pause(LEFT_ALONE_MS / 4);
      assert.ok((await scene.refused()) <= REFUSALS_AT_MOST);
      await scene.nas.setPassword(scene.nas.password);
      await scene.home.cli(["mount"]);
      for (const name of scene.names)
        await scene.until(name, "carried again", (one) => isServed(one) && !isRefused(one));
      for (const name of scene.names)
        await eventually(async () => (await scene.read(name, "kept.txt")) === `of ${name}`);
      assert.deepEqual(await mountIds(scene), mountBefore);
    }));

  test("A14 a NAS that was away is tried again once, and not each time that it restarts", (t) =>
    play(t, [1, []], async (scene) => {
      await scene.secret(scene.nas.password);
      await scene.start();
      await scene.until("CORE", "mounted", isServed);
      await scene.nas.setPassword("another word");
      await loseConnections(scene);
      await scene.until("CORE", "refused", isRefused);
      for (const _ of ["once", "twice", "thrice"]) {
        await scene.nas.killServer();
        await scene.until("CORE", "gone", ({ tb_reachable, fb_reachable }) => !tb_reachable && !fb_reachable);
        await scene.nas.startServer();
        await scene.until("CORE", "back", ({ tb_reachable, fb_reachable }) => tb_reachable && fb_reachable);
      }
      await scene.until("CORE", "still refused", isRefused);
      assert.ok((await scene.refused()) <= REFUSALS_AT_MOST);
    }));

  test("A14 a daemon that is restarted again and again does not flood the NAS with logins", (t) =>
    play(t, [1, []], async (scene) => {
      await scene.secret("mistyped");
      for (let starts = 0; starts < 5; starts++) {
        const monitor = await scene.start();
        await scene.until("CORE", "refused", isRefused);
        await monitor.kill9();
      }
      const alone = await scene.refused();
      assert.ok(alone >= 1 && alone <= REFUSALS_AT_MOST, `${alone} refused by itself`);
    }));
});

async function mountIds(scene: LogonsScene): Promise<readonly string[]> {
  const table = await readFile("/proc/self/mountinfo", "utf8");
  return table
    .split("\n")
    .filter((line) => line.includes(scene.home.folder))
    .map((line) => line.split(" ")[0] ?? "");
}
