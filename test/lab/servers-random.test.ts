// Three servers of which two share a ServerGuid: edits, deaths, swaps and restarts at any point. After each story every byte
// that a program was told to be written is on the server it was written for, and on no other.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { missingForTwoServers } from "../rig/two-servers.ts";
import type { Monitor } from "../support/daemon.ts";
import { pick, randomFrom } from "./random.ts";
import { isMounted, playServers, SERVER_NAMES, type ServerName, type ServersScene } from "./servers-scene.ts";

const missing = await missingForTwoServers();
/** `.ci/nightly identity` plays 40. */
const COUNT = process.env["MOUNTAINEER_IDENTITY"] === "all" ? 40 : 4;
const SEED = Number(process.env["MOUNTAINEER_IDENTITY_SEED"] ?? Date.now() % 1_000_000);
const STEPS = 6;
/** By what only one of them has, a program knows whose folder it is in. */
const MARKS: Readonly<Record<ServerName, string>> = {
  A: "only-a.txt",
  CLONE: "one-more.txt",
  OTHER: "elsewhere.txt",
};

describe("servers at random", { skip: missing ?? false, timeout: 6_000_000 }, () => {
  for (let index = 0; index < COUNT; index++) {
    const seed = SEED + index;
    const onRouteChange = index % 2 === 0 ? "move" : "remount";
    test(`A13 every byte that was acknowledged is on its own server, and on no other; seed ${seed}, ${onRouteChange}`, (t) =>
      playServers(t, [`on_route_change = "${onRouteChange}"`], (scene) =>
        playAtRandom(scene, randomFrom(seed), (step) => t.diagnostic(step)),
      ));
  }
});

async function playAtRandom(
  scene: ServersScene,
  random: () => number,
  tell: (step: string) => void,
): Promise<void> {
  let monitor: Monitor = await scene.start();
  await scene.until("mounted", isMounted, 90_000);
  /** Files by the server that the program saw when it wrote. */
  const written = new Map<string, ServerName>();
  let count = 0;
  const write = async (): Promise<void> => {
    const name = `written-${count++}`;
    // In one folder that was opened once, so that the mark and the file are of one mount.
    const out = await scene.sh(`cd '${scene.mounted}/' && ls && printf '%s' ${name} > ${name}`, 8_000);
    const owner = SERVER_NAMES.find((server) => out?.split("\n").includes(MARKS[server]));
    if (owner !== undefined) written.set(name, owner);
  };
  const steps: Readonly<Record<string, () => Promise<unknown>>> = {
    edit: () => scene.edit(pick(random, [...SERVER_NAMES, "cables"] as const)),
    swap: async () => scene.lead(pick(random, ["tb", "fallback"] as const), pick(random, SERVER_NAMES)),
    "swap both": async () => {
      const to = pick(random, SERVER_NAMES);
      await scene.lead("tb", to);
      await scene.lead("fallback", to);
    },
    cut: async () => scene.cables[pick(random, ["tb", "fallback"] as const)].setMode("refuse"),
    "cut both": () =>
      Promise.all([scene.cables.tb.setMode("refuse"), scene.cables.fallback.setMode("refuse")]),
    heal: () => Promise.all([scene.cables.tb.setMode("pass"), scene.cables.fallback.setMode("pass")]),
    "kill the program": async () => {
      for (const pid of await scene.programs()) process.kill(pid, "SIGKILL");
    },
    "restart the daemon": async () => {
      await monitor.kill9();
      monitor = await scene.start();
    },
  };
  for (let step = 0; step < STEPS; step++) {
    await write();
    const name = pick(random, Object.keys(steps));
    tell(`${step}: ${name}`);
    await steps[name]?.();
    if (pick(random, [true, false])) await write();
    await scene.sh(`sleep ${pick(random, [0, 1, 4])}`);
  }
  await scene.cables.tb.setMode("pass");
  await scene.cables.fallback.setMode("pass");
  for (const [name, owner] of written)
    for (const server of SERVER_NAMES)
      assert.equal(
        await scene.onServer(server, name),
        server === owner ? name : null,
        `${name} on ${server}`,
      );
}
