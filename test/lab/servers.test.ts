// What a program writes goes to the server that it was written for, or waits, or fails: another server at the same address,
// behind the other route, or in an edited configuration.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { ShareStatus } from "../../src/api/contract/contract.ts";
import { missingForTwoServers } from "../rig/two-servers.ts";
import { eventually } from "../support/eventually.ts";
import { startAppender } from "./appender.ts";
import {
  isMounted,
  isServed,
  playServers,
  SERVER_NAMES,
  type ServerName,
  type ServersScene,
  SHARE,
} from "./servers-scene.ts";

const missing = await missingForTwoServers();

function play(
  t: TestContext,
  settings: readonly string[],
  story: (scene: ServersScene) => Promise<void>,
): Promise<void> {
  return playServers(t, settings, async (scene) => {
    await scene.start();
    await story(scene);
  });
}

async function leadBoth(scene: ServersScene, to: ServerName): Promise<void> {
  for (const route of ["tb", "fallback"] as const) await scene.lead(route, to);
}

async function assertNowhereElse(scene: ServersScene, name: string): Promise<void> {
  for (const server of SERVER_NAMES)
    if (server !== "A") assert.equal(await scene.onServer(server, name), null, `${name} is on ${server}`);
}

function isDifferent({ conditions }: ShareStatus): boolean {
  return conditions.some(({ code }) => code === "different_servers");
}

describe("servers", { skip: missing ?? false, timeout: 600_000 }, () => {
  for (const [how, settings] of [
    ["mounts that move", []],
    ["mounted for each route", ['on_route_change = "remount"']],
  ] as const)
    test(`A13 a server that answers at another one's addresses gets nothing, is reported, and all is well once the right one is back: ${how}`, (t) =>
      play(t, settings, async (scene) => {
        for (const thief of ["CLONE", "OTHER"] as const) {
          const file = `precious-${thief}.txt`;
          await scene.until(
            "mounted",
            (share) => isMounted(share) && !isDifferent(share) && share.tb_reachable && share.fb_reachable,
          );
          await leadBoth(scene, thief);
          await Promise.all([scene.cables.tb.setMode("refuse"), scene.cables.fallback.setMode("refuse")]);
          await Promise.all([scene.cables.tb.setMode("pass"), scene.cables.fallback.setMode("pass")]);
          const written = scene.sh(`cd '${scene.mounted}/' && printf 'of A' > ${file}`);
          await scene.until(`told of ${thief}`, isDifferent, 60_000);
          await assertNowhereElse(scene, file);
          await leadBoth(scene, "A");
          const isWritten = (await written) !== null;
          await scene.until("back", (share) => isMounted(share) && !isDifferent(share), 60_000);
          if (how === "mounts that move") assert.ok(isWritten, "the program waited for its server");
          assert.equal(await scene.onServer("A", file), isWritten ? "of A" : null);
          await assertNowhereElse(scene, file);
        }
      }));

  test("A13 a clone in the server's place is not mounted until a person lets it in, and then it is the right one", (t) =>
    play(t, [], async (scene) => {
      await scene.until("mounted", isServed);
      await scene.home.cli(["unmount", "--share", SHARE]);
      await leadBoth(scene, "CLONE");
      const refused = await scene.home.cli(["mount", "--share", SHARE]);
      assert.equal(refused.code, 1, refused.stdout);
      const told = await scene.until("told", isDifferent);
      assert.match((await scene.home.cli(["doctor"])).stdout, /another server.*\s.*\[different_servers\]/);
      const condition = told.conditions.find(({ code }) => code === "different_servers");
      assert.match(condition?.hint ?? "", /mountaineer mount --share CORE --new-server/);
      const letIn = await scene.home.cli(["mount", "--share", SHARE, "--new-server"]);
      assert.equal(letIn.code, 0, letIn.stdout + letIn.stderr);
      await scene.until("mounted", (share) => isServed(share) && !isDifferent(share));
      assert.equal(await scene.sh(`cat '${scene.mounted}/one-more.txt'`), "of the clone");
      await leadBoth(scene, "A");
      await Promise.all([scene.cables.tb.setMode("refuse"), scene.cables.fallback.setMode("refuse")]);
      await Promise.all([scene.cables.tb.setMode("pass"), scene.cables.fallback.setMode("pass")]);
      await scene.until("the one before is another one now", isDifferent, 60_000);
    }));

  test("A13 hosts edited to a clone of the same name: open files continue where they were, and the clone gets nothing", (t) =>
    play(t, [], async (scene) => {
      await scene.until("mounted", isServed);
      await using appender = startAppender(scene, "lines.txt");
      await eventually(() => appender.lines() > 3);
      await scene.edit("CLONE");
      await scene.until("told that another server is there", isDifferent);
      const before = appender.lines();
      await eventually(() => appender.lines() > before + 5);
      assert.equal(appender.failed(), false);
      const written = await appender.end();
      const onA = (await scene.onServer("A", "lines.txt"))?.split("\n").filter((line) => line !== "").length;
      assert.ok((onA ?? 0) >= written, `${onA} of ${written} lines`);
      assert.equal(await scene.onServer("CLONE", "lines.txt"), null);
    }));

  test("A13 hosts edited to a wrong NAS, and to one that does not answer, with 20 files open: no error in any, and nothing is written elsewhere", (t) =>
    play(t, [], async (scene) => {
      await scene.until("mounted", isServed);
      const names = Array.from({ length: 20 }, (_, index) => `lines-${index}.txt`);
      await using ends = new AsyncDisposableStack();
      const appenders = names.map((name) => ends.use(startAppender(scene, name)));
      await eventually(() => appenders.every((each) => each.lines() > 1), 60_000, 100);
      for (const to of ["OTHER", "nowhere"] as const) {
        await scene.edit(to);
        if (to === "OTHER") await scene.until("told of it", isDifferent, 60_000);
        else
          await scene.until(
            "nobody answers",
            ({ tb_reachable, fb_reachable }) => !tb_reachable && !fb_reachable,
          );
        const before = appenders.map((each) => each.lines());
        await eventually(
          () => appenders.every((each, index) => each.lines() > (before[index] ?? 0) + 3),
          60_000,
          100,
        );
        assert.deepEqual(
          appenders.filter((each) => each.failed()),
          [],
        );
        await scene.edit("cables");
        await scene.until("right again", (share) => isServed(share) && !isDifferent(share));
      }
      const written = await Promise.all(appenders.map((each) => each.end()));
      for (const [index, name] of names.entries()) {
        const lines = ((await scene.onServer("A", name)) ?? "").split("\n").length - 1;
        assert.ok(lines >= (written[index] ?? 0), `${name}: ${lines} of ${written[index]}`);
        await assertNowhereElse(scene, name);
      }
    }));
});
