// What people tell of file servers and a NAS that is off: modelcontextprotocol/servers#2113, #2483 and #2815; and of
// gateways that are restarted meanwhile: markmhendrickson/neotoma#2100, anthropics/claude-code#55970.
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { missingForRootRig } from "../rig/root-rig.ts";
import { eventually } from "../support/eventually.ts";
import {
  backend,
  backendPid,
  FILE_SERVER,
  failed,
  isToldAway,
  startAgent,
  unnamed,
  untilPhase,
  untilServed,
} from "./file-agent.ts";
import { untilServedOver } from "./moves.ts";
import { playScene, type Scene, useRig } from "./scene.ts";

/** A server for a folder of this machine, and one that has that folder and one on the NAS, as in the reports. */
function twoServers(sharesRoot: string): string {
  const desk = path.join(path.dirname(sharesRoot), "desk");
  const section = (name: string, folders: readonly string[], lines: readonly string[]): string =>
    [
      `[backends.${name}]`,
      `command = "${process.execPath}"`,
      `args = ${JSON.stringify([FILE_SERVER, ...folders])}`,
      ...lines,
      `[backends.${name}.timeouts]`,
      "call = 10",
    ].join("\n");
  return [
    '[conflict_resolution]\nstrategy = "prefix"',
    section("desk", [desk], []),
    section(
      "files",
      [desk, path.join(sharesRoot, "CORE")],
      ['requires = ["CORE"]', "unavailable_after_secs = 3"],
    ),
  ].join("\n");
}

/** Longer than a call may take. */
const OFF_MS = 12_000;
const ON_DESK = "desk_read_text_file";
const ON_NAS = "files_read_text_file";

describe("a NAS that is off", { skip: missingForRootRig() ?? false, timeout: 600_000 }, () => {
  const lab = useRig(["CORE"], { oneServer: true });
  const play = (onRouteChange: "move" | "remount", story: (scene: Scene) => Promise<void>): Promise<void> =>
    playScene(lab.rig, { shares: ["CORE"], onRouteChange, sections: twoServers }, async (scene) => {
      await writeFile(scene.exported("CORE", "notes.txt"), "as it was\n", { mode: 0o666 });
      await mkdir(path.join(scene.folder, "desk"));
      await writeFile(path.join(scene.folder, "desk", "notes.txt"), "on the desk\n");
      await story(scene);
    });
  const turnOff = ({ rig }: Scene) => Promise.all([rig.killServerOn("tb"), rig.killServerOn("fallback")]);
  const turnOn = ({ rig }: Scene) => Promise.all([rig.startServerOn("tb"), rig.startServerOn("fallback")]);
  const readsDesk = (scene: Scene) =>
    startAgent(scene, ON_DESK, path.join(scene.folder, "desk", "notes.txt"));

  test("C4 off at the start: the server waits and does not fail, the other works, and its tools appear with the NAS", () =>
    play("move", async (scene) => {
      await turnOff(scene);
      await scene.start(null);
      await eventually(async () => (await backend(scene, "desk"))?.phase === "Ready", 30_000);
      await using agent = await readsDesk(scene);
      await untilServed(agent);
      await eventually(async () => isToldAway(await backend(scene)), 20_000);
      assert.ok(!(await agent.tools()).includes(ON_NAS));
      const waiting = await untilPhase(scene, "Pending");
      assert.deepEqual([waiting.restarts, waiting.last_error], [0, null]);
      assert.match(waiting.reason ?? "", /it waits for its data: share CORE is away/);
      await turnOn(scene);
      const ready = await untilPhase(scene, "Ready");
      assert.deepEqual([ready.restarts, isToldAway(ready)], [0, false]);
      await eventually(async () => (await agent.tools()).includes(ON_NAS), 30_000);
      assert.equal(agent.notices(), 1);
      await using nas = await startAgent(scene, ON_NAS);
      await untilServed(nas);
      assert.deepEqual([...failed(agent), ...failed(nas)], []);
    }));

  for (const onRouteChange of ["move", "remount"] as const) {
    test(`C1 ${onRouteChange}: off during work: no server exits, the desk never fails, every failing call names the share in time, and everything returns with one notice each way`, () =>
      play(onRouteChange, async (scene) => {
        await scene.start("tb");
        if (onRouteChange === "move") await untilServedOver(scene, "CORE", "tb");
        await untilPhase(scene, "Ready");
        await using desk = await readsDesk(scene);
        await using nas = await startAgent(scene, ON_NAS);
        await untilServed(nas);
        const pid = await backendPid(scene);
        await turnOff(scene);
        const offAtMs = performance.now();
        await eventually(async () => !(await desk.tools()).includes(ON_NAS), 30_000);
        await pause(Math.max(0, offAtMs + OFF_MS - performance.now()));
        await turnOn(scene);
        await eventually(async () => (await desk.tools()).includes(ON_NAS), 60_000);
        await untilServed(nas);
        const [failures, calls] = [failed(nas).length, nas.calls.length];
        await eventually(() => nas.calls.length > calls + 3);
        assert.deepEqual([failed(desk), unnamed(nas)], [[], []]);
        assert.ok(failures > 0, "calls came while the share was away");
        assert.equal(failed(nas).length, failures, "no call fails after it");
        assert.deepEqual([desk.notices(), nas.notices()], [2, 2]);
        assert.equal((await backend(scene))?.restarts, 0);
        if (onRouteChange === "move") assert.equal(await backendPid(scene), pid, "its process went on");
      }));
  }

  test("C1 off while the daemon restarts: the client continues its session, and its tools return with the NAS", () =>
    play("move", async (scene) => {
      const first = await scene.start("tb");
      await untilPhase(scene, "Ready");
      await using nas = await startAgent(scene, ON_NAS);
      await untilServed(nas);
      await turnOff(scene);
      await eventually(async () => !(await nas.tools()).includes(ON_NAS), 30_000);
      await first.stop();
      await scene.start(null);
      await eventually(async () => (await nas.tools()).includes(ON_DESK), 30_000);
      assert.ok(!(await nas.tools()).includes(ON_NAS));
      await turnOn(scene);
      await eventually(async () => (await nas.tools()).includes(ON_NAS), 60_000);
      await untilServed(nas);
    }));
});
