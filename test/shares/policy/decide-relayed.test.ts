// Shares that are carried: mounted once, and moved beneath the mount.
import assert from "node:assert/strict";
import test, { describe } from "node:test";
import type { SharePolicy } from "../../../src/shares/share-spec.ts";
import { PATIENCE_MS } from "../sim-carrier.ts";
import type { World } from "../world.ts";
import { carriedWorld, PLAIN_STARTS, stories } from "./stories.ts";

const STARTS = { ...PLAIN_STARTS, carried: () => carriedWorld() };
const PATIENCE = `${PATIENCE_MS} ms`;

describe("mounting", () => {
  stories(
    STARTS,
    `
A10 a share is relayed once one server is proved behind both routes, and its first mount waits for that
  a share to carry, proofs take 400 ms, 300 ms: no steps; 200 ms: steps mount tb carried
A10 with one route it is relayed at once: no route could yet reach a different server
  a share to carry, tb refused, 100 ms: steps mount fallback carried
A10 different servers: mounted per route, with a condition
  a share to carry, another server behind fallback, 5 s: steps mount tb, condition different_servers
  fresh, tb refused, 3 s: steps check > unmount force > mount fallback
A10 a share without a possible proof is mounted per route, with a condition
  a share to carry, proofs fail, 5 s: steps mount tb, condition server_unproved
A13 an empty share is mounted per route and moves nothing, which is a note, until it has a file: then it is relayed
  a share to carry, the share is empty, 5 s: steps mount tb, condition share_empty
  tb refused, 5 s: last steps unmount force > mount fallback carried
  tb answers, the share has a file, ${5 * 60_000} ms: on tb, no conditions
A10 a server that encrypts: through rclone a reader may notice a cut, which is reported; through fs none does
  a share to carry, driver rclone, its server encrypts, 5 s: conditions encrypted
  a share to carry, driver fs, its server encrypts, 5 s: no conditions
A10 hosts that are blocked only for us: the system mounts the share, and it is not relayed
  a share to carry, its hosts are blocked for us, 5 s: steps mount tb, no conditions
A10 a relayed share whose hosts get blocked for us is remounted, not relayed, once programs have waited long enough
  carried, both refused, event, 5 s, its hosts are blocked for us, both answer, event, ${PATIENCE}, 60 s
  : steps but holds and checks unmount force > mount tb
A10 on_route_change = "remount" proves nothing and relays nothing
  a new share, 5 s: steps mount tb, no conditions
`,
  );
});

describe("a share with one host", () => {
  for (const route of ["tb", "fallback"]) {
    stories(
      STARTS,
      `
A10 it is relayed over ${route} at once, calm, and nothing waits for another route
  a share to carry, only over ${route}, 60 s: steps mount ${route} carried, no conditions, not pending, no wake
  : told alone share.route_up > share.mount_attempt > share.mounted
A10 while its host is gone, ${route}, the mount stays and programs wait; they continue when it returns
  a share to carry, only over ${route}, 5 s, fresh, ${route} refused, ${2 * PATIENCE_MS} ms: no steps
  : error /^its host is gone. the mount is kept: 10.0.[12].2 .refused.$/
  ${route} answers, 10 s: the same mount, steps confirm, no error
`,
    );
  }

  stories(
    STARTS,
    `
A10 a second host that an edit adds is proved and moved to, and may be removed again: one mount all the time
  a share to carry, stable after 1000 ms, only over fallback, 5 s: steps mount fallback carried
  fresh, over either again, 10 s: on tb
  only over tb, 10 s: steps move tb planned, the same mount
A1 nothing answers: the error names the one host
  a new share, only over fallback, fallback refused, 5 s: error /^its host does not answer: 10.0.2.2 .refused.$/
By hand: a switch to a route that it does not have changes nothing, and explains how to add one
  a share to carry, only over fallback, 5 s, switch tb: result failed, held nothing
  : detail /^CORE has no Thunderbolt route. nothing was changed$/, hint /shares.CORE.thunderbolt_host/
What to mount: a dead mount is remounted over its own host, where there is no other
  a new share, only over fallback, 5 s, fresh, its process is gone, mounts over fallback fail: it is full
  1 s: error /^10.0.2.2: it is full$/
`,
  );
});

describe("a mount that died with its relay", () => {
  stories(
    STARTS,
    `
A10 if relay, mount process and daemon ended together, the next daemon proves the server and relays it again
  a share to carry, proofs take 400 ms, ours over tb dead, 100 ms: steps check > unmount force
  3 s: steps check > unmount force > mount tb carried, no conditions
A10 if that server has no proof it is mounted per route, with a condition
  a share to carry, proofs fail, ours over tb dead, 3 s: steps check > unmount force > mount tb
  : condition server_unproved
`,
  );
});

test("A10 while off network, programs get errors at once and are not asked to wait", () => {
  const world = carriedWorld();
  Object.assign(world.hosts, { tb: "refused", fallback: "refused" });
  world.event().advance(1_000);
  assert.deepEqual(world.conditionCodes, ["waiting_for_route"]);
  Object.assign(world, { away: "another gateway" });
  world.event().advance(1_000);
  assert.deepEqual(world.conditionCodes, ["off_network"]);
});

describe("a lost route", () => {
  // Nobody can prove the server of the route that is back while the other one goes.
  const unproved = "fallback refused, event, 3 s, fallback answers, tb refused, event";
  stories(
    STARTS,
    `
A10 while programs wait for either host both are probed again soon, and no longer when their patience is over
  carried, both refused, event, 3 s: wakes within 400 ms
  ${PATIENCE}: no wake; fallback answers, event, 3 s: on fallback
A10 if the other route's server has no proof at first, nothing is unmounted, and it moves once it is proved
  carried, proofs fail, ${unproved}, 5 s: the same mount, steps but holds none
  proofs work, 10 s: the same mount, on fallback
A10 a cable that is pulled before the returning server is proved: nothing is unmounted while programs wait
  carried, proofs fail, both refused, event, 1 s, tb answers, event, 1 s, fallback answers, tb link_down, event, 3 s
  : the same mount, no step unmount; proofs work, 10 s: the same mount, on fallback
A10 without a proof as long as programs wait, it is then remounted, and the reason is reported
  carried, proofs fail, ${unproved}, ${PATIENCE}, 5 s
  : steps but holds and checks unmount force > mount fallback carried
  : told a reason /not proved to be the same server: they list different files/
A10 a proof that fails without a reason: the reason for the remount names the host
  carried, proofs fail without a word, ${unproved}, ${PATIENCE}, 5 s: on fallback
  : told a reason /not proved to be the same server: 10.0.2.2"/
A10 a move that fails while programs wait is retried each second, and reported again only when its reason changes
  carried, moves fail: it was away, tb refused, event, 40 s: the same mount, 35 to 45 times move fallback
  : told share.move_failed once, told share.error once, error /the move failed: it was away/
  moves fail: it takes too long, 2 s: told share.move_failed twice; moves work, 1100 ms: on fallback, phase carrying, no error
A10 pauses between failed mounts do not delay the move of an existing one
  carried, its process is gone, mounts over both fail: it is full, event, 60 s, mounts work, 40 s, fresh, tb refused, event, 1 s
  : on fallback, steps but holds move fallback
A10 both hosts are silent: this is reported once, however long each probe waits for them
  carried, both silent, event, 20 s: told share.error once
A10 both gone and back: programs wait, nothing is unmounted, and they continue over the first to return
  carried, open 7, both silent, event, 20 s: condition waiting_for_route, error /both hosts are gone/, phase waiting
  tb answers, event, 5 s: the same mount, phase carrying, no error, no step unmount
A10 while programs wait for a proof, it is checked again when their patience ends
  carried, both refused, event, 15 s, proofs fail, both answer, event: wakes for confirm
A10 both gone while its relay does not answer: the cycle ends all the same, and it is asked again
  carried, its carrier is deaf, both link_down, event, 1 s: error /both hosts are gone/, phase carrying
  its carrier hears again, 1 s: phase waiting, the same mount
A10 a mount whose patience is over is not dead, and continues when a route returns
  carried, both refused, event, ${PATIENCE}, 30 s: phase refusing
  fallback answers, event, 5 s: the same mount, on fallback, phase carrying, no step unmount
A10 it is not moved to a route with a different server: it is remounted there
  carried, fallback refused, 3 s, another server behind fallback, fallback answers, 5 s: condition different_servers
  fresh, tb refused, event, 5 s: steps but holds check > unmount force > mount fallback
A10 a NAS that restarts is proved to be the same before programs continue
  carried, both refused, event, 15 s, both answer, event, 5 s: the same mount, step confirm, phase carrying
A10 a server replaced under a mount: no handle is resumed, and it is remounted
  carried, both refused, event, 5 s, another server behind both, both answer, event, 5 s: another mount
  : no step confirm, step unmount force, told a reason /another server answers there: they list different files/
A10 a NAS that restarts and has no proof is remounted when patience is over, and the reason is reported
  carried, both refused, event, 5 s, proofs fail, both answer, event, ${PATIENCE}, 60 s: another mount
  : told a reason /the server is not proved to be the same: they list different files/
  : told no reason /another server answers there/
`,
  );

  for (const cut of ["refused", "link_down", "silent", "wedged"]) {
    stories(
      STARTS,
      `
A10 ${cut}: the mount stays, and moves to the other route; open files do not matter
  carried, open 7, tb ${cut}, event, 4 s: the same mount, on fallback, steps but holds move fallback
  : told share.failover, open 7, serves over fallback, no error
`,
    );
  }
});

function overFallback(policy: Partial<SharePolicy> = {}): World {
  const world = carriedWorld(policy);
  world.hosts.tb = "refused";
  world.event().advance(3000);
  assert.equal(world.route, "fallback");
  world.hosts.tb = "answers";
  return world.event().fresh();
}

describe("failback", () => {
  for (const [autoFailback, lsofRecheck] of [
    [true, true],
    [true, false],
    [false, true],
  ] as const) {
    stories(
      { "over fallback": () => overFallback({ autoFailback, lsofRecheck }) },
      `
A10 auto_failback ${autoFailback}, lsof_recheck ${lsofRecheck}: it moves back over open files
  over fallback, open 7, 40 s: on tb, the same mount, steps move tb planned, told share.recovered, not pending
`,
    );
  }

  stories(
    {
      carried: () => carriedWorld(),
      "over fallback": () => overFallback(),
      "over fallback without recoveries": () => overFallback({ autoFailback: false, lsofRecheck: false }),
    },
    `
A10 tb is stable before its server is proved: the move waits for that, and nothing is remounted until then
  over fallback, proofs take 60000 ms, tb refused, event, 1 s, tb answers, event, 50 s: no steps, on fallback
  20 s: steps move tb planned
A10 both toggles off: a person decides, and needs no --force
  over fallback without recoveries, open 7, 60 s: on fallback, pending
  switch tb: result switched, on tb, not pending, open 7
A10 an overridden share stays on its override
  carried, switch fallback: held fallback, on fallback; 60 s: on fallback; switch auto, 40 s: on tb
`,
  );
});

describe("a relayed mount that is dead", () => {
  const endAndComeBack = "both silent, event, 5 s, its process is gone, both answer, event, 5 s";
  stories(
    STARTS,
    `
A10 its process is gone: it is remounted, relayed
  carried, its process is gone, event, 1 s: steps check > unmount force > mount tb carried
A10 its process ended while both routes were gone: when they return its new mount waits for the proof, and is relayed
  carried, proofs take 400 ms, both silent, event, 5 s, its process is gone, event, 5 s, both answer, event, 5 s
  : last steps mount tb carried
By hand: a switch whose mount vanishes during it fails, and is not an error
  carried, in the next step it vanishes, switch fallback: result failed, not told share.error
By hand: a switch whose mount is replaced by another one during it fails, and says that it is gone
  carried, in the next step another is in its place, switch fallback: result failed, detail /is gone/
A10 its process and its route are gone: it is remounted over the other one
  carried, its process is gone, tb refused, event, 3 s: on fallback, last steps mount fallback carried
A10 a switch while its new mount waits for the proof is taken when that is mounted
  carried, proofs take 3000 ms, fallback refused, 2 s, its process is gone, fallback answers, 2 s, fresh
  switch fallback: no result; 15 s: first steps mount tb carried, result switched, on fallback
A10 unmounted by hand while its new mount waits for the proof: it stays unmounted
  carried, proofs take 3000 ms, fallback refused, 2 s, its process is gone, fallback answers, 2 s: on none
  fresh, unmount: held unmounted; 20 s: no steps, held unmounted
A10 a server whose last proof failed is proved again after its routes were gone: its new mount is relayed again
  carried, proofs fail, ${endAndComeBack}: last steps mount tb, condition server_unproved
  proofs work, ${endAndComeBack}: last steps mount tb carried
A10 unmounted, its routes gone and back: mounted again, it waits for the proof, and is relayed
  carried, proofs take 400 ms, unmount, both refused, event, 5 s, both answer, event, mount, 5 s
  : last steps mount tb carried, result mounted
A10 its process ended while both routes were gone, and a different server is behind one of them then: mounted per route, with a condition
  carried, both silent, event, 5 s, its process is gone, another server behind fallback, both answer, event, 5 s
  : last steps mount tb, condition different_servers
A10 it hangs right after a move: rclone remakes its connections one after the other, so it has another 20 s
  carried, tb refused, event, 2 s: on fallback
  fresh, the mount hangs, 25 s: no steps; 15 s: step mount fallback carried
A10 it hangs while its route answers: dead after mount_hang_secs
  carried, the mount hangs, 9 s: no steps; 8 s: step mount tb carried
`,
  );

  test("A10 a mount whose checks fail while the server answers others is dead after mount_hang_secs: rclone gave them a lost connection", () => {
    const world = carriedWorld();
    const { mount } = world;
    assert.ok(mount?.carried !== undefined);
    const failFor = (ms: number): void => {
      mount.errno = "EIO";
      for (let passed = 0; passed < ms; passed += 100) {
        if (mount.carried !== undefined) mount.carried.lastAnswerAtMs = world.nowMs + 100;
        world.advance(100);
      }
    };
    failFor(8_000);
    assert.equal(world.stepKinds.length, 0);
    mount.errno = null;
    world.advance(3_000);
    failFor(8_000);
    assert.equal(world.stepKinds.length, 0, "it answered meanwhile");
    failFor(5_000);
    assert.ok(world.stepKinds.includes("mount tb carried"), world.stepKinds.join());
  });
});
