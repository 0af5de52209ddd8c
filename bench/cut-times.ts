// How long after a cut shares are readable again, moved and mounted per route side by side in one daemon: one of each
// for every kind of cut, and many at once, cut in calm and while they go back.
import { join } from "node:path";
import { type RootRig, startRootRig } from "../test/rig/root-rig.ts";
import type { Cuts, Restore } from "../test/rig/root-rig-network.ts";
import { createTestHome, type TestHome } from "../test/support/daemon.ts";
import { goal, median, round, say, spread } from "./figures.ts";
import { monotonicMs, prepareReadable, type ShareReaders, startShareReaders } from "./share-readers.ts";

const WAIT_MS = 60_000;
/** After a link came up its last event comes 1.4 s later, and the server behind it is proved again. */
const CALM_MS = 3000;
const READ_EVERY_MS = 10;
const MANY = 20;
const MANY_SHORT = 6;

const CUTS: readonly { readonly name: string; readonly cut: keyof Cuts; readonly goalMs: number | null }[] = [
  { name: "own link down", cut: "ownLinkDown", goalMs: 400 },
  { name: "far end of the cable down", cut: "carrierLost", goalMs: 400 },
  { name: "far link down, a switch between", cut: "farLinkDown", goalMs: 1800 },
  { name: "silence under load", cut: "silence", goalMs: 1800 },
];
const GOAL_MANY_MS = 1500;

type Kind = "moved" | "per route";

interface Scene extends AsyncDisposable {
  readonly rig: RootRig;
  readonly home: TestHome;
  readonly names: readonly string[];
  readonly readers: ShareReaders;
}

/** Readable again after each kind of cut, one share of each kind, in the same rounds. */
export async function benchCuts(rounds: number): Promise<void> {
  await using scene = await startScene(["MOVED", "ROUTE"], 1);
  for (const { name, cut, goalMs } of CUTS) {
    const moved: number[] = [];
    const perRoute: number[] = [];
    for (let index = 0; index < rounds; index++) {
      await settled(scene);
      const restore = await scene.rig.cut[cut]();
      const [ofMoved = Number.NaN, ofRoute = Number.NaN] = await scene.readers.readableAfter(
        monotonicMs(),
        WAIT_MS,
      );
      moved.push(ofMoved);
      perRoute.push(ofRoute);
      await goBack(scene, restore);
    }
    say(`  ${name}`);
    say(`    moved          ${spread(moved)}`);
    say(`    per route      ${spread(perRoute)}`);
    if (goalMs !== null) goal(`moved, ${name}: readable after ≤ ${goalMs} ms`, median(moved) <= goalMs);
  }
}

/** Many shares of one kind, the slowest of them: cut in calm, and while they are going back. */
export async function benchMany(rounds: number, short: boolean): Promise<void> {
  const count = short ? MANY_SHORT : MANY;
  for (const kind of ["moved", "per route"] as const) {
    const names = Array.from({ length: count }, (_, index) =>
      kind === "moved" ? `MOVED${index}` : `ROUTE${index}`,
    );
    await using scene = await startScene(names, 10);
    const inCalm: number[] = [];
    const goingBack: number[] = [];
    for (let index = 0; index < rounds; index++) {
      await settled(scene);
      const restore = await scene.rig.cut.ownLinkDown();
      inCalm.push(Math.max(...(await scene.readers.readableAfter(monotonicMs(), WAIT_MS))));
      await restore();
      await calm();
      // Some of them have moved, some are about to, some are under way.
      const switching = await beginGoingBack(scene);
      const again = await scene.rig.cut.ownLinkDown();
      goingBack.push(Math.max(...(await scene.readers.readableAfter(monotonicMs(), WAIT_MS))));
      await switching.done;
      await goBack(scene, again);
    }
    say(`  ${count} shares ${kind}, the slowest`);
    say(`    cut in calm           ${spread(inCalm)}`);
    say(`    cut while going back  ${spread(goingBack)}`);
    if (kind === "per route") continue;
    goal(`${count} shares, cut in calm ≤ ${GOAL_MANY_MS} ms`, median(inCalm) <= GOAL_MANY_MS);
    goal(`${count} shares, cut while going back ≤ ${GOAL_MANY_MS} ms`, median(goingBack) <= GOAL_MANY_MS);
  }
}

async function startScene(names: readonly string[], slower: number): Promise<Scene> {
  await using starting = new AsyncDisposableStack();
  const onServer = (name: string): string => `${name}-${process.pid.toString(36)}`;
  const rig = starting.use(await startRootRig({ shares: names.map(onServer), oneServer: true }));
  await Promise.all(names.map((name) => prepareReadable(rig.exportPath(onServer(name)))));
  const home = await createTestHome({
    home: join(rig.folder, "home"),
    enter: rig.enter,
    env: { BENCH_PASSWORD: rig.password },
    config: [
      `[global]\nshares_root = "${join(rig.folder, "Shares")}"`,
      "auto_failback = false\nlsof_recheck = false",
      ...names.map((name) =>
        [
          `[[shares]]\nname = "${name}"\nshare_name = "${onServer(name)}"`,
          `on_route_change = "${kindOf(name) === "moved" ? "move" : "remount"}"`,
          `thunderbolt_host = "${rig.tbHost}"\nfallback_host = "${rig.fallbackHost}"`,
          `username = "${rig.username}"\npassword = "\${BENCH_PASSWORD}"`,
        ].join("\n"),
      ),
    ].join("\n"),
  });
  const monitor = await home.startMonitor(["--unmount-on-exit"]);
  starting.defer(async () => {
    await rig.restoreAll();
    await home.cli(["unmount", "--force"], WAIT_MS);
    await monitor[Symbol.asyncDispose]();
  });
  const scene = { rig, home, names };
  await untilAllOver(scene, "tb");
  const shares = names.map((name) => join(rig.folder, "Shares", name));
  const readers = starting.use(startShareReaders(shares, READ_EVERY_MS * slower));
  const ends = starting.move();
  return { ...scene, readers, [Symbol.asyncDispose]: () => ends.disposeAsync() };
}

function kindOf(name: string): Kind {
  return name.startsWith("MOVED") ? "moved" : "per route";
}

/** All over Thunderbolt, and quiet. */
async function settled(scene: Scene): Promise<void> {
  await untilAllOver(scene, "tb");
  await calm();
}

async function goBack(scene: Scene, restore: Restore): Promise<void> {
  await untilAllOver(scene, "fallback");
  await restore();
  const deadlineMs = monotonicMs() + WAIT_MS;
  for (;;) {
    const { code, stderr, stdout } = await scene.home.cli(["switch", "--to", "tb", "--force"], WAIT_MS);
    if (code === 0) return;
    if (monotonicMs() > deadlineMs) throw new Error(`switch ended with ${code}: ${stdout}${stderr}`);
    await calm();
  }
}

function calm(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, CALM_MS));
}

async function untilAllOver(
  { home, names }: Pick<Scene, "home" | "names">,
  route: "tb" | "fallback",
): Promise<void> {
  await Promise.all(
    names.map((name) =>
      home.untilShare(
        name,
        (share) =>
          share.active_interface === route &&
          share.mount_alive &&
          (kindOf(name) === "per route" || share.moves?.phase === "serving"),
        WAIT_MS,
      ),
    ),
  );
}

/** Resolves when the first share has moved; `done`: the command has ended. */
async function beginGoingBack(scene: Scene): Promise<{ readonly done: Promise<unknown> }> {
  const deadlineMs = monotonicMs() + WAIT_MS;
  while (monotonicMs() < deadlineMs) {
    const switching = scene.home.cli(["switch", "--to", "tb", "--force"], WAIT_MS);
    let ended = "";
    const done = switching.then(({ code, stdout, stderr }) => {
      ended = `switch ended with ${code}: ${stdout}${stderr}`;
    });
    while (ended === "") {
      const report = await scene.home.glance();
      if (report?.shares.some(({ active_interface }) => active_interface === "tb")) return { done };
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    say(`    ${ended}`);
    await calm();
  }
  throw new Error(`no share went over tb within ${round(WAIT_MS)} ms`);
}
