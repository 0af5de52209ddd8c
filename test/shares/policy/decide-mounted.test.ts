// What is mounted when nothing is, and what happens when the host that serves is gone.
import assert from "node:assert/strict";
import test, { describe } from "node:test";
import { mountedOver, OTHER } from "../mounted-world.ts";
import { World } from "../world.ts";
import { PLAIN_STARTS, stories } from "./stories.ts";

const STARTS = {
  ...PLAIN_STARTS,
  "over tb": () => mountedOver("tb"),
  "over fallback": () => mountedOver("fallback"),
};

describe("not mounted", () => {
  stories(
    STARTS,
    `
What to mount: over tb if it answers
  a new share, 0 s: steps mount tb, serves over tb, no error
What to mount: else over fallback
  a new share, tb refused, 0 s: steps mount fallback
What to mount: else it stays unmounted, last_error says why, and the first host to answer mounts
  a new share, tb silent, fallback link_down, 10 s: no steps, error /neither host answers.*silent.*link_down/
  : told share.error once
  fallback answers, 4 s: steps mount fallback, no error, told share.error_cleared
What to mount: a mount that vanished comes back
  over tb, it vanishes, 2 s: steps mount tb, told share.vanished
What to mount: an unset variable, a taken path or a missing program mounts nothing and says so
  a new share, the variable NAS_PASSWORD is not set, 4 s: no steps, condition variable_missing
  switch tb --force: result failed, no steps; switch fallback --force: result failed, no steps
  a new share, the driver is gone, 4 s: no steps, error /^rclone is not installed$/
`,
  );

  test("how long it is mounted counts from its newest mount, whichever route it had before", () => {
    const world = mountedOver("tb");
    world.ask({ kind: "unmount" }).advance(60_000);
    const atMs = world.wallMs;
    world.ask({ kind: "mount" }).advance(1_000);
    assert.ok((world.memory.lastSwitchAt ?? 0) >= atMs);
  });

  test("What to mount: a host that connects and does not speak SMB does not answer", () => {
    const world = new World();
    world.hosts.tb = "wedged";
    world.advance(0);
    assert.deepEqual(world.stepKinds, ["mount fallback"]);
    assert.equal(world.memory.tbHealthySince, null);
    assert.notEqual(world.memory.tbReachableSince, null);
  });

  test("What to mount: a mount over tb that fails is followed by one over fallback, then by pauses", () => {
    const world = new World();
    world.mountFails = { tb: "wrong password", fallback: "wrong password" };
    world.advance(0);
    assert.deepEqual(world.stepKinds, ["mount tb", "mount fallback"]);
    assert.match(world.memory.lastError ?? "", /10\.0\.1\.2: wrong password; 10\.0\.2\.2: wrong password/);
    world.fresh().advance(120_000);
    const rounds = world.stepKinds.length / 2;
    assert.ok(rounds >= 6 && rounds <= 8, `${rounds} rounds in two minutes`);
    const pauses = world.taking.map(({ atMs }, index) => atMs - (world.taking[index - 1]?.atMs ?? 0));
    assert.ok(Math.max(...pauses.slice(1)) <= 61_000);
    world.fresh().event();
    assert.deepEqual(world.stepKinds, ["mount tb", "mount fallback"]);
  });

  test("What to mount: a mount that ends as soon as it is made is a failure, and not tried without end", () => {
    const world = new World();
    world.mountsDieAtOnce = true;
    world.advance(30_000);
    assert.ok(world.taking.length < 40, world.stepKinds.join(" "));
    assert.notEqual(world.memory.lastError, null);
    world.mountsDieAtOnce = false;
    world.advance(60_000);
    assert.equal(world.route, "tb");
    assert.equal(world.memory.lastError, null);
  });

  test("What to mount: a mount whose process keeps crashing comes back at once, then with growing pauses", () => {
    const world = new World().advance(500).fresh();
    let mounts = 0;
    const startMs = world.nowMs;
    while (world.nowMs < startMs + 60_000) {
      if (world.mount !== null) {
        world.mount.processGone = true;
        const before = world.taking.length;
        world.cycle(world.nowMs);
        if (mounts === 0) assert.ok(world.taking.length > before, "the first time at once");
        if (world.taking.length === before) assert.match(world.memory.lastError ?? "", /after a pause/);
      }
      world.advance(100);
      mounts = world.stepKinds.filter((kind) => kind.startsWith("mount")).length;
    }
    assert.ok(mounts >= 3 && mounts <= 8, `${mounts} mounts in a minute`);
    world.advance(90_000);
    assert.equal(world.memory.lastError, null, "told although it is over");
  });
});

describe("active host gone", () => {
  for (const route of ["tb", "fallback"] as const) {
    const failover = `steps check > unmount force > mount ${OTHER[route]}, serves over ${OTHER[route]}`;
    test(`What to mount: ${route} refused is confirmed by a second probe 250 ms later, then fails over`, () => {
      const world = mountedOver(route);
      world.hosts[route] = "refused";
      const cutMs = world.nowMs;
      world.event();
      assert.deepEqual(world.stepKinds, []);
      world.advance(249);
      assert.deepEqual(world.stepKinds, []);
      world.advance(1);
      assert.deepEqual(world.stepKinds, ["check", "unmount force", `mount ${OTHER[route]}`]);
      assert.ok(world.nowMs - cutMs < 400);
      assert.equal(world.memory.activeInterface, OTHER[route]);
      assert.notEqual(world.memory.lastSwitchAt, null);
      assert.ok(world.transitionNames.includes("share.failover"));
    });

    stories(
      STARTS,
      `
A2 ${route} link_down: this machine's own word needs no second probe
  over ${route}, ${route} link_down, event: ${failover}
What to mount: ${route} back before its loss is confirmed: nothing is done
  over ${route}, ${route} refused, event, ${route} answers, 10 s: no steps
`,
    );
  }

  test("What to mount: the open files that a failover costs are counted and logged", () => {
    const world = mountedOver("tb");
    world.holders = [11, 12];
    world.unsent = ["a.txt"];
    world.hosts.tb = "link_down";
    world.advance(5000);
    const unmounted = world.transitions.find(({ name }) => name === "share.unmounted");
    assert.ok(unmounted?.name === "share.unmounted");
    const { forced, open_files, unsent_files } = unmounted;
    assert.deepEqual([forced, open_files, unsent_files], [true, 2, 1]);
    assert.ok(world.conditionCodes.includes("unsent_files"));
    world.unsent = [];
    world.advance(4000);
    assert.ok(!world.conditionCodes.includes("unsent_files"));
  });

  test("What to mount: a check that fails or is late holds up no failover, and is asked for once", () => {
    const world = mountedOver("tb");
    world.checkFails = "no answer in 2 s";
    world.checkTakesMs = 5000;
    world.hosts.tb = "link_down";
    world.advance(8000);
    assert.deepEqual(world.stepKinds, ["check", "unmount force", "mount fallback"]);
    const unmounted = world.transitions.find(({ name }) => name === "share.unmounted");
    assert.ok(
      unmounted?.name === "share.unmounted" && unmounted.open_files === null,
      "nobody knows how many",
    );
  });

  test("What to mount: silence over which a readdir gives no answer for 1 s fails over", () => {
    const world = mountedOver("tb");
    world.hosts.tb = "silent";
    const cutMs = world.nowMs;
    world.event();
    world.advance(4000);
    assert.deepEqual(world.stepKinds, ["check", "unmount force", "mount fallback"]);
    const unmountedAfter = (world.taking[1]?.atMs ?? 0) - cutMs;
    assert.ok(unmountedAfter >= 1000 && unmountedAfter <= 2500, String(unmountedAfter));
  });

  stories(
    STARTS,
    `
What to mount: a failover whose mount fails is retried once, then left with last_error and pauses
  over tb, tb link_down, mounts over fallback fail: refused, event, 300 ms
  : steps check > unmount force > mount fallback > mount fallback, error /^10.0.2.2: refused. 10.0.2.2: refused$/
  : serves over none
  mounts work, 5 s: on fallback, no error
What to mount: a forced unmount that fails is not hammered, and tried again
  over tb, tb link_down, unmounts fail: not permitted, 60 s: 3 to 8 times unmount force, error /not permitted/
  unmounts work, 61 s: on fallback
What to mount: a failover whose unmount says ok mounts nothing while the mount is in the table
  over tb, tb link_down, unmounts do nothing, 60 s: 3 to 8 times unmount force, no step mount
  : error /still in the table of mounts/
  unmounts work, 61 s: on fallback
What to mount: silence over which the mount answers keeps it, with condition route_slow
  over tb, tb silent, its connection lives on, fresh, 20 s: no steps, condition route_slow
  tb answers, 2 s: no condition route_slow
What to mount: silence over which a readdir fails, or whose process is gone, fails over
  over tb, tb silent, the mount says EIO, 5 s: on fallback
  over tb, tb silent, its process is gone, 5 s: on fallback
What to mount: an old look over a host now silent proves nothing
  over tb, tb silent, event: no condition route_slow, wakes for confirm
`,
  );
});

describe("shares that rest", () => {
  test("What to mount: a calm share takes no step, tells nothing and writes nothing", () => {
    const world = mountedOver("tb");
    const { memory } = world;
    world.advance(60_000);
    assert.deepEqual([world.stepKinds, world.transitionNames], [[], []]);
    assert.equal(world.memory, memory);
  });
});
