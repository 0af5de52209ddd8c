// Mounts that are there already, whoever made them.
import assert from "node:assert/strict";
import test, { describe } from "node:test";
import { mountedOver } from "../mounted-world.ts";
import { World } from "../world.ts";
import { PLAIN_STARTS, stories } from "./stories.ts";

const STARTS = {
  ...PLAIN_STARTS,
  "a new share without recoveries": () => new World({ autoFailback: false, lsofRecheck: false }),
  "over tb": () => mountedOver("tb"),
};

describe("found mounts", () => {
  stories(
    STARTS,
    `
Found mounts: a mount of the share by whomever is adopted, not doubled
  a new share without recoveries, theirs over tb, 10 s: no steps, serves over tb, told share.adopted once
  a new share without recoveries, theirs over fallback, 10 s: no steps, serves over fallback
  : told share.adopted once
Found mounts: one that no route explains is remounted over the best route when nothing is open
  a new share without recoveries, theirs over no known route, open 7, 6 s: condition unknown_route
  : condition waiting_for_close names 7, only checks, 3 to 9 times check, serves over none
  closed, fresh, 2 s: steps check > unmount plain > mount tb, no condition unknown_route
Found mounts: one that no route explains serves on while nothing could take its place
  a new share, theirs over no known route, the driver is gone, 6 s: no steps, condition driver_unavailable
  the driver is back, 2 s: steps check > unmount plain > mount tb
  a new share, theirs over no known route, the variable NAS_PASSWORD is not set, 6 s: no steps
  : condition variable_missing
Found mounts: one that no route explains says how many open and unsent files it waits for
  a new share, theirs over no known route, open 7 8, unsent a.txt, 6 s
  : condition waiting_for_close says /^Waiting until 3 /
Found mounts: EBUSY of one that no route explains is open, and asked once a cycle
  a new share, theirs over no known route, in the next step open 7, 0 s: steps check > unmount plain
  : condition waiting_for_close, 1 mount
Found mounts: a dead one that no route explains is cleaned up and mounted at once
  a new share, theirs over no known route dead, open 7, 0 s: steps check > unmount force > mount tb
Found mounts: one that no route explains is kept while no host answers
  a new share, theirs over no known route, both refused, 10 s: no steps, 1 mount
Found mounts: adopted at another path, the next mount is at our path
  a new share without recoveries, theirs over tb at /mnt/core, 4 s: no steps
  tb link_down, 4 s: mounts at /nowhere/volumes/CORE
Found mounts: another share at our path is an error, and nothing is touched
  a new share, another share is at its path, 4 s: no steps, error /taken by //nas/OTHER/, condition path_taken
  mount: result failed; switch tb: result failed, no steps
Found mounts: with our path taken, nothing adopted elsewhere is unmounted for a mount that cannot be
  over tb, it vanishes, theirs over tb at /mnt/core, another share is at its path, tb link_down, 10 s: no steps
  : error /taken/
`,
  );

  test("Found mounts: of two mounts the one at our path is ours, the other is a condition, never unmounted", () => {
    const world = mountedOver("tb");
    const twin = world.addMount("fallback", { ours: false, path: "/mnt/core" });
    world.advance(4000);
    assert.ok(world.conditionCodes.includes("twin_mount:/mnt/core"));
    world.hosts.tb = "link_down";
    world.advance(4000);
    assert.deepEqual(world.stepKinds, ["check", "unmount force", "mount fallback"]);
    assert.ok(world.mounts.includes(twin));
    world.ask({ kind: "unmount" });
    assert.equal(world.lastOutcome?.result, "unmounted");
    world.advance(10_000);
    assert.deepEqual(world.mounts, [twin]);
    assert.equal(world.memory.held, "unmounted");
  });
});
