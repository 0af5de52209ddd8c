// Every state of the mount, of its own host and of the other, and operations that were interrupted.
import { describe } from "node:test";
import { CONFIRM_AFTER_MS } from "../../../src/reconcile/route-health.ts";
import { mountedOver, OTHER } from "../mounted-world.ts";
import { CACHE_MS, type World } from "../world.ts";
import { stories } from "./stories.ts";

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
      goal: null,
      failures: [],
      mountId: world.mount?.id ?? null,
      checked: true,
      cost: null,
      asked: false,
    },
  };
  return world;
}

const STARTS = {
  "over tb": () => mountedOver("tb"),
  "over fallback": () => mountedOver("fallback"),
  "a failover was interrupted": () => interrupted("failover"),
  "a remount was interrupted": () => interrupted("remount"),
};

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
    const other = OTHER[own];
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
What to mount: both gone, and a server that starts is seen over the other host first: ${own} is asked once more
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
What to mount: dead, own host answers, its mount fails: over the other; that fails, too: pauses
  over tb, its process is gone, mounts over tb fail: refused, 2 s
  : steps check > unmount force > mount tb > mount fallback, on fallback
  over tb, its process is gone, mounts over both fail: refused, 2 s
  : steps check > unmount force > mount tb > mount fallback, error /refused/, serves over none
What to mount: an unmount that was late but worked is gone on from
  over tb, tb refused, unmounts fail: no answer in 15 s, event, in the second step it vanishes, 3 s
  : steps check > unmount force > mount fallback, not told share.unmount_failed
What to mount: what someone else mounts between our unmount and our mount is kept
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
