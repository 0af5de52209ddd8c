// Backends that require a share, on a real one: the official filesystem server, asked twice a second by the official
// SDK's client, while routes are cut.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { missingForRootRig } from "../rig/root-rig.ts";
import { eventually } from "../support/eventually.ts";
import {
  backend,
  backendPid,
  failed,
  filesBackend,
  startAgent,
  unnamed,
  untilPhase,
  untilServed,
} from "./file-agent.ts";
import { CUT_KINDS, cut, cutOnce, untilServedOver } from "./moves.ts";
import { playScene, type Scene, type SceneOptions, useRig } from "./scene.ts";

/** So long the share may be away before the tools leave. */
const AWAY_SECS = 3;

function leavingBackend(sharesRoot: string): string {
  const more = [`unavailable_after_secs = ${AWAY_SECS}`, "[backends.files.timeouts]", "call = 10"];
  return filesBackend(sharesRoot, more);
}

/** It works in the share's folder, which a plain unmount would not get free. */
function sittingBackend(sharesRoot: string): string {
  const cwd = `cwd = "${path.join(sharesRoot, "CORE")}"`;
  return leavingBackend(sharesRoot).replace("requires =", `${cwd}\nrequires =`);
}

describe("a file server on a share", { skip: missingForRootRig() ?? false, timeout: 600_000 }, () => {
  const lab = useRig(["CORE"], { oneServer: true });
  const play = (options: Partial<SceneOptions>, story: (scene: Scene) => Promise<void>): Promise<void> =>
    playScene(lab.rig, { shares: ["CORE"], sections: leavingBackend, ...options }, async (scene) => {
      await writeFile(scene.exported("CORE", "notes.txt"), "as it was\n", { mode: 0o666 });
      await story(scene);
    });

  test("C1 a share that moves: cuts of every kind cause no failed call and no notice", () =>
    play({ onRouteChange: "move" }, async (scene) => {
      await scene.start("tb");
      await untilServedOver(scene, "CORE", "tb");
      await untilPhase(scene, "Ready");
      await using agent = await startAgent(scene);
      await eventually(() => agent.calls.length > 2);
      for (const kind of CUT_KINDS) await cutOnce(scene, "CORE", kind);
      const after = agent.calls.length;
      await eventually(() => agent.calls.length > after + 2);
      assert.deepEqual(failed(agent), []);
      assert.equal(agent.notices(), 0);
    }));

  const ON_ROUTES = { auto_failback: true, auto_failback_stable_secs: 3 };

  test("C1 per route: through cuts of every kind and each recovery calls succeed or name the share, though our own server uses it", () =>
    play({ onRouteChange: "remount", settings: ON_ROUTES, sections: sittingBackend }, async (scene) => {
      await scene.start("tb");
      await untilPhase(scene, "Ready");
      await using agent = await startAgent(scene);
      await eventually(() => agent.calls.length > 2);
      const pids = [await backendPid(scene)];
      for (const kind of CUT_KINDS) {
        const restore = await cut(scene, kind, "tb");
        await scene.untilOver("CORE", "fallback");
        await untilServed(agent);
        pids.push(await backendPid(scene));
        await restore();
        await scene.untilOver("CORE", "tb", 60_000);
        await untilServed(agent);
        pids.push(await backendPid(scene));
      }
      assert.equal(new Set(pids).size, 1 + 2 * CUT_KINDS.length, `one process for each mount: ${pids}`);
      const restarts = (await backend(scene))?.restarts;
      assert.equal(restarts, 0);
      // Calls wait for 3 s; a busy machine may take longer for a mount, and then the tools leave and come back.
      const anew = [
        ...(await scene.logged("share.failover", "CORE")),
        ...(await scene.logged("share.recovered", "CORE")),
      ];
      const slow = anew.filter((one) => Number(one["duration_ms"]) > 2_000).length;
      assert.ok(agent.notices() <= 2 * slow, `${agent.notices()} notices, ${slow} slow mounts`);
      assert.deepEqual(unnamed(agent), []);
      const deferred = await scene.logged("share.tb_ready", "CORE");
      assert.deepEqual(deferred, [], "nobody had to decide");
    }));

  test("C1 per route: a user's program on the share defers the recovery, and a manual switch proceeds once it has left", () =>
    play({ onRouteChange: "remount", settings: ON_ROUTES, sections: sittingBackend }, async (scene) => {
      await scene.start("tb");
      await untilPhase(scene, "Ready");
      const restore = await scene.rig.cut.ownLinkDown("tb");
      await scene.untilOver("CORE", "fallback");
      const sitter = spawn("sleep", ["300"], { cwd: scene.at("CORE"), stdio: "ignore" });
      scene.defer(() => sitter.kill("SIGKILL"));
      await restore();
      const pending = await scene.home.untilShare("CORE", (share) => share.tb_recovery_pending, 60_000);
      const holders = pending.conditions.flatMap((condition) => condition.holders ?? []);
      assert.deepEqual([...new Set(holders.map(({ pid }) => pid))], [sitter.pid]);
      await using agent = await startAgent(scene);
      await untilServed(agent);
      const busy = await scene.home.cli(["switch", "--share", "CORE", "--to", "tb"]);
      assert.match(busy.stdout + busy.stderr, /busy/);
      sitter.kill("SIGKILL");
      await once(sitter, "exit");
      await scene.home.cli(["switch", "--share", "CORE", "--to", "tb"]);
      await scene.untilOver("CORE", "tb");
      await untilServed(agent);
      assert.deepEqual([unnamed(agent), agent.notices()], [[], 0]);
    }));
});
