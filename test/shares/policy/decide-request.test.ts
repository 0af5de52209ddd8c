import assert from "node:assert/strict";
import test, { describe } from "node:test";
import type { RouteName } from "../../../src/shares/share-spec.ts";
import { World } from "../world.ts";

const AUTO = { autoFailback: true, lsofRecheck: true };

function mountedOver(route: RouteName): World {
  const world = new World(AUTO);
  if (route === "fallback") world.hosts.tb = "link_down";
  world.addMount(route);
  world.advance(2500);
  world.hosts.tb = "answers";
  return world.event().fresh();
}

function mountedHeld(): World {
  const world = mountedOver("tb");
  world.ask({ kind: "switch", to: "fallback" });
  assert.deepEqual([world.route, world.memory.held], ["fallback", "fallback"]);
  return world.fresh();
}

function unmountedHeld(): World {
  const world = mountedOver("tb");
  world.ask({ kind: "unmount" });
  assert.deepEqual([world.route, world.memory.held], ["none", "unmounted"]);
  return world.fresh();
}

function result(world: World): string | undefined {
  return world.lastOutcome?.result;
}

describe("switch", () => {
  test("By hand: a host that is silent for a moment is asked again, and then switched to", () => {
    const world = mountedOver("tb");
    world.hosts.fallback = "silent";
    world.ask({ kind: "switch", to: "fallback" });
    assert.equal(result(world), undefined);
    world.hosts.fallback = "answers";
    world.advance(1_000);
    assert.deepEqual([result(world), world.route, world.memory.held], ["switched", "fallback", "fallback"]);
  });

  test("By hand: a host that stays silent, or refuses, is not switched to, and nothing is changed", () => {
    const world = mountedOver("tb");
    world.hosts.fallback = "silent";
    for (let times = 0; times < 2; times++) {
      world.fresh().ask({ kind: "switch", to: "fallback", wait: true }, Number.POSITIVE_INFINITY);
      assert.equal(result(world), undefined);
      world.advance(5_000);
      assert.deepEqual([result(world), world.route, world.stepKinds], ["failed", "tb", []]);
    }
    world.hosts.fallback = "refused";
    world.fresh().ask({ kind: "switch", to: "fallback" });
    assert.deepEqual([result(world), world.route], ["failed", "tb"]);
  });

  test("By hand: --to fallback switches and holds", () => {
    const world = mountedOver("tb");
    world.ask({ kind: "switch", to: "fallback" });
    assert.deepEqual(world.stepKinds, ["check", "unmount plain", "mount fallback"]);
    assert.equal(result(world), "switched");
    world.advance(120_000);
    assert.deepEqual([world.route, world.memory.held], ["fallback", "fallback"]);
  });

  test("By hand: --to fallback holds also when already there", () => {
    const world = mountedOver("fallback");
    world.ask({ kind: "switch", to: "fallback" });
    assert.deepEqual([result(world), world.memory.held, world.stepKinds], ["skipped", "fallback", []]);
    world.advance(60_000);
    assert.equal(world.route, "fallback");
  });

  test("By hand: --to tb switches at once if tb answers now, without the window, and holds nothing", () => {
    const world = mountedHeld();
    world.hosts.tb = "link_down";
    world.event();
    world.hosts.tb = "answers";
    world.ask({ kind: "switch", to: "tb" });
    assert.deepEqual([result(world), world.route, world.memory.held], ["switched", "tb", null]);
  });

  test("By hand: --to tb fails and changes nothing when tb does not answer now", () => {
    const world = mountedHeld();
    world.hosts.tb = "silent";
    world.ask({ kind: "switch", to: "tb", force: true });
    world.advance(5_000);
    assert.deepEqual(
      [result(world), world.route, world.memory.held, world.stepKinds],
      ["failed", "fallback", "fallback", []],
    );
  });

  test("By hand: --to auto holds nothing and lets the rules go on", () => {
    const world = mountedHeld();
    world.advance(40_000);
    world.ask({ kind: "switch", to: "auto" });
    assert.equal(world.memory.held, null);
    assert.deepEqual([result(world), world.route], ["mounted", "tb"]);
    const waiting = mountedHeld();
    waiting.ask({ kind: "switch", to: "auto" });
    assert.deepEqual([result(waiting), waiting.route], ["skipped", "fallback"]);
    waiting.advance(31_000);
    assert.equal(waiting.route, "tb");
  });

  test("By hand: --to auto says that files hold the way back", () => {
    const world = mountedHeld();
    world.advance(40_000);
    world.holders = [7];
    world.ask({ kind: "switch", to: "auto" });
    assert.deepEqual(
      [result(world), world.route, world.memory.tbRecoveryPending],
      ["pending", "fallback", true],
    );
  });

  test("By hand: switch mounts an unmounted share", () => {
    for (const [to, route, held] of [
      ["tb", "tb", null],
      ["fallback", "fallback", "fallback"],
      ["auto", "tb", null],
    ] as const) {
      const world = unmountedHeld();
      world.ask({ kind: "switch", to });
      assert.deepEqual([world.route, world.memory.held], [route, held]);
      assert.ok(["switched", "mounted"].includes(result(world) ?? ""));
    }
  });

  test("By hand: a switch whose mount fails rolls back, fails and holds what was held", () => {
    const world = mountedOver("tb");
    world.mountFails.fallback = "wrong password";
    world.ask({ kind: "switch", to: "fallback" });
    assert.deepEqual([result(world), world.route, world.memory.held], ["failed", "tb", null]);
    assert.match(world.lastOutcome?.detail ?? "", /wrong password; back over Thunderbolt/);
    world.advance(4000);
    assert.equal(world.memory.lastError, null);
  });

  test("By hand: a switch of a share held unmounted that is rolled back to a mount of ours ends the hold", () => {
    const world = mountedOver("tb");
    world.addMount("tb", { ours: false, path: "/mnt/elsewhere" });
    world.ask({ kind: "unmount" });
    assert.equal(world.memory.held, "unmounted");
    world.mountFails.fallback = "wrong password";
    world.fresh().ask({ kind: "switch", to: "fallback" });
    assert.deepEqual([result(world), world.route, world.memory.held], ["failed", "tb", null]);
  });

  test("By hand: open files are busy, with their holders; nothing is changed", () => {
    for (const to of ["fallback"] as const) {
      const world = mountedOver("tb");
      world.holders = [7, 7, 8];
      world.ask({ kind: "switch", to });
      assert.equal(result(world), "busy");
      assert.deepEqual(
        world.lastOutcome?.holders.map(({ pid }) => pid),
        [7, 7, 8],
      );
      assert.deepEqual([world.route, world.memory.held, world.stepKinds], ["tb", null, ["check"]]);
    }
  });

  test("By hand: a file opened between the check and the unmount is busy, too", () => {
    const world = mountedOver("tb");
    world.duringStep = () => {
      world.holders = [7];
    };
    world.ask({ kind: "switch", to: "fallback" });
    assert.deepEqual([result(world), world.route, world.memory.held], ["busy", "tb", null]);
  });

  test("By hand: --force goes on where the system says busy and no open file is to be seen", () => {
    for (const request of [
      { kind: "switch", to: "fallback", force: true },
      { kind: "unmount", force: true },
    ] as const) {
      const world = mountedOver("tb");
      // What the check could not see.
      world.duringStep = () => {
        world.holders = [7];
      };
      world.ask(request);
      assert.deepEqual(world.stepKinds.slice(0, 2), ["check", "unmount plain"]);
      assert.ok(world.stepKinds.includes("unmount force"), String(world.stepKinds));
      assert.equal(result(world), request.kind === "switch" ? "switched" : "unmounted");
      assert.equal(world.route, request.kind === "switch" ? "fallback" : "none");
    }
  });

  test("By hand: --wait waits until open files close", () => {
    const world = mountedOver("tb");
    world.holders = [7];
    world.ask({ kind: "switch", to: "fallback", wait: true }, Number.POSITIVE_INFINITY);
    world.advance(60_000);
    assert.deepEqual([world.outcomes, world.route], [[], "tb"]);
    world.holders = [];
    world.advance(300);
    assert.deepEqual([result(world), world.route, world.memory.held], ["switched", "fallback", "fallback"]);
  });

  test("By hand: --force switches over open and unsent files and names them", () => {
    const world = mountedOver("fallback");
    world.holders = [7];
    world.unsent = ["a.txt"];
    world.ask({ kind: "switch", to: "tb", force: true });
    assert.deepEqual([result(world), world.route], ["switched", "tb"]);
    assert.deepEqual(world.lastOutcome?.unsent, ["a.txt"]);
    assert.deepEqual(
      world.lastOutcome?.holders.map(({ pid }) => pid),
      [7],
    );
    world.advance(4000);
    assert.ok(world.conditionCodes.includes("unsent_files"));
    world.unsent = [];
    world.advance(4000);
    assert.ok(!world.conditionCodes.includes("unsent_files"));
  });

  test("By hand: a switch away from a dead mount needs no force", () => {
    const world = mountedOver("tb");
    world.holders = [7];
    if (world.mount !== null) world.mount.processGone = true;
    world.ask({ kind: "switch", to: "fallback" });
    assert.deepEqual([result(world), world.route, world.memory.held], ["switched", "fallback", "fallback"]);
  });
});

describe("unsent writes", () => {
  for (const request of [{ kind: "unmount" }, { kind: "switch", to: "fallback" }] as const) {
    test(`By hand: ${request.kind} waits for unsent writes within its deadline`, () => {
      const world = mountedOver("tb");
      world.unsent = ["a.txt"];
      world.ask(request, 15_000);
      world.advance(5000);
      assert.deepEqual([world.outcomes, world.route], [[], "tb"]);
      world.unsent = [];
      world.advance(300);
      assert.ok(["unmounted", "switched"].includes(result(world) ?? ""));
    });

    test(`By hand: ${request.kind} ends busy at its deadline and changes nothing`, () => {
      const world = mountedOver("tb");
      world.unsent = ["a.txt", "b.txt"];
      world.ask(request, 15_000);
      world.advance(15_300);
      assert.equal(world.lastOutcome?.detail, "busy: 2 files unsent");
      assert.deepEqual([result(world), world.route, world.memory.held], ["busy", "tb", null]);
    });
  }
});

describe("unmount and mount", () => {
  test("By hand: unmount holds, across ticks, events and a restart", () => {
    const world = unmountedHeld();
    world.advance(30_000);
    world.event();
    world.restart();
    world.advance(30_000);
    assert.deepEqual([world.route, world.memory.held, world.stepKinds], ["none", "unmounted", []]);
    assert.equal(world.memory.lastError, null);
  });

  test("By hand: unmount of what is unmounted holds it, too", () => {
    const world = new World(AUTO);
    world.hosts.tb = "link_down";
    world.hosts.fallback = "link_down";
    world.advance(2000);
    world.ask({ kind: "unmount" });
    assert.deepEqual([result(world), world.memory.held], ["skipped", "unmounted"]);
    world.hosts.tb = "answers";
    world.advance(10_000);
    assert.equal(world.route, "none");
  });

  test("By hand: --unmount-on-exit sets no hold, and mounts nothing on its way", () => {
    const world = mountedOver("tb");
    world.ask({ kind: "unmount", hold: false });
    assert.deepEqual([result(world), world.route, world.memory.held], ["unmounted", "none", null]);
    world.fresh().ask({ kind: "unmount", hold: false });
    assert.deepEqual([result(world), world.memory.held, world.stepKinds], ["skipped", null, []]);
    world.restart();
    world.advance(0);
    assert.equal(world.route, "tb");
  });

  test("By hand: mount ends a hold to be unmounted", () => {
    const world = unmountedHeld();
    world.ask({ kind: "mount" });
    assert.deepEqual([result(world), world.route, world.memory.held], ["mounted", "tb", null]);
  });

  test("By hand: mount keeps a hold to fallback, and what is mounted", () => {
    const world = mountedHeld();
    world.ask({ kind: "mount" });
    assert.deepEqual([result(world), world.memory.held, world.stepKinds], ["skipped", "fallback", []]);
  });

  test("By hand: mount of what cannot be mounted says why, and does not wait for a pause", () => {
    const world = new World(AUTO);
    world.mountFails = { tb: "wrong password", fallback: "wrong password" };
    world.advance(60_000);
    world.fresh().ask({ kind: "mount" });
    assert.deepEqual(world.stepKinds, ["mount tb", "mount fallback"]);
    assert.equal(result(world), "failed");
    assert.match(world.lastOutcome?.detail ?? "", /wrong password/);
  });

  test("By hand: mount tells what stands now, not what an earlier try came to", () => {
    const world = new World(AUTO);
    world.mountFails = { tb: "wrong password", fallback: "wrong password" };
    world.advance(60_000);
    world.spec = { ...world.spec, missingVariable: "CORE_PASSWORD" };
    world.fresh().ask({ kind: "mount" });
    assert.deepEqual([result(world), world.stepKinds], ["failed", []]);
    assert.equal(world.lastOutcome?.detail, "the variable CORE_PASSWORD is not set");
  });

  test("By hand: unmount of open files is busy, --force cuts them off and names them", () => {
    const world = mountedOver("tb");
    world.holders = [7];
    world.ask({ kind: "unmount" });
    assert.deepEqual([result(world), world.route, world.memory.held], ["busy", "tb", null]);
    world.fresh().ask({ kind: "unmount", force: true });
    assert.deepEqual([result(world), world.route, world.memory.held], ["unmounted", "none", "unmounted"]);
    assert.deepEqual(
      world.lastOutcome?.holders.map(({ pid }) => pid),
      [7],
    );
    assert.deepEqual(world.stepKinds, ["check", "unmount force"]);
  });

  test("By hand: --force goes on where a plain unmount does not end", () => {
    const world = mountedOver("tb");
    world.unmountFails = "umount did not end within 14989 ms";
    world.duringStep = () => {
      world.duringStep = () => {
        world.unmountFails = null;
      };
    };
    world.ask({ kind: "unmount", force: true });
    assert.deepEqual([result(world), world.route], ["unmounted", "none"]);
    assert.deepEqual(world.stepKinds, ["check", "unmount plain", "unmount force"]);
  });

  test("By hand: an unmount that fails is told, holds nothing, and the share stays", () => {
    const world = mountedOver("tb");
    world.unmountFails = "not permitted";
    world.ask({ kind: "unmount" });
    assert.deepEqual([result(world), world.route, world.memory.held], ["failed", "tb", null]);
    world.advance(10_000);
    assert.equal(world.memory.lastError, null);
  });

  test("By hand: an unmount that says ok has failed while the mount is still in the table", () => {
    const world = mountedOver("tb");
    world.unmountsDoNothing = true;
    world.ask({ kind: "unmount" });
    assert.deepEqual([result(world), world.route, world.memory.held], ["failed", "tb", null]);
    assert.match(world.lastOutcome?.detail ?? "", /still in the table of mounts/);
    assert.deepEqual(world.stepKinds, ["check", "unmount plain"]);
    assert.ok(!world.transitionNames.includes("share.unmounted"));
    assert.ok(world.transitionNames.includes("share.unmount_failed"));
  });

  test("By hand: an unmount that was late but worked is an unmount", () => {
    const world = mountedOver("tb");
    world.unmountFails = "no answer in 15 s";
    world.duringStep = () => {
      world.duringStep = () => {
        world.mounts = [];
      };
    };
    world.ask({ kind: "unmount" });
    assert.deepEqual([result(world), world.memory.held], ["unmounted", "unmounted"]);
    world.advance(10_000);
    assert.equal(world.route, "none");
  });
});

describe("what is held", () => {
  test("By hand: held to fallback mounts over fallback first, else tb, which ends the hold", () => {
    const world = mountedHeld();
    world.mounts = [];
    world.advance(2500);
    assert.deepEqual([world.route, world.memory.held], ["fallback", "fallback"]);
    world.mounts = [];
    world.mountFails.fallback = "refused";
    world.advance(12_500);
    assert.deepEqual([world.route, world.memory.held], ["tb", null]);
  });

  test("By hand: held to fallback, both mounts failing keeps the hold", () => {
    const world = mountedHeld();
    world.mounts = [];
    world.mountFails = { tb: "refused", fallback: "refused" };
    world.advance(30_000);
    assert.deepEqual([world.route, world.memory.held], ["none", "fallback"]);
  });

  test("By hand: a hold never holds back a failover, which ends it", () => {
    const world = mountedHeld();
    world.hosts.fallback = "link_down";
    world.advance(4000);
    assert.deepEqual([world.route, world.memory.held], ["tb", null]);
  });

  test("By hand: a dead mount held to fallback comes back over fallback", () => {
    const world = mountedHeld();
    world.advance(11_000);
    if (world.mount !== null) world.mount.processGone = true;
    world.advance(2500);
    assert.deepEqual([world.route, world.memory.held], ["fallback", "fallback"]);
  });

  test("By hand: someone else's mount of a share held unmounted is adopted, and nothing is held", () => {
    const world = unmountedHeld();
    world.addMount("fallback", { ours: false });
    world.advance(2500);
    assert.deepEqual([world.route, world.memory.held, world.stepKinds], ["fallback", null, []]);
    const meanwhile = unmountedHeld();
    meanwhile.addMount("tb", { ours: false });
    meanwhile.restart();
    meanwhile.advance(0);
    assert.equal(meanwhile.memory.held, null);
  });

  test("By hand: what is held survives a restart", () => {
    const world = mountedHeld();
    world.restart();
    world.advance(60_000);
    assert.deepEqual(
      [world.route, world.memory.held, world.memory.tbRecoveryPending],
      ["fallback", "fallback", false],
    );
  });
});
