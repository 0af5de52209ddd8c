// What follows from a login that the server refuses: nothing more is tried, and nothing that works is given up.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ShareLogonSeen } from "../../../src/shares/policy/share-seen.ts";
import { SPEC, World } from "../world.ts";
import { carriedWorld, mountedOver, PLAIN_STARTS, stories } from "./stories.ts";

const REFUSED: ShareLogonSeen = {
  refusal: "wrong password",
  may: false,
  accepted: false,
  refusedAt: [1_000],
  shut: null,
};
const ACCEPTED: ShareLogonSeen = { refusal: null, may: true, accepted: true, refusedAt: [], shut: null };

const STARTS = {
  ...PLAIN_STARTS,
  carried: () => carriedWorld(),
  "over fallback": () => mountedOver("fallback", new World({ stableMs: 5_000 })),
};

describe("a login that is refused", () => {
  test("A14 nothing is mounted with it, and what mends it is told", () => {
    const world = new World();
    world.spec = { ...SPEC, passwordFrom: "secret:nas" };
    world.logon = REFUSED;
    world.advance(60_000);
    assert.equal(world.stepKinds.length, 0);
    assert.equal(world.memory.lastError, "The server refuses the login of ann: wrong password");
    assert.deepEqual(world.memory.logonsRefusedAt, [1_000], "a restart knows of it");
    const [told] = world.last?.conditions.filter(({ code }) => code === "login_refused") ?? [];
    assert.match(told?.hint ?? "", /mountaineer secret set nas\b.*mountaineer mount --share CORE\b/);
    world.ask({ kind: "mount" });
    assert.equal(world.lastOutcome?.result, "failed");
    assert.match(world.lastOutcome?.detail ?? "", /refuses the login of ann/);
    world.logon = ACCEPTED;
    world.advance(5_000);
    assert.deepEqual(world.stepKinds, ["mount tb"]);
    assert.deepEqual(world.conditionCodes, []);
  });

  stories(
    STARTS,
    `
A14 where one route has refused it the other is not tried
  a new share, mounts over tb fail: wrong password, in the next step login refused, 60 s: steps mount tb
A14 what is mounted is not given up to go back to Thunderbolt
  over fallback, login refused, 60 s: steps but checks none, on fallback
A14 a carried share is not moved for a better route, and is when its own is gone
  carried, login refused and same shut, tb refused, event, 5 s: steps but holds move fallback
  fresh, tb answers, 120 s: no steps
A14 a look that is turned away, or waits, says nothing of what is open; without its process a mount is no use
  carried, login refused and same shut, the mount says EIO, 60 s, the mount lists, the mount hangs, 60 s: no steps
  its process is gone, 10 s: steps check > unmount force
  login accepted, 60 s: steps check > unmount force > mount tb carried
`,
  );

  test("A14 the same login, right again, lets what is mounted log in anew", () => {
    const world = carriedWorld();
    world.logon = { ...ACCEPTED, shut: "same" };
    world.duringStep = () => {
      world.logon = ACCEPTED;
    };
    world.advance(10_000);
    assert.deepEqual(world.stepKinds, ["confirm"]);
    assert.equal(world.taking[0]?.step.kind === "confirm" && world.taking[0].step.logon, true);
  });

  test("A14 another login is mounted with as soon as nothing is open, and not before it is known to be right", () => {
    const world = carriedWorld();
    const { mount } = world;
    assert.ok(mount !== null);
    mount.errno = "EIO";
    world.holders = [7];
    world.logon = { ...ACCEPTED, accepted: false, shut: "other" };
    world.advance(30_000);
    assert.equal(world.stepKinds.length, 0);
    world.logon = { ...ACCEPTED, shut: "other" };
    world.advance(10_000);
    assert.ok(world.conditionCodes.includes("waiting_for_close"));
    assert.ok(world.conditionCodes.includes("login_refused"));
    assert.ok(!world.stepKinds.some((kind) => kind !== "check"), world.stepKinds.join());
    // A look that waits is none of a program's.
    mount.errno = null;
    mount.hung = true;
    mount.look = { state: "pending", startedAtMs: world.nowMs };
    world.fresh().holders = [];
    // What its rclone cannot send is kept for the next one.
    world.unsent = ["unsent.txt"];
    world.onDecision = ({ step }) => {
      if (step?.kind === "mount") world.logon = ACCEPTED;
    };
    world.advance(2_500);
    assert.ok(world.stepKinds.includes("unmount force"), world.stepKinds.join());
  });
});
