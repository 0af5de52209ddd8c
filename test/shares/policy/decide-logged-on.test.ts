// What follows from a login that the server refuses: nothing more is tried, and nothing that works is given up.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ShareLogonSeen } from "../../../src/shares/policy/share-seen.ts";
import { mountedOver } from "../mounted-world.ts";
import { POLICY, SPEC, World } from "../world.ts";

const REFUSED: ShareLogonSeen = {
  refusal: "wrong password",
  may: false,
  accepted: false,
  refusedAt: [1_000],
  shut: null,
};
const ACCEPTED: ShareLogonSeen = { refusal: null, may: true, accepted: true, refusedAt: [], shut: null };

function kindsOf(world: World): readonly string[] {
  return world.stepKinds;
}

function carriedWorld(): World {
  const world = new World({ carry: "auto" });
  world.advance(5_000);
  assert.deepEqual(world.stepKinds, ["mount tb carried"]);
  return world.fresh();
}

describe("a login that is refused", () => {
  test("A14 nothing is mounted with it, and what mends it is told", () => {
    const world = new World();
    world.spec = { ...SPEC, passwordFrom: "secret:nas" };
    world.logon = REFUSED;
    world.advance(60_000);
    assert.deepEqual(kindsOf(world), []);
    assert.equal(world.memory.lastError, "The server refuses the login of ann: wrong password");
    assert.deepEqual(world.memory.logonsRefusedAt, [1_000], "a restart knows of it");
    const [told] = world.last?.conditions.filter(({ code }) => code === "login_refused") ?? [];
    assert.match(told?.hint ?? "", /mountaineer secret set nas\b.*mountaineer mount --share CORE\b/);
    world.ask({ kind: "mount" });
    assert.equal(world.lastOutcome?.result, "failed");
    assert.match(world.lastOutcome?.detail ?? "", /refuses the login of ann/);
    world.logon = ACCEPTED;
    world.advance(5_000);
    assert.deepEqual(kindsOf(world), ["mount tb"]);
    assert.deepEqual(world.conditionCodes, []);
  });

  test("A14 where one route has refused it the other is not tried", () => {
    const world = new World();
    world.mountFails.tb = "wrong password";
    world.duringStep = () => {
      world.logon = REFUSED;
    };
    world.advance(60_000);
    assert.deepEqual(kindsOf(world), ["mount tb"]);
  });

  test("A14 what is mounted is not given up to go back to Thunderbolt", () => {
    const world = mountedOver("fallback", new World({ ...POLICY, stableMs: 5_000 }));
    world.logon = REFUSED;
    world.advance(60_000);
    assert.deepEqual(
      kindsOf(world).filter((kind) => kind !== "check"),
      [],
    );
    assert.equal(world.route, "fallback");
  });

  test("A14 a carried share is not moved for a better route, and is when its own is gone", () => {
    const world = carriedWorld();
    world.logon = { ...REFUSED, shut: "same" };
    world.hosts.tb = "refused";
    world.event().advance(5_000);
    assert.deepEqual(
      kindsOf(world).filter((kind) => kind.startsWith("move")),
      ["move fallback"],
    );
    world.fresh().hosts.tb = "answers";
    world.advance(120_000);
    assert.deepEqual(kindsOf(world), []);
  });

  test("A14 a look that is turned away, or waits, says nothing of what is open", () => {
    const world = carriedWorld();
    const { mount } = world;
    assert.ok(mount !== null);
    world.logon = { ...REFUSED, shut: "same" };
    mount.errno = "EIO";
    world.advance(60_000);
    mount.errno = null;
    mount.hung = true;
    world.advance(60_000);
    assert.deepEqual(kindsOf(world), []);
    mount.processGone = true;
    world.advance(10_000);
    assert.deepEqual(kindsOf(world), ["check", "unmount force"], "without its process it is no use");
    world.logon = ACCEPTED;
    world.advance(60_000);
    assert.deepEqual(kindsOf(world).slice(2), ["mount tb carried"]);
  });

  test("A14 the same login, right again, lets what is mounted log in anew", () => {
    const world = carriedWorld();
    world.logon = { ...ACCEPTED, shut: "same" };
    world.duringStep = () => {
      world.logon = ACCEPTED;
    };
    world.advance(10_000);
    assert.deepEqual(kindsOf(world), ["confirm"]);
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
    assert.deepEqual(kindsOf(world), []);
    world.logon = { ...ACCEPTED, shut: "other" };
    world.advance(10_000);
    assert.ok(world.conditionCodes.includes("waiting_for_close"));
    assert.ok(world.conditionCodes.includes("login_refused"));
    assert.ok(
      kindsOf(world).every((kind) => kind === "check"),
      kindsOf(world).join(),
    );
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
    assert.ok(kindsOf(world).includes("unmount force"), kindsOf(world).join());
  });
});
