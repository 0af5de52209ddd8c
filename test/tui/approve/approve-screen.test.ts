import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { connectToDaemon } from "../../../src/api/client/client.ts";
import { eventually } from "../../support/eventually.ts";
import { openScene } from "../scene.ts";
import { NO_TERMINAL } from "../terminal.ts";

const config = (args: string): string =>
  `[sync]\npoll_interval = 0.1\ndebounce = 0.05\n[trust]\napprove = "commands"\n[backends.files]\ncommand = "sleep"\nargs = ["${args}"]\n`;

describe("the Approve screen in a terminal", { skip: NO_TERMINAL, concurrency: 2 }, () => {
  test("E2 a pending change is shown, and approved by key: it applies at once", async (t) => {
    await using scene = await openScene(t, { config: config("601"), columns: 140 });
    const { home, terminal } = scene;
    await using _monitor = await home.startMonitor();
    await terminal.until("● live");
    await scene.save(config("602"));
    await terminal.until("Press a to review it");
    await terminal.press("a");
    await terminal.until('+args = ["602"]');
    await terminal.until("y approve");
    const daemon = await connectToDaemon(home.home);
    assert.ok(daemon !== null);
    const waiting = async () =>
      (await daemon.call("approvals", null, AbortSignal.timeout(10_000))).waiting.length;
    await terminal.press("y");
    await terminal.until("Approve backends.files?");
    assert.equal(await waiting(), 1, "nothing is approved before Enter");
    await terminal.press("Escape");
    await terminal.until("y approve");
    assert.equal(await waiting(), 1);
    await terminal.press("y", "Enter");
    await terminal.until("approved and applied: backends.files");
    await terminal.until("nothing waits for approval");
    assert.equal(await waiting(), 0);
    await eventually(async () => (await scene.sync()).waiting?.length !== 1);
    await scene.save(config("603"));
    await terminal.until('-args = ["602"]');
    await terminal.press("s");
    await terminal.until("Press a to review it");
  });
});
