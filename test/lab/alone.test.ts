// The daemon is stopped or killed, and then a cable is cut: the program of the mount moves alone, and only to the server that
// it was mounted from.
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { missingForTwoServers } from "../rig/two-servers.ts";
import type { Monitor } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { longestEndingIn, type Program, startProgram } from "./load.ts";
import { writeKnownFile } from "./programs/known-bytes.ts";
import { monotonicMs, type WorkLine } from "./programs/work-log.ts";
import { isServed, playServers, type ServersScene } from "./servers-scene.ts";

const missing = await missingForTwoServers();
/** 32 MiB. */
const BLOCKS = 8_192;
/** Programs wait for their server all through a story, on a busy machine, too. */
const SETTINGS = ["outage_patience_secs = 120"];

interface Daemon {
  /** It gives no answer from now on. */
  rest(): Promise<void>;
  /** It is back. */
  wake(): Promise<unknown>;
}

const DAEMONS: readonly (readonly [string, (scene: ServersScene, monitor: Monitor) => Daemon])[] = [
  [
    "is stopped",
    (_, monitor) => ({
      rest: async () => monitor.signal("SIGSTOP"),
      wake: async () => monitor.signal("SIGCONT"),
    }),
  ],
  ["is killed", (scene, monitor) => ({ rest: () => monitor.kill9(), wake: () => scene.start() })],
];

interface Story {
  readonly scene: ServersScene;
  readonly daemon: Daemon;
  readonly reader: Program;
}

/** A file is being read over tb, and both routes answer. */
async function play(
  t: TestContext,
  daemonOf: (scene: ServersScene, monitor: Monitor) => Daemon,
  story: (parts: Story) => Promise<void>,
): Promise<void> {
  await playServers(t, SETTINGS, async (scene) => {
    await writeKnownFile(scene.exported("A", "large.bin"), BLOCKS, "right");
    await writeKnownFile(scene.exported("CLONE", "large.bin"), BLOCKS, "wrong");
    const monitor = await scene.start();
    await scene.until(
      "mounted over tb",
      (share) => isServed(share) && share.active_interface === "tb" && share.fb_reachable,
    );
    const file = join(scene.mounted, "large.bin");
    await using reader = await startProgram(`${scene.home.folder}/logs`, "reader", "read-large-file.ts", [
      file,
      "right",
    ]);
    await story({ scene, daemon: daemonOf(scene, monitor), reader });
  });
}

async function hasNoted(scene: ServersScene, is: string): Promise<boolean> {
  return (await scene.journal()).includes(`"is":"${is}"`);
}

async function readsSince(reader: Program, atMs: number): Promise<readonly WorkLine[]> {
  return (await reader.lines()).filter(({ fromMs, error }) => fromMs > atMs && error === null);
}

async function assertNothingFailed(reader: Program): Promise<void> {
  assert.deepEqual(
    (await reader.lines()).filter(({ error }) => error !== null),
    [],
  );
}

describe("a mount without the daemon", { skip: missing ?? false, timeout: 600_000 }, () => {
  for (const [what, daemonOf] of DAEMONS) {
    // Either cut once: what the program sees of a cable is the same whatever became of the daemon.
    const isStopped = what === "is stopped";
    const cut = isStopped ? "drop" : "refuse";
    const reported = isStopped ? "share.failover" : "moved while no daemon answered";
    test(`A10 the daemon ${what}, then the cable (${cut}): reads of an open file continue over the other route`, (t) =>
      play(t, daemonOf, async ({ scene, daemon, reader }) => {
        await daemon.rest();
        const cutAtMs = monotonicMs();
        await scene.cables.tb.setMode(cut);
        await eventually(() => hasNoted(scene, "moved"), 60_000, 50);
        const movedAtMs = monotonicMs();
        await eventually(async () => (await readsSince(reader, movedAtMs)).length > 20, 60_000, 50);
        // Aim: 4 s. No claim of speed on a busy machine.
        const longestMs = longestEndingIn(await reader.lines(), cutAtMs, Number.POSITIVE_INFINITY);
        t.diagnostic(
          `moved ${Math.round(movedAtMs - cutAtMs)} ms after the cut, longest read ${Math.round(longestMs)} ms`,
        );
        await daemon.wake();
        await scene.until("moved", (share) => isServed(share) && share.active_interface === "fallback");
        await eventually(async () => (await scene.home.logged(reported)).length === 1, 30_000, 100);
        await assertNothingFailed(reader);
      }));

    test(`A13 the daemon ${what}, another NAS takes the other route, then the cable: it gets nothing, and the daemon reports it`, (t) =>
      play(t, daemonOf, async ({ scene, daemon, reader }) => {
        await daemon.rest();
        scene.lead("fallback", "CLONE");
        await scene.cables.tb.setMode("refuse");
        const written = scene.sh(`printf 'of A' > '${scene.mounted}/precious.txt'`, 150_000);
        await eventually(() => hasNoted(scene, "other_server"), 60_000, 50);
        assert.equal(await hasNoted(scene, "moved"), false);
        scene.lead("fallback", "A");
        await daemon.wake();
        await scene.until(
          "moved",
          (share) => isServed(share) && share.active_interface === "fallback",
          90_000,
        );
        const backAtMs = monotonicMs();
        await eventually(async () => (await readsSince(reader, backAtMs)).length > 20, 60_000, 100);
        assert.notEqual(await written, null, "the program waited for its server");
        assert.equal(await scene.onServer("A", "precious.txt"), "of A");
        assert.equal(await scene.onServer("CLONE", "precious.txt"), null);
        await assertNothingFailed(reader);
      }));
  }
});
