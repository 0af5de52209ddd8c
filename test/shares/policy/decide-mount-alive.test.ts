// When a mount is dead, when it is only slow, and when its silence may be a person's who is asked for permission.
import assert from "node:assert/strict";
import test, { describe } from "node:test";
import { World } from "../world.ts";
import { stories } from "./stories.ts";

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

const STARTS = {
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
      STARTS,
      `
A2 ${errno} is dead when seen twice, 250 ms apart, and two looks in one moment are one
  over tb, the mount says ${errno}, cycle: no steps; cycle: no steps; 249 ms: no steps; 260 ms: ${REMOUNT}
A2 ${errno} seen again sooner than 250 ms proves nothing, however often it is looked at
  over tb, the mount says ${errno}, cycle, pass 100 ms, event: no steps; pass 100 ms, event: no steps
  pass 49 ms, event: no steps; pass 1 ms, event: ${REMOUNT}
A2 ${errno} once, then an answer, is alive
  over tb, ${Array.from({ length: 5 }, () => once).join(", ")}: no steps
`,
    );
  }

  test("A2 one look that is found late forces nothing: the daemon itself may have stood still", () => {
    const world = mountedOverTb();
    world.advance(1000);
    const { mount } = world;
    assert.ok(mount !== null);
    mount.look = { state: "pending", startedAtMs: world.nowMs };
    mount.hung = true;
    world.pass(60_000);
    world.cycle(world.nowMs);
    assert.deepEqual(world.stepKinds, []);
    mount.hung = false;
    world.advance(10_000);
    assert.deepEqual(world.stepKinds, []);
  });

  stories(
    STARTS,
    `
A2 no answer for mount_hang_secs is dead, not sooner, while the share shows that it is slow
  over tb, 1 s, the mount hangs, 8 s: no steps, condition mount_slow; 1999 ms: no steps
  3 s: ${REMOUNT}, not told share.error
A2 a dead look of an earlier mount does not count against the next
  over tb, the mount says EIO, cycle, it vanishes, theirs over tb, the mount says EIO, pass 300 ms, cycle: no steps
  600 ms: ${REMOUNT}
A2 ENOTCONN and a mount process that is gone are dead at once
  over tb, pass 1000 ms, the mount says ENOTCONN, cycle: ${REMOUNT}
  over tb, pass 1000 ms, its process is gone, cycle: ${REMOUNT}
A2 a hang that ends in time costs nothing
  over tb, the mount hangs, 9 s, the mount goes on, 10 s: no steps
A2 EACCES and EPERM are alive, with a condition
  over tb, the mount says EACCES, 20 s: no steps, condition mount_denied
  the mount lists, 4 s: no condition mount_denied
  over tb, the mount says EPERM, 20 s: no steps, condition mount_denied
  the mount lists, 4 s: no condition mount_denied
A2 a lack of this machine says nothing of the mount
  over tb, the mount says EMFILE, 30 s: no steps; over tb, the mount says ENFILE, 30 s: no steps
  over tb, the mount says ENOMEM, 30 s: no steps
A2 a look answered late and failed twice is dead although the host answers
  over tb, the mount hangs, 3 s, the mount goes on, the mount says EIO, 3 s: ${REMOUNT}
`,
  );
});

describe("where the system may wait for a person's permission", () => {
  stories(
    STARTS,
    `
A2 a mount of ours that has never answered is not unmounted for its silence, and the share says why
  just mounted and hung, 120 s: no steps, condition waiting_for_permission, no condition mount_slow
  the mount goes on, 5 s: no steps, no condition waiting_for_permission
A2 once it has answered, silence counts as everywhere
  just mounted, 5 s, the mount hangs, 8 s: condition mount_slow; 6 s: ${REMOUNT}
A2 one that we found is not unmounted for its silence, though it has answered
  over tb, permission may be asked, the mount hangs, 120 s: no steps, condition waiting_for_permission
A2 an error is no silence: a mount that ends its wait with one is dead, answered or not
  just mounted and hung, 20 s, the mount goes on, the mount says ETIMEDOUT, new mounts answer, 5 s: ${REMOUNT}
A2 a host that is gone is failed over from, whatever the mount says
  just mounted and hung, 5 s, tb refused, new mounts answer, 5 s: steps check > unmount force > mount fallback
A2 the next mount is another one: what its predecessor answered does not count for it
  just mounted, 5 s, new mounts hang, the mount says ENOTCONN, 60 s: ${REMOUNT}, condition waiting_for_permission
`,
  );
});
