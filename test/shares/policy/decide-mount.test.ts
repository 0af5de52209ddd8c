// What the driver needs is gone while the share is served: nothing that serves is given up for a mount that cannot be.
import assert from "node:assert/strict";
import { describe } from "node:test";
import { otherRoute } from "../../../src/shares/share-spec.ts";
import { World } from "../world.ts";
import { mountedOver, PLAIN_STARTS, stories } from "./stories.ts";

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

describe("a driver that cannot mount any more", () => {
  for (const route of ["tb", "fallback"] as const) {
    const other = otherRoute(route);
    for (const force of ["", " --force"]) {
      const how = force === "" ? "" : ", by force,";
      stories(
        STARTS,
        `
By hand: a switch from ${route}${how} is refused with its hint, and the very mount keeps serving
  over ${route}, the driver is gone, open 7, switch ${other}${force}: result failed, no steps, held nothing
  : detail /^rclone is not installed. nothing was changed$/, no error, condition driver_unavailable is warning
  : the same mount, hint /^install it$/
  the driver is back, closed, switch ${other}: result switched
`,
      );
    }
    const cleaned = `4 s: step unmount force, on none, error /rclone is not installed/
  : condition driver_unavailable is error; the driver is back, 65 s`;
    stories(
      STARTS,
      `
Found mounts: over ${route}, an edit of its path waits until it can be mounted again
  over ${route}, mount_root is edited, the driver is gone, 20 s: no steps, condition driver_unavailable
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
By hand: what is asked to be unmounted is unmounted
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
