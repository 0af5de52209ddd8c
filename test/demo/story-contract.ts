// The promises of the story with every driver.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { leftBehind, type RunningDemo, startDemo } from "./demo-process.ts";

const STEPS = { local: 14, smb: 20 } as const;

function ticks(demo: RunningDemo): number {
  return demo
    .stdout()
    .split("\n")
    .filter((line) => line.startsWith("✓")).length;
}

/** `skip`: the reason why the story cannot run here, or false. */
export function testStory(driver: "local" | "smb", skip: string | false): void {
  // Concurrent, because each test waits most of its time.
  describe(`the demo's script, driver ${driver}`, { skip, concurrency: 2 }, () => {
    test("A7, A10 plays every step, names its driver, and leaves nothing behind", async (t) => {
      const demo = await startDemo(t, ["--script", "--driver", driver]);
      const end = await demo.ended;
      assert.deepEqual(end, { code: 0, signal: null }, demo.stdout() + demo.stderr());
      assert.equal(ticks(demo), STEPS[driver], demo.stdout());
      assert.match(demo.stdout(), driver === "smb" ? /real SMB: smbd/ : /plain folders \(driver local\)/);
      assert.match(demo.stdout(), /readable over Fallback \d+ ms after the cut/);
      assert.match(demo.stdout(), /TB Ready/);
      if (driver === "smb")
        assert.match(
          demo.stdout(),
          /\d+ MB\/s[\s\S]*the copy is whole, and all \d+ lines are there; moves: [2-9]/,
        );
      assert.match(demo.stdout(), new RegExp(`^all ${STEPS[driver]} steps went as told, in [\\d.]+ s$`, "m"));
      assert.match(demo.stdout(), /^In a clone, type first: export PATH=/m);
      assert.equal(demo.stderr(), "");
      assert.deepEqual(await leftBehind(demo.temporary), []);
    });

    const cuts = [
      { signal: "SIGINT", afterSteps: 0, code: 130 },
      { signal: "SIGINT", afterSteps: 2, code: 130 },
      { signal: "SIGTERM", afterSteps: 5, code: 143 },
    ] as const;
    for (const { signal, afterSteps, code } of cuts) {
      test(`clears everything when ${signal} arrives after ${afterSteps} steps`, async (t) => {
        const demo = await startDemo(t, ["--script", "--driver", driver]);
        await eventually(() => ticks(demo) >= afterSteps && /everything is in/.test(demo.stdout()), 60_000);
        demo.child.kill(signal);
        const end = await demo.ended;
        assert.deepEqual(end, { code, signal: null }, demo.stdout() + demo.stderr());
        assert.deepEqual(await leftBehind(demo.temporary), []);
      });
    }

    // Folders are not carried.
    for (const signal of driver === "smb" ? (["SIGINT", "SIGKILL"] as const) : []) {
      test(`A10 clears everything when ${signal} arrives while programs work on a share that moves`, async (t) => {
        const demo = await startDemo(t, ["--script", "--driver", driver]);
        await eventually(() => /one program copies/.test(demo.stdout()), 90_000);
        demo.child.kill(signal);
        await demo.ended;
        await eventually(async () => (await leftBehind(demo.temporary)).length === 0);
      });
    }

    test("clears everything although a second Ctrl-C leaves it no time", async (t) => {
      const demo = await startDemo(t, ["--script", "--driver", driver]);
      await eventually(() => ticks(demo) >= 2, 60_000);
      demo.child.kill("SIGINT");
      demo.child.kill("SIGINT");
      assert.equal((await demo.ended).code, 130);
      await eventually(async () => (await leftBehind(demo.temporary)).length === 0);
    });

    test("clears everything after it was killed with a file open and a cable pulled", async (t) => {
      const demo = await startDemo(t, ["--script", "--driver", driver]);
      // The next step begins with opening a file.
      await eventually(() => ticks(demo) >= 2, 60_000);
      demo.child.kill("SIGKILL");
      await demo.ended;
      await eventually(async () => (await leftBehind(demo.temporary)).length === 0);
    });
  });
}
