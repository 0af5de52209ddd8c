// What a program writes goes to the server that it was written for, or waits: another server at the same address, behind
// the other route, or in an edited configuration.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { missingForTwoServers } from "../shares/server-proof/two-servers.ts";
import { eventually } from "../support/eventually.ts";
import { pluck } from "../support/pluck.ts";
import { startAppender } from "./appender.ts";
import {
  isCarried,
  isMounted,
  playServers,
  SERVER_NAMES,
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

/** rclone has it, and not the server yet: the cables are cut before it is sent. */
async function writeUnsent(scene: ServersScene, name: string): Promise<void> {
  assert.notEqual(await scene.sh(`printf 'of A' > '${scene.mounted}/${name}'`), null);
  await Promise.all([scene.cables.tb.setMode("refuse"), scene.cables.fallback.setMode("refuse")]);
}

async function assertNowhereElse(scene: ServersScene, name: string): Promise<void> {
  for (const server of SERVER_NAMES)
    if (server !== "A") assert.equal(await scene.onServer(server, name), null, `${name} is on ${server}`);
}

describe("servers", { skip: missing ?? false, timeout: 600_000 }, () => {
  for (const [how, settings, thieves] of [
    // A share that saw a second server behind its routes is not relayed again for a while.
    ["carried", [], ["CLONE"]],
    ["carried", [], ["OTHER"]],
    ["mounted for each route", ['on_route_change = "remount"'], ["CLONE", "OTHER"]],
  ] as const)
    test(`A13 a server that answers at another one's address gets nothing that was written for the other: ${thieves.join(", ")}, ${how}`, (t) =>
      play(t, settings, async (scene) => {
        for (const thief of thieves) {
          const file = `precious-${thief}.txt`;
          await scene.until(
            "mounted",
            (share) =>
              (how === "carried" ? isCarried : isMounted)(share) && share.tb_reachable && share.fb_reachable,
          );
          await writeUnsent(scene, file);
          assert.equal(await scene.onServer("A", file), null);
          for (const route of ["tb", "fallback"] as const) {
            await scene.lead(route, thief);
            await scene.cables[route].setMode("pass");
          }
          const told = await scene.until("told what waits", ({ conditions }) =>
            conditions.some(({ code }) => code === "unsent_elsewhere"),
          );
          assert.ok(JSON.stringify(told.conditions).includes(file), thief);
          await assertNowhereElse(scene, file);
          const waiting = (await scene.unsent()).filter(({ in_use }) => !in_use);
          assert.deepEqual(
            waiting.map(({ files }) => files.map(({ path, bytes }) => [path, bytes])),
            [[[file, 4]]],
          );
          // It is back, and gets what is its own.
          await scene.lead("tb", "A");
          await scene.lead("fallback", "A");
          await eventually(async () => (await scene.onServer("A", file)) === "of A", 60_000, 100);
          await eventually(async () => (await scene.unsent()).length === 0, 30_000, 100);
          await assertNowhereElse(scene, file);
        }
      }));

  test("A13 a clone that takes the server's place between its proof and the mount gets no earlier writes", (t) =>
    play(t, [], async (scene) => {
      await scene.until("carried", isCarried);
      assert.notEqual(await scene.sh(`printf 'of A' > '${scene.mounted}/precious.txt'`), null);
      await scene.home.cli(["unmount", "--share", SHARE, "--force"]);
      assert.equal(await scene.onServer("A", "precious.txt"), null, "it is not sent yet");
      // Both go on to answer, with the same ServerGuid: no look sees a difference.
      for (const route of ["tb", "fallback"] as const) await scene.lead(route, "CLONE");
      await scene.home.cli(["mount", "--share", SHARE]);
      await scene.until("mounted", isMounted);
      await eventually(
        async () => (await scene.sh(`cat '${scene.mounted}/one-more.txt'`)) === "of the clone",
        60_000,
        200,
      );
      await assertNowhereElse(scene, "precious.txt");
      const waiting = (await scene.unsent()).filter(({ in_use }) => !in_use);
      assert.deepEqual(
        waiting.flatMap(({ files }) => files.map(({ path }) => path)),
        ["precious.txt"],
      );
    }));

  test("A13 the hosts are edited to another NAS while both routes are away: it gets nothing, until a person confirms it", (t) =>
    play(t, [], async (scene) => {
      await scene.until("carried", isCarried);
      await writeUnsent(scene, "precious.txt");
      await scene.edit("OTHER");
      await scene.until(
        "mounted from the other",
        (share) => isMounted(share) && share.conditions.some(({ code }) => code === "unsent_elsewhere"),
        90_000,
      );
      await assertNowhereElse(scene, "precious.txt");
      const { code, stdout, stderr } = await scene.home.cli([
        "unsent",
        "--share",
        SHARE,
        "--send-here",
        "--json",
      ]);
      assert.equal(code, 0, stdout + stderr);
      await eventually(async () => (await scene.onServer("OTHER", "precious.txt")) === "of A", 30_000, 100);
    }));

  test("A13 hosts edited to a clone of the same name: open files continue where they were, and the clone gets nothing", (t) =>
    play(t, [], async (scene) => {
      await scene.until("carried", isCarried);
      await using appender = startAppender(scene, "lines.txt");
      await eventually(() => appender.lines() > 3);
      await scene.edit("CLONE");
      await scene.until("told that another server is there", ({ conditions }) =>
        conditions.some(
          ({ code, title }) =>
            code === "host_unproved" && title.includes(" is not the server that is mounted"),
        ),
      );
      const before = appender.lines();
      await eventually(() => appender.lines() > before + 5);
      assert.equal(appender.failed(), false);
      const written = await appender.end();
      const onA = async (): Promise<number> =>
        (await scene.onServer("A", "lines.txt"))?.split("\n").filter((line) => line !== "").length ?? 0;
      await eventually(async () => (await onA()) === written, 30_000, 100);
      assert.equal(await scene.onServer("CLONE", "lines.txt"), null);
      // Nothing is open any more: the edit is followed.
      await eventually(
        async () => (await scene.sh(`cat '${scene.mounted}/one-more.txt'`)) === "of the clone",
        60_000,
        200,
      );
      assert.equal(await scene.onServer("CLONE", "lines.txt"), null);
    }));

  test("A13 hosts edited to a wrong NAS, and to one that does not answer, with 20 files open: no error in any, and nothing is written elsewhere", (t) =>
    play(t, [], async (scene) => {
      await scene.until("carried", isCarried);
      const names = Array.from({ length: 20 }, (_, index) => `lines-${index}.txt`);
      await using ends = new AsyncDisposableStack();
      const appenders = names.map((name) => ends.use(startAppender(scene, name)));
      await eventually(() => appenders.every((each) => each.lines() > 1), 60_000, 100);
      for (const to of ["OTHER", "nowhere"] as const) {
        await scene.edit(to);
        await scene.until(
          `told of ${to}`,
          ({ conditions }) => conditions.some(({ code }) => code === "host_unproved"),
          60_000,
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
        await scene.until("right again", ({ conditions }) =>
          conditions.every(({ code }) => code !== "host_unproved"),
        );
      }
      const written = await Promise.all(appenders.map((each) => each.end()));
      const linesOnA = async (name: string): Promise<number> =>
        ((await scene.onServer("A", name)) ?? "").split("\n").length - 1;
      for (const [index, name] of names.entries()) {
        await eventually(async () => (await linesOnA(name)) >= (written[index] ?? 0), 60_000, 100);
        await assertNowhereElse(scene, name);
      }
    }));

  test("A13 hosts edited to another NAS with nothing open are followed, and the log is short", (t) =>
    play(t, [], async (scene) => {
      await scene.until("carried", isCarried);
      await scene.edit("OTHER");
      await eventually(
        async () => (await scene.sh(`ls '${scene.mounted}'`))?.includes("elsewhere.txt"),
        60_000,
        200,
      );
      assert.ok((await scene.home.logged("share.move_failed")).length <= 1);
      assert.ok((await scene.home.logged("share.remounted")).length <= 1);
      await scene.edit("cables");
      await eventually(
        async () => (await scene.sh(`ls '${scene.mounted}'`))?.includes("second.dat"),
        60_000,
        200,
      );
    }));

  test("A13 after an upgrade the previous version's unsent files go only to their server, and are listed with it until then", (t) =>
    play(t, [], async (scene) => {
      await scene.until("carried", isCarried);
      await writeUnsent(scene, "precious.txt");
      await scene.leaveAsBefore();
      for (const route of ["tb", "fallback"] as const) {
        await scene.lead(route, "CLONE");
        await scene.cables[route].setMode("pass");
      }
      await scene.start();
      await scene.until("the clone mounted", isMounted, 90_000);
      const { host, port } = scene.cables.tb;
      const [waiting] = (await scene.unsent()).filter(({ in_use }) => !in_use);
      assert.deepEqual(pluck(waiting?.files ?? [], "path"), ["precious.txt"]);
      assert.ok(waiting?.source?.startsWith(`//${host}:${port}/`));
      await assertNowhereElse(scene, "precious.txt");
      for (const route of ["tb", "fallback"] as const) await scene.lead(route, "A");
      await eventually(async () => (await scene.onServer("A", "precious.txt")) === "of A", 60_000, 100);
      await assertNowhereElse(scene, "precious.txt");
    }));
});
