// What the driver needs is gone while the share is served: nothing that serves is given up for a mount that cannot be.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { otherRoute } from "../../../src/shares/share-spec.ts";
import { SPEC, World } from "../world.ts";
import { mountedOver, movingShare, PLAIN_STARTS, stories } from "./stories.ts";

/** Over fallback, Thunderbolt back for almost as long as it takes. */
function aboutToRecover(): World {
  const world = new World();
  world.hosts.tb = "refused";
  world.advance(5000);
  assert.equal(world.route, "fallback");
  world.hosts.tb = "answers";
  world.advance(25_000);
  return world.fresh();
}

const STARTS = {
  ...PLAIN_STARTS,
  "over tb": () => mountedOver("tb"),
  "over fallback": () => mountedOver("fallback"),
  "about to recover": aboutToRecover,
};

describe("a driver that can no longer mount", () => {
  for (const route of ["tb", "fallback"] as const) {
    const other = otherRoute(route);
    for (const force of ["", " --force"]) {
      const how = force === "" ? "" : ", by force,";
      stories(
        STARTS,
        `
By hand: a switch from ${route}${how} is refused with its hint, and the very mount keeps serving
  over ${route}, the driver is gone, open 7, switch ${other}${force}: result failed, no steps, held nothing
  : detail /^mountaineer-fs is not installed. nothing was changed$/, no error, condition driver_unavailable is warning
  : the same mount, hint /^install it$/
  the driver is back, closed, switch ${other}: result switched
`,
      );
    }
    const cleaned = `4 s: step unmount force, on none, error /mountaineer-fs is not installed/
  : condition driver_unavailable is error; the driver is back, 65 s`;
    stories(
      STARTS,
      `
Found mounts: over ${route}, an edit of its path waits until it can be mounted again
  over ${route}, mount_root is edited, the driver is gone, 20 s: no steps, condition driver_unavailable, condition driver_unavailable for 19 s
  : condition path_changed; the driver is back, 2 s: mounts at /elsewhere/CORE
What to mount: over ${route}, a dead mount and one whose host is gone are cleaned up all the same
  over ${route}, the driver is gone, its process is gone, ${cleaned}: on tb
  over ${route}, the driver is gone, ${route} link_down, ${cleaned}: on ${other}
`,
    );
  }

  stories(
    STARTS,
    `
Found mounts: a dead one that no route explains is cleaned up all the same
  a new share, theirs over no known route dead, the driver is gone, 2 s: 0 mounts
Recovery: a failed unmount leaves the share unchanged, and is not an error
  about to recover, unmounts fail: not permitted, 20 s: on fallback, not told share.error, condition recovery_failed
By hand: an unmount request unmounts the share
  over tb, the driver is gone, unmount: result unmounted
`,
  );

  for (const auto of ["on", "off"]) {
    stories(
      STARTS,
      `
Recovery: it waits with auto_failback ${auto}, and begins when it can be
  about to recover, auto_failback ${auto}, the driver is gone, 60 s: no steps, on fallback, no error
  : condition driver_unavailable; the driver is back, 6 s: on tb
`,
    );
  }

  for (const [what, ready, go] of [
    ["a switch", "over tb", "switch fallback"],
    ["an edit of its path", "over tb, mount_root is edited", "2 s"],
    ["a recovery", "about to recover", "8 s"],
  ]) {
    stories(
      STARTS,
      `
What to mount: one that goes while open files are looked up ends ${what}, and it is done once it can be
  ${ready}, in the next step the driver is gone, ${go}: steps check, 1 mount
  the driver is back, fresh, ${go}: first steps check > unmount plain
`,
    );
  }
});

// What follows from a login that the server refuses: nothing that works is given up.
describe("a login that is refused", () => {
  test("A14 where one route has refused it the other is not tried, and the fix is reported", () => {
    const world = new World();
    world.spec = { ...SPEC, passwordFrom: "secret:nas" };
    const fails = { ok: false, reason: "wrong_credentials", text: "wrong password" } as const;
    world.mountFails = { tb: fails, fallback: fails };
    world.advance(500);
    assert.deepEqual(world.stepKinds, ["mount tb"]);
    assert.match(world.memory.lastError ?? "", /wrong password/);
    const [told] = world.last?.conditions.filter(({ code }) => code === "login_refused") ?? [];
    assert.equal(told?.title, "The server refuses the login of ann: wrong password");
    assert.match(told?.hint ?? "", /mountaineer secret set nas\b.*mountaineer mount --share CORE\b/);
    world.ask({ kind: "mount" });
    assert.equal(world.lastOutcome?.result, "failed");
    assert.match(world.lastOutcome?.detail ?? "", /wrong password/);
    world.mountFails = { tb: null, fallback: null };
    world.fresh().ask({ kind: "mount" });
    assert.deepEqual(world.stepKinds, ["mount tb"]);
    assert.deepEqual(world.conditionCodes, []);
  });

  stories(
    { ...PLAIN_STARTS, "over fallback": () => mountedOver("fallback", new World({ stableMs: 5_000 })) },
    `
A14 an existing mount is not given up to return to the preferred route
  over fallback, its server has refused the login, 60 s: steps but checks none, on fallback
`,
  );
});

// When a mount is dead, when it is only slow, and when its silence may be a person's who is asked for permission.
function mountedOverTb(): World {
  const world = new World();
  world.addMount("tb");
  return world.advance(3000).fresh();
}

/** Where a person may be asked: mounted by us, and not looked at since. */
function justMounted(hung: boolean): World {
  const world = new World();
  world.mayWaitForPermission = true;
  world.newMountsHang = hung;
  world.cycle(world.nowMs);
  assert.deepEqual(world.stepKinds, ["mount tb"]);
  return world.fresh();
}

const ALIVE_STARTS = {
  ...PLAIN_STARTS,
  "over tb": mountedOverTb,
  "just mounted": () => justMounted(false),
  "just mounted and hung": () => justMounted(true),
};
const REMOUNT = "steps check > unmount force > mount tb";

describe("alive", () => {
  for (const errno of ["EIO", "ESTALE", "ETIMEDOUT", "EHOSTDOWN"]) {
    const once = `the mount says ${errno}, cycle, the mount lists, 3 s`;
    // Each cycle makes a new look: a failed one is not kept.
    stories(
      ALIVE_STARTS,
      `
A2 ${errno} is dead when seen twice, 250 ms apart, and two checks in one moment are one
  over tb, the mount says ${errno}, cycle: no steps; cycle: no steps; 249 ms: no steps; 260 ms: ${REMOUNT}
A2 ${errno} seen again sooner than 250 ms proves nothing, however often it is checked
  over tb, the mount says ${errno}, cycle, pass 100 ms, event: no steps; pass 100 ms, event: no steps
  pass 49 ms, event: no steps; pass 1 ms, event: ${REMOUNT}
A2 ${errno} once, then an answer, is alive
  over tb, ${Array.from({ length: 5 }, () => once).join(", ")}: no steps
`,
    );
  }

  test("A2 one check that is found late forces nothing: the daemon itself may have been paused", () => {
    const world = mountedOverTb();
    world.advance(1000);
    const { mount } = world;
    assert.ok(mount !== null);
    mount.check = { state: "pending", startedAtMs: world.nowMs };
    mount.hung = true;
    world.pass(60_000);
    world.cycle(world.nowMs);
    assert.deepEqual(world.stepKinds, []);
    mount.hung = false;
    world.advance(10_000);
    assert.deepEqual(world.stepKinds, []);
  });

  stories(
    ALIVE_STARTS,
    `
A2 no answer for mount_hang_secs is dead, not earlier, while the share is shown as slow
  over tb, 1 s, the mount hangs, 8 s: no steps, condition mount_slow; 1999 ms: no steps
  3 s: ${REMOUNT}, not told share.error
A2 a failed check of an earlier mount does not count against the next
  over tb, the mount says EIO, cycle, it vanishes, theirs over tb, the mount says EIO, pass 300 ms, cycle: no steps
  600 ms: ${REMOUNT}
A2 ENOTCONN and a mount process that is gone are dead at once
  over tb, pass 1000 ms, the mount says ENOTCONN, cycle: ${REMOUNT}
  over tb, pass 1000 ms, its process is gone, cycle: ${REMOUNT}
  over tb, event, its process is gone, cycle: ${REMOUNT}
What to mount: an error ends with the mount that succeeds, before that has answered
  a new share, mounts over both fail: it is full, 3 s: some error; new mounts hang, mounts work, event: no error
A2 a hang that ends in time has no effect
  over tb, the mount hangs, 9 s, the mount goes on, 10 s: no steps
A2 EACCES and EPERM are alive, with a condition
  over tb, the mount says EACCES, 20 s: no steps, condition mount_denied
  the mount lists, 4 s: no condition mount_denied
  over tb, the mount says EPERM, 20 s: no steps, condition mount_denied
  the mount lists, 4 s: no condition mount_denied
A2 a lack of this machine shows nothing about the mount
  over tb, the mount says EMFILE, 30 s: no steps; over tb, the mount says ENFILE, 30 s: no steps
  over tb, the mount says ENOMEM, 30 s: no steps; tb silent, event, 5 s: no condition route_slow, no steps
A2 a mount whose check is answered late and fails twice is dead although the host answers
  over tb, the mount hangs, 3 s, the mount goes on, the mount says EIO, 3 s: ${REMOUNT}
`,
  );
});

describe("where the system may wait for a person's permission", () => {
  stories(
    ALIVE_STARTS,
    `
A2 a mount of ours that has never answered is not unmounted for its silence, and the share gives the reason
  just mounted and hung, 120 s: no steps, condition waiting_for_permission, no condition mount_slow
  the mount goes on, 5 s: no steps, no condition waiting_for_permission
A2 once it has answered, silence counts as everywhere
  just mounted, 5 s, the mount hangs, 8 s: condition mount_slow; 6 s: ${REMOUNT}
A2 one that we found is not unmounted for its silence, though it has answered
  over tb, permission may be asked, the mount hangs, 120 s: no steps, condition waiting_for_permission
A2 an error is not silence: a mount that ends its wait with one is dead, answered or not
  just mounted and hung, 20 s, the mount goes on, the mount says ETIMEDOUT, new mounts answer, 5 s: ${REMOUNT}
A2 a host that is gone is failed over from, whatever the mount answers
  just mounted and hung, 5 s, tb refused, new mounts answer, 5 s: steps check > unmount force > mount fallback
A2 the next mount is a different one: its predecessor's answers do not count
  just mounted, 5 s, new mounts hang, the mount says ENOTCONN, 60 s: ${REMOUNT}, condition waiting_for_permission
`,
  );
});

// Programs that the daemon itself runs on a share: they make room for what mounts it anew, and for nothing else.
/** Mounted over fallback, with programs on it that need so long to end; the preferred route has been back for just under 30 s. */
function beforeRecovery(programsEndInMs: number): World {
  const world = new World();
  world.hosts.tb = "link_down";
  world.addMount("fallback");
  world.programsEndInMs = programsEndInMs;
  world.advance(5900);
  world.hosts.tb = "answers";
  world.event();
  return world.advance(29_950).fresh();
}

const ROOM_STARTS = {
  "before a recovery": () => beforeRecovery(1_000),
  "a share that moves": () => movingShare(),
};

describe("a recovery", () => {
  stories(
    ROOM_STARTS,
    `
C1 waits until our programs have stopped, and mentions no open files
  before a recovery, programs need 7000 ms to end, 6 s: on fallback, not pending, room made 1 time, room asked
  3 s: last steps check > unmount plain > mount tb, room free, room made 1 time, not told share.tb_ready
C1 over a user's open files is pending as usual, and our programs keep running
  before a recovery, programs need 100 ms to end, open 7, 20 s: on fallback, pending, room made 0 times
  closed, 5 s: on tb, room made 1 time
C1 that is no longer possible lets them continue
  before a recovery, programs need 60000 ms to end, 4 s: room asked
  tb refused, event, 3 s: on fallback, room free, no step unmount plain
C1 a file that is opened while they stop defers it, and they continue
  before a recovery, programs need 5000 ms to end, 2 s, open 7, 6 s: on fallback, pending, room free
`,
  );

  test("C1 programs that an invisible file made us stop in vain are stopped again only at growing intervals", () => {
    const world = beforeRecovery(500);
    // A process that hides its files from us.
    world.onDecision = ({ step }) => {
      if (step?.kind === "unmount") world.holders = [7];
    };
    const untilMs = world.nowMs + 300_000;
    while (world.nowMs < untilMs) {
      world.holders = [];
      world.advance(500);
    }
    assert.equal(world.route, "fallback");
    assert.ok(world.roomsMade >= 4 && world.roomsMade <= 12, `${world.roomsMade} times in five minutes`);
    world.onDecision = () => {};
    world.holders = [];
    world.advance(70_000);
    assert.equal(world.route, "tb");
  });
});

describe("a person", () => {
  stories(
    ROOM_STARTS,
    `
C1 who switches waits for our programs, however long their calls may take
  before a recovery, programs need 40000 ms to end, auto_failback off, lsof_recheck off, switch tb: no result
  : room made 1 time; 42 s: result switched, on tb
C1 who switches over a user's open files learns of them, and our programs keep running
  before a recovery, open 7, switch tb: result busy, room made 0 times
C1 who switches by force waits for nothing
  before a recovery, programs need 60000 ms to end, switch tb --force: result switched, on tb
C1 who unmounts also has the programs stopped
  before a recovery, programs need 2000 ms to end, unmount: no result; 3 s: result unmounted, on none
`,
  );
});

describe("a failover", () => {
  test("C1 waits for no program, and our programs return on the new mount", () => {
    const world = new World();
    world.addMount("tb");
    world.programsEndInMs = 60_000;
    world.advance(4_000).fresh();
    world.hosts.tb = "link_down";
    let duringUnmount = "";
    world.onDecision = ({ step, programs }) => {
      if (step?.kind === "unmount") duringUnmount = programs;
    };
    world.event();
    world.advance(2_000);
    assert.deepEqual([world.route, duringUnmount, world.last?.programs], ["fallback", "taken", "free"]);
  });

  stories(
    ROOM_STARTS,
    `
C1 of a mount that moves stops no program
  a share that moves, programs need 60000 ms to end, 10 s: on tb; tb link_down, event, 5 s: on fallback
  tb answers, event, 60 s: on tb, room made 0 times
`,
  );
});

test("the hint about the stable link depends on its fault, whatever its path", () => {
  const by = "/Shares/cannot be checked is a folder";
  for (const [why, hint] of [
    ["taken", /^Correct that, then run `mountaineer reconcile`/],
    ["failed", /^Correct that, then run `mountaineer reconcile`/],
    ["unseen", /^It is rechecked automatically/],
    ["late", /^It is rechecked automatically/],
  ] as const) {
    const world = new World();
    world.linkBlocked = { result: "blocked", by, why };
    world.advance(5_000);
    const told = world.last?.conditions.find(({ code }) => code === "link_blocked");
    assert.equal(told?.title, `The stable link does not point to the mount: ${by}`);
    assert.match(told?.hint ?? "", hint, why);
  }
});
