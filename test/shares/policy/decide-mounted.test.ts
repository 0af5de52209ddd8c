// What is mounted when nothing is, what becomes of what is mounted already, and of a mount whose host is gone.
import assert from "node:assert/strict";
import test, { describe } from "node:test";
import { CONFIRM_AFTER_MS } from "../../../src/reconcile/route-health.ts";
import { otherRoute } from "../../../src/shares/share-spec.ts";
import { CACHE_MS, World } from "../world.ts";
import { mountedOver, PLAIN_STARTS, stories } from "./stories.ts";

const STARTS = {
  ...PLAIN_STARTS,
  "over tb": () => mountedOver("tb"),
  "over fallback": () => mountedOver("fallback"),
  "a new share without recoveries": () => new World({ autoFailback: false, lsofRecheck: false }),
  "a failover was interrupted": () => interrupted("failover"),
  "a remount was interrupted": () => interrupted("remount"),
};

function interrupted(kind: "failover" | "remount"): World {
  const world = mountedOver("tb");
  world.state = {
    ...world.state,
    operation: {
      kind,
      reason: "the host was gone",
      startedAtMs: world.nowMs,
      from: "tb",
      mode: "force",
      plan: kind === "failover" ? ["fallback", "fallback"] : ["tb", "fallback"],
      target: null,
      failures: [],
      mountId: world.mount?.id ?? null,
      isChecked: true,
      interrupted: null,
      isRequested: false,
    },
  };
  return world;
}

describe("not mounted", () => {
  stories(
    STARTS,
    `
What to mount: over tb if it answers
  a new share, 0 s: steps mount tb, serves over tb, no error
What to mount: else over fallback
  a new share, tb refused, 0 s: steps mount fallback
What to mount: else it stays unmounted, last_error gives the reason, and the first host to answer mounts
  a new share, tb silent, fallback link_down, 10 s: no steps, error /neither host answers.*silent.*link_down/
  : told share.error once
  fallback answers, 4 s: steps mount fallback, no error, told share.error_cleared
What to mount: a mount that vanished is remounted
  over tb, it vanishes, 2 s: steps mount tb, told share.vanished
What to mount: a host that connects and does not speak SMB does not answer
  a new share, tb wedged, 0 s: steps mount fallback, tb only connects
What to mount: where no host answers in time, the one that takes the connection is tried, with pauses
  a new share, tb wedged, fallback refused, 2 s: first steps mount tb; 60 s: fewer than 12 steps, some error
What to mount: a mount that ends as soon as it is made is a failure, and not tried without end
  a new share, mounts die at once, 30 s: fewer than 40 steps, some error; mounts live, 60 s: on tb, no error
What to mount: an unset variable, a taken path or a missing program mounts nothing and is reported
  a new share, the variable NAS_PASSWORD is not set, 4 s: no steps, condition variable_missing
  switch tb --force: result failed, no steps; switch fallback --force: result failed, no steps
  a new share, the driver is gone, 4 s: no steps, error /^mountaineer-fs is not installed$/
`,
  );

  test("the age of a mount counts from the newest mount, whichever route it had before", () => {
    const world = mountedOver("tb");
    world.ask({ kind: "unmount" }).advance(60_000);
    const atMs = world.wallMs;
    world.ask({ kind: "mount" }).advance(1_000);
    assert.ok((world.memory.lastSwitchAt ?? 0) >= atMs);
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

  test("What to mount: a mount whose process keeps crashing is remounted at once, then at growing intervals", () => {
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
    const other = otherRoute(route);
    const failover = `steps check > unmount force > mount ${other}, serves over ${other}`;
    test(`What to mount: ${route} refused is confirmed by a second probe 250 ms later, then fails over`, () => {
      const world = mountedOver(route);
      world.hosts[route] = "refused";
      const cutMs = world.nowMs;
      world.event();
      assert.deepEqual(world.stepKinds, []);
      world.advance(249);
      assert.deepEqual(world.stepKinds, []);
      world.advance(1);
      assert.deepEqual(world.stepKinds, ["check", "unmount force", `mount ${other}`]);
      assert.ok(world.nowMs - cutMs < 400);
      assert.equal(world.memory.activeInterface, other);
      assert.notEqual(world.memory.lastSwitchAt, null);
      assert.ok(world.transitionNames.includes("share.failover"));
    });

    stories(
      STARTS,
      `
A2 ${route} link_down: this machine's own report needs no second probe
  over ${route}, ${route} link_down, event: ${failover}
What to mount: ${route} back before its loss is confirmed: nothing is done
  over ${route}, ${route} refused, event, ${route} answers, 10 s: no steps
`,
    );
  }

  test("What to mount: silence during which a readdir gets no answer for 1 s fails over", () => {
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
What to mount: the open files that a failover cuts off are counted and logged
  over tb, open 11 12, tb link_down, 5 s: unmounted by force with 2 open
What to mount: a check that fails or is late delays no failover, and is requested once
  over tb, checks fail, checks take 5000 ms, tb link_down, 8 s: steps check > unmount force > mount fallback
  : unmounted by force with unknown open
What to mount: a failover whose mount fails is retried once, then left with last_error and pauses
  over tb, tb link_down, mounts over fallback fail: refused, event, 300 ms
  : steps check > unmount force > mount fallback > mount fallback, error /^10.0.2.2: refused. 10.0.2.2: refused$/
  : serves over none
  mounts work, 5 s: on fallback, no error
What to mount: a failover whose second try mounts does not count as a failed failback
  over tb, tb link_down, mounts over fallback fail: refused, in the second step in the next step mounts work, event
  : steps check > unmount force > mount fallback > mount fallback; tb answers, event: no condition recovery_failed
What to mount: a forced unmount that fails is retried, without haste
  over tb, tb link_down, unmounts fail: not permitted, 60 s: 3 to 8 times unmount force, error /not permitted/
  unmounts work, 61 s: on fallback
What to mount: a failover whose unmount reports ok mounts nothing while the mount is in the table
  over tb, tb link_down, unmounts do nothing, 60 s: 3 to 8 times unmount force, no step mount
  : error /still in the mount table/
  unmounts work, 61 s: on fallback
What to mount: silence over which the mount answers keeps it, with condition route_slow
  over tb, tb silent, its connection lives on, fresh, 20 s: no steps, condition route_slow
  tb answers, 2 s: no condition route_slow
What to mount: silence over which a readdir fails, or whose process is gone, fails over
  over tb, tb silent, the mount says EIO, 5 s: on fallback
  over tb, tb silent, its process is gone, 5 s: on fallback
What to mount: an old check over a host now silent proves nothing
  over tb, tb silent, event: no condition route_slow, wakes for confirm
What to mount: a calm share takes no step, reports nothing and writes nothing
  over tb, 60 s: no steps, nothing told, nothing written
`,
  );
});

const ROWS = [
  ["alive", "refused", "answers", "steps check > unmount force > mount OTHER, no error"],
  ["alive", "refused", "refused", "no steps, some error"],
  ["dead", "answers", "answers", "steps check > unmount force > mount OWN, no error"],
  ["dead", "answers", "refused", "steps check > unmount force > mount OWN, no error"],
  ["dead", "refused", "answers", "steps check > unmount force > mount OTHER, no error"],
  ["dead", "refused", "refused", "no steps, some error"],
] as const;

describe("the table of mount, own host and the other", () => {
  for (const own of ["tb", "fallback"] as const) {
    const other = otherRoute(own);
    for (const [mount, ownHost, otherHost, comes] of ROWS) {
      stories(
        STARTS,
        `
What to mount: over ${own}, mount ${mount}, own host ${ownHost}, the other ${otherHost}
  over ${own}, ${own} ${ownHost}, ${other} ${otherHost}${mount === "dead" ? ", its process is gone" : ""}, 6 s
  : ${comes.replace("OWN", own).replace("OTHER", other)}, 1 mount
`,
      );
    }
    const bothGone = `over ${own}, both refused, 10 s, ${other} answers, event`;
    stories(
      STARTS,
      `
What to mount: both gone, and a server that starts is seen over the other host first: ${own} is probed again
  ${bothGone}, ${own} answers, 10 s: no steps, no error
  ${bothGone}, ${CONFIRM_AFTER_MS} ms: steps check > unmount force > mount ${other}
`,
    );
  }

  stories(
    STARTS,
    `
What to mount: both gone: last_error until own host and mount answer again
  over tb, both link_down, 10 s: error /both hosts are gone/, told share.error once
  tb answers, 4 s: no error, no steps
What to mount: dead, own host answers, its mount fails: over the other; if that fails as well: pauses
  over tb, its process is gone, mounts over tb fail: refused, 2 s
  : steps check > unmount force > mount tb > mount fallback, on fallback
  over tb, its process is gone, mounts over both fail: refused, 2 s
  : steps check > unmount force > mount tb > mount fallback, error /refused/, serves over none
What to mount: after an unmount that was late but worked, it continues
  over tb, tb refused, unmounts fail: no answer in 15 s, event, in the second step it vanishes, 3 s
  : steps check > unmount force > mount fallback, not told share.unmount_failed
What to mount: another program's mount between our unmount and our mount is kept
  over tb, tb refused, event, in the second step theirs over fallback, 3 s: steps check > unmount force
  : 1 mount, serves over fallback, told share.adopted
`,
  );
});

describe("an operation that was interrupted before its unmount", () => {
  for (const kind of ["failover", "remount"]) {
    stories(
      STARTS,
      `
What to mount: a ${kind} never unmounts without a live target
  a ${kind} was interrupted, both refused, event: no steps, no operation
What to mount: a ${kind} ends when host and mount answer again
  a ${kind} was interrupted, pass ${CACHE_MS} ms, event: no steps, no operation
`,
    );
  }
});

describe("the servers behind both routes", () => {
  stories(
    STARTS,
    `
A13 a share is not remounted over the other route before both are compared, and is once they are the same
  over tb, its servers are being compared, tb link_down, event, 3 s: no steps, on tb
  : rule "fail over" because "it is being checked whether 10\\.0\\.2\\.2 is the same server"
  its servers are the same, 2 s: on fallback, no conditions
A13 another server behind the other route is never mounted by a failover or a recovery; the condition says what differs
  over tb, its servers are different, tb link_down, event, 60 s: no steps, on tb, condition different_servers
  over fallback, its servers are different, 60 s: no steps, on fallback, condition different_servers
A13 a person may switch to it all the same
  over tb, its servers are different, switch fallback: result failed, no steps, hint /--force/
  switch fallback --force: result switched, on fallback
A13 where nothing can be compared the share is remounted, with a note
  over tb, its servers are unproved, tb link_down, event, 3 s: on fallback, condition server_unproved
`,
  );
});

describe("found mounts", () => {
  stories(
    STARTS,
    `
Found mounts: another program's mount of the share is adopted, not doubled
  a new share without recoveries, theirs over tb, 10 s: no steps, serves over tb, told share.adopted once
  a new share without recoveries, theirs over fallback, 10 s: no steps, serves over fallback
  : told share.adopted once
Found mounts: one that no route explains is remounted over the best route when nothing is open
  a new share without recoveries, theirs over no known route, open 7, 6 s: condition unknown_route
  : condition waiting_for_close names 7, only checks, 3 to 9 times check, serves over none
  closed, fresh, 2 s: steps check > unmount plain > mount tb, no condition unknown_route
Found mounts: one that no route explains stays in service while nothing could take its place
  a new share, theirs over no known route, the driver is gone, 6 s: no steps, condition driver_unavailable
  the driver is back, 2 s: steps check > unmount plain > mount tb
  a new share, theirs over no known route, the variable NAS_PASSWORD is not set, 6 s: no steps
  : condition variable_missing
Found mounts: one that no route explains says how many open files it waits for
  a new share, theirs over no known route, open 7 8, 6 s: condition waiting_for_close says /^Waiting until 2 /
Found mounts: EBUSY of one that no route explains counts as open, and is queried once a cycle
  a new share, theirs over no known route, in the next step open 7, 0 s: steps check > unmount plain
  : condition waiting_for_close, 1 mount
Found mounts: a dead one that no route explains is cleaned up and mounted at once
  a new share, theirs over no known route dead, open 7, 0 s: steps check > unmount force > mount tb
Found mounts: one that no route explains is kept while no host answers
  a new share, theirs over no known route, both refused, 10 s: no steps, 1 mount
Found mounts: a dead one that no route explains, and no host for another, is an error
  a new share, theirs over no known route dead, both refused, 10 s: no steps, error /the mount is dead .*neither host/
Found mounts: a dead one that no route explains and that cannot be unmounted is retried with pauses
  a new share, theirs over no known route dead, unmounts fail: not permitted, 60 s: 3 to 8 times unmount force
Found mounts: one that no route explains is left once this daemon's own programs on it have ended
  a new share, theirs over no known route, programs need 4000 ms to end, 2 s: only checks
  6 s: last steps check > unmount plain > mount tb
Found mounts: adopted at another path, the next mount is at our path
  a new share without recoveries, theirs over tb at /mnt/core, 4 s: no steps
  tb link_down, 4 s: mounts at /nowhere/volumes/CORE
Found mounts: another share at our path is an error, and nothing is touched
  a new share, another share is at its path, 4 s: no steps, error /taken by //nas/OTHER/, condition path_taken
  mount: result failed; switch tb: result failed, no steps
Found mounts: with our path taken, nothing adopted elsewhere is unmounted for an impossible mount
  over tb, it vanishes, theirs over tb at /mnt/core, another share is at its path, tb link_down, 10 s: no steps
  : error /taken/
`,
  );

  test("Found mounts: of two mounts the one at our path is ours, the other is a condition, never unmounted", () => {
    const world = mountedOver("tb");
    const twin = world.addMount("fallback", { ours: false, path: "/mnt/core" });
    world.advance(4000);
    assert.ok(world.conditionCodes.includes("duplicate_mount:/mnt/core"));
    world.hosts.tb = "link_down";
    world.advance(4000);
    assert.deepEqual(world.stepKinds, ["check", "unmount force", "mount fallback"]);
    assert.ok(world.mounts.includes(twin));
    world.ask({ kind: "unmount" });
    assert.equal(world.lastOutcome?.result, "unmounted");
    world.advance(10_000);
    assert.deepEqual(world.mounts, [twin]);
    assert.equal(world.memory.override, "unmounted");
  });
});
