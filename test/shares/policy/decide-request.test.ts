// What a person asks for: switch, unmount and mount, with and without force, and what is held afterwards.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RouteName } from "../../../src/shares/share-spec.ts";
import { World } from "../world.ts";
import { stories } from "./stories.ts";

const AUTO = { autoFailback: true, lsofRecheck: true };

function mountedOver(route: RouteName): World {
  const world = new World(AUTO);
  if (route === "fallback") world.hosts.tb = "link_down";
  world.addMount(route);
  world.advance(2500);
  world.hosts.tb = "answers";
  return world.event().fresh();
}

function mountedOverride(): World {
  const world = mountedOver("tb");
  world.ask({ kind: "switch", to: "fallback" });
  assert.deepEqual([world.route, world.memory.override], ["fallback", "fallback"]);
  return world.fresh();
}

function unmountedOverride(): World {
  const world = mountedOver("tb");
  world.ask({ kind: "unmount" });
  assert.deepEqual([world.route, world.memory.override], ["none", "unmounted"]);
  return world.fresh();
}

const STARTS = {
  "over tb": () => mountedOver("tb"),
  "over fallback": () => mountedOver("fallback"),
  "held to fallback": mountedOverride,
  "held unmounted": unmountedOverride,
  "a new share": () => new World(AUTO),
};

describe("switch", () => {
  stories(
    STARTS,
    `
By hand: a host that is silent for a moment is probed again, and then switched to
  over tb, fallback silent, switch fallback: no result
  fallback answers, 1 s: result switched, on fallback, held fallback
By hand: a host that stays silent, or refuses, is not switched to, and nothing is changed
  over tb, fallback silent, switch fallback --wait: no result; 5 s: result failed, on tb, no steps
  fresh, switch fallback --wait: no result; 5 s: result failed, on tb, no steps
  fallback refused, fresh, switch fallback: result failed, on tb
By hand: --to fallback switches and overrides
  over tb, switch fallback: result switched, steps check > unmount plain > mount fallback
  120 s: on fallback, held fallback
By hand: --to fallback also overrides when already there
  over fallback, switch fallback: result skipped, held fallback, no steps; 60 s: on fallback
By hand: --to tb switches at once if tb answers now, without the window, and sets no override
  held to fallback, tb link_down, event, tb answers, switch tb: result switched, on tb, held nothing
By hand: --to tb fails and changes nothing when tb does not answer now
  held to fallback, tb silent, switch tb --force, 5 s: result failed, on fallback, held fallback, no steps
By hand: --to auto sets no override and lets the rules decide
  held to fallback, 40 s, switch auto: held nothing, result mounted, on tb
  held to fallback, switch auto: result switched, detail /^switched to automatic/, on fallback; 31 s: on tb
By hand: --to auto reports that files delay the failback
  held to fallback, 40 s, open 7, switch auto: result pending, on fallback, pending
By hand: a mount that is kept while its hosts are gone is not reported as mounted
  over tb, tb refused, fallback refused, event, 4 s: some error; mount, 20 s: result failed, detail /hosts are gone/
By hand: a mount whose process is gone is unmounted by force, and waits for no program
  over tb, its process is gone, unmount --force: steps check > unmount force, result unmounted
  over tb, programs need 60000 ms to end, its process is gone, unmount: steps check > unmount force, result unmounted
By hand: a share unmounted by a person has no error of earlier tries
  a new share, mounts over both fail: it is full, 3 s: some error; unmount, 3 s: held unmounted, no error
By hand: an unmounted share has not vanished
  over tb, unmount: not told share.vanished
By hand: another mount of a share that a person unmounted is not touched
  over tb, theirs over fallback at /twin, unmount: held unmounted, mounts at /twin
  fresh, fallback refused, event, 20 s: no steps
By hand: switch mounts an unmounted share
  held unmounted, switch tb: result switched, on tb, held nothing
  held unmounted, switch fallback: result switched, on fallback, held fallback
  held unmounted, switch auto: result mounted, on tb, held nothing
By hand: a switch whose mount fails rolls back, fails and keeps the override
  over tb, mounts over fallback fail: wrong password, switch fallback: result failed, on tb, held nothing
  : detail /wrong password. back over the preferred route/, not told share.switched, told a reason /rolled back: .*password/
  4 s: no error
By hand: a switch of a share that a person unmounted ends the override if it is rolled back to a mount of ours
  over tb, theirs over tb at /mnt/elsewhere, unmount: held unmounted
  mounts over fallback fail: wrong password, fresh, switch fallback: result failed, on tb, held nothing
By hand: open files are busy, with their holders; nothing is changed
  over tb, open 7 7 8, switch fallback: result busy, detail /^busy: 3 files open in 2 programs$/, named 7 7 8, on tb, held nothing, steps check
By hand: a file opened between the check and the unmount also makes it busy
  over tb, in the next step open 7, switch fallback: result busy, on tb, held nothing
By hand: a file opened before the unmount of a requested failback leaves it pending
  held to fallback, 40 s, in the next step open 7, switch auto: result pending, on fallback, pending
By hand: another program's mount at the target of a switch is overridden as if it were ours
  over tb, in the second step theirs over fallback, switch fallback: result switched, on fallback, held fallback
By hand: --force proceeds where the system says busy and no open file is visible
  over tb, in the next step open 7, switch fallback --force: first steps check > unmount plain
  : step unmount force, result switched, on fallback
  over tb, in the next step open 7, unmount --force: first steps check > unmount plain
  : step unmount force, result unmounted, on none
By hand: a switch to the route of a dead mount remounts it there, and tries that route once
  over tb, its process is gone, switch tb: result switched, on tb, steps check > unmount force > mount tb
  over tb, its process is gone, mounts over tb fail: refused, switch tb: result failed
  : steps check > unmount force > mount tb
By hand: --to auto does not wait for a pause
  a new share, mounts over both fail: wrong password, 60 s, fresh, switch auto: steps mount tb > mount fallback
By hand: --wait waits until open files close
  over tb, open 7, switch fallback --wait, 60 s: no result, on tb
  closed, 300 ms: result switched, on fallback, held fallback
By hand: --force switches over open files and names them
  over fallback, open 7, switch tb --force: result switched, on tb, named 7
By hand: a switch away from a dead mount needs no force
  over tb, open 7, its process is gone, switch fallback: result switched, on fallback, held fallback
`,
  );
});

describe("unmount and mount", () => {
  stories(
    STARTS,
    `
By hand: unmount stays in force across ticks, events and a restart
  held unmounted, 30 s, event, restart, 30 s: on none, held unmounted, no steps, no error
By hand: unmount ends the error of a mount whose host is gone
  over tb, both link_down, event, 2 s: some error; unmount --force without hold: result unmounted, no error
By hand: unmount of an unmounted share also sets the override
  a new share, both link_down, 2 s, unmount: result skipped, held unmounted; tb answers, 10 s: on none
By hand: --unmount-on-exit sets no override, and mounts nothing before the exit
  over tb, unmount without hold: result unmounted, on none, held nothing
  fresh, unmount without hold: result skipped, held nothing, no steps
  restart, 0 s: on tb
By hand: mount ends an override to be unmounted
  held unmounted, mount: result mounted, on tb, held nothing
By hand: mount keeps an override to fallback, and the existing mount
  held to fallback, mount: result skipped, held fallback, no steps
By hand: mount of an unmountable share gives the reason, and does not wait for a pause
  a new share, mounts over both fail: wrong password, 60 s, fresh, mount: steps mount tb > mount fallback
  : result failed, detail /wrong password/
By hand: a mount by others while ours is being made ends the override of an unmount; the switch to another route has failed
  held unmounted, mounts over tb fail: refused, in the next step theirs over fallback, switch tb: result failed
  : on fallback, held nothing, detail /[Ff]ound mounted over fallback/
By hand: a mount by others without a process is not a successful mount
  a new share, mounts over tb fail: refused, in the next step theirs over fallback dead, mount: result failed
  : detail /refused. found mounted/, error /refused/
By hand: mount reports the present state, not an earlier try's result
  a new share, mounts over both fail: wrong password, 60 s, the variable CORE_PASSWORD is not set
  fresh, mount: result failed, no steps, detail /^the variable CORE_PASSWORD is not set$/
By hand: unmount of open files is busy, --force cuts them off and names them
  over tb, open 7, unmount: result busy, detail /^busy: 1 file open in 1 program$/, on tb, held nothing
  fresh, unmount --force: result unmounted, on none, held unmounted, named 7, steps check > unmount force
By hand: mount of a mounted share is not a request to fail back
  over fallback, open 7, 40 s: pending; mount: result skipped, pending
By hand: a mount whose check hangs and whose host is gone or unknown is cut off without --force
  over tb, open 7, the mount hangs, 3 s, both refused, event, fresh, unmount: steps check > unmount force
  : result unmounted
  a new share, theirs over no known route, open 7, the mount hangs, 6 s, fresh, unmount
  : last steps check > unmount force, result unmounted
By hand: --force does not try a plain unmount where the open files are unknown
  over tb, checks fail, unmount --force: result unmounted, on none, steps check > unmount force
By hand: --force proceeds where a plain unmount does not end
  over tb, unmounts fail: umount did not end within 14989 ms, in the second step unmounts work
  unmount --force: result unmounted, on none, steps check > unmount plain > unmount force
By hand: a failed unmount is reported, sets no override, and the share stays
  over tb, unmounts fail: not permitted, unmount: result failed, on tb, held nothing; 10 s: no error
By hand: an unmount that reports ok has failed while the mount is still in the table
  over tb, unmounts do nothing, unmount: result failed, on tb, held nothing, steps check > unmount plain
  : detail /still in the mount table/, not told share.unmounted, told share.unmount_failed
By hand: an unmount that was late but worked counts as an unmount
  over tb, unmounts fail: no answer in 15 s, in the second step it vanishes, unmount: result unmounted
  : held unmounted; 10 s: on none
`,
  );
});

describe("obstacles to a mount", () => {
  for (const [what, happens, told] of [
    ["a variable that is not set", "the variable NAS_PASSWORD is not set", "detail /NAS_PASSWORD/, no hint"],
    [
      "a path that is taken",
      "another share is at its path",
      "detail /volumes.CORE is taken by ..nas.OTHER$/, no hint",
    ],
    [
      "a driver that cannot mount",
      "the driver is gone",
      "detail /^mountaineer-fs is not installed$/, hint /^install it$/",
    ],
    ["hosts that refuse", "both refused", "detail /^neither host answers: /, no hint"],
  ]) {
    stories(
      STARTS,
      `
By hand: a mount request reports ${what}, whatever an earlier try's result
  a new share, ${happens}, an earlier try failed, mount, 20 s: result failed, ${told}
`,
    );
  }
});

describe("a route override", () => {
  stories(
    STARTS,
    `
By hand: an override to fallback mounts over fallback first, else tb, which ends the override
  held to fallback, it vanishes, 2500 ms: on fallback, held fallback
  it vanishes, mounts over fallback fail: refused, 12.5 s: on tb, held nothing
By hand: an override to fallback stays when both mounts fail
  held to fallback, it vanishes, mounts over both fail: refused, 30 s: on none, held fallback
By hand: an override never prevents a failover, which ends it
  held to fallback, fallback link_down, 4 s: on tb, held nothing
By hand: a dead mount overridden to fallback is remounted over fallback
  held to fallback, 11 s, its process is gone, 2500 ms: on fallback, held fallback
By hand: another program's mount of a share that a person unmounted is adopted, and the override ends
  held unmounted, theirs over fallback, 2500 ms: on fallback, held nothing, no steps
  held unmounted, theirs over tb, restart, 0 s: held nothing
By hand: an override survives a restart
  held to fallback, restart, 60 s: on fallback, held fallback, not pending
`,
  );
});

test("By hand: a mount request waits for a check in progress, but not beyond the deadline", () => {
  const world = mountedOver("tb");
  if (world.mount !== null) world.mount.hung = true;
  world.advance(2000).ask({ kind: "mount" }, 3000);
  assert.deepEqual(world.outcomes, []);
  world.advance(4000);
  assert.equal(world.lastOutcome?.result, "skipped");
});

test("a share with one address is not shown as over a fallback: it has nothing to fall back from", () => {
  const world = new World(AUTO);
  const { tb } = world.spec.routes;
  world.spec = { ...world.spec, routes: { ...world.spec.routes, tb: { ...tb, host: null } } };
  world.advance(2500);
  assert.equal(world.route, "fallback");
  world.ask({ kind: "mount" });
  assert.match(world.lastOutcome?.detail ?? "", /^mounted over \/\/[^ ]+$/);
});
