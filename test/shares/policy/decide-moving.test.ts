// Shares that move: mounted once, by a program that changes the route beneath the mount.
import { describe } from "node:test";
import type { SharePolicy } from "../../../src/shares/share-spec.ts";
import { PATIENCE_MS } from "../sim-program.ts";
import type { World } from "../world.ts";
import { movingWorld, PLAIN_STARTS, stories } from "./stories.ts";

const STARTS = { ...PLAIN_STARTS, moving: () => movingWorld() };
const PATIENCE = `${PATIENCE_MS} ms`;

describe("mounting", () => {
  stories(
    STARTS,
    `
A10 a share is mounted once, with both routes, over the preferred route first
  a share that moves, 5 s: steps mount tb moving, no conditions, on tb, no error
A10 with one route it is mounted at once, and a route that an edit adds needs no new mount
  a share that moves, stable after 1000 ms, only over fallback, 5 s: steps mount fallback moving
  fresh, over either again, 10 s: on tb, steps move tb, the same mount
A13 a server that is not the recorded one is not mounted; a person lets a new NAS in
  a share that moves, another server behind both, 5 s: on none, condition different_servers says /different files/
  : error /different files/
  fresh, mount: result failed, condition different_servers; mount --new-server: result mounted, steps mount tb moving > mount tb moving new
  : no conditions, on tb
A13 a stranger at one address is passed over by the program
  a share that moves, another server behind tb, 5 s: on fallback, steps mount tb moving
A14 a refused login is not tried over the other route, and the condition says what to do
  a share that moves, the login fails, 1 s: steps mount tb moving, condition login_refused says /password is wrong/
  the login works, mount: result mounted, no conditions
A10 on_route_change = "remount" makes a mount that stays on its route
  a new share, 5 s: steps mount tb, no conditions
`,
  );
});

describe("a lost route", () => {
  for (const cut of ["refused", "link_down"])
    stories(
      STARTS,
      `
A10 ${cut}: the program moves the mount, which is announced; open files do not matter
  moving, open 7, tb ${cut}, event, 2 s: the same mount, on fallback, no steps, told share.failover once, open 7
  : serves over fallback, no error, told a reason /10.0.1.2 is gone/
`,
    );
  stories(
    STARTS,
    `
A10 a host that is silent while the mount is served keeps it, with a condition
  moving, tb silent, fallback refused, event, 3 s: the same mount, on tb, no steps, condition route_slow, no error
A10 both gone and back: programs wait, nothing is unmounted, and they continue over the first to return
  moving, open 7, both refused, event, 20 s: condition waiting_for_route, error /both hosts are gone/, phase waiting, no steps
  : wakes within 400 ms
  fallback answers, event, 3 s: the same mount, on fallback, phase serving, no error, no steps, no conditions
A10 a mount whose patience is over is not dead: it is asked less often, and continues when a route returns
  moving, both refused, event, ${PATIENCE}, 5 s: phase over, condition waiting_for_route, no wake
  tb answers, event, 3 s: the same mount, phase serving, no steps, no error
A10 a share that was renamed on the server: the condition has the shares that are there
  moving, both refused, event, 5 s, its share is gone, event, 2 s: condition waiting_for_route says /it has "photos"/
A10 both hosts are gone: this is reported once
  moving, both refused, event, 20 s: told share.error once
A13 another server where the NAS was: programs wait for the mounted one, and nothing is remounted
  moving, both refused, event, 5 s, another server behind both, both answer, event, 5 s: the same mount, phase waiting
  : no steps, condition different_servers, error /different files/
  one server behind both, event, 3 s: the same mount, phase serving, no steps, no error, no conditions
A13 a person lets the new NAS in, once nothing of the old one is open
  moving, both refused, event, 5 s, another server behind both, both answer, event, 2 s, 2 files of it are open, fresh
  mount --new-server: result busy, detail /2 files of the server before/, no steps
  0 files of it are open, one server behind both, mount --new-server: result skipped, phase serving
A10 while off network, programs get errors at once and are not asked to wait
  moving, both refused, event, 2 s, off network, event, 2 s: conditions off_network, phase away, no wake
  both answer, on its network, event, 2 s: phase serving, no conditions, no error, the same mount
A14 a password that was changed on the NAS is a condition; the mount stays, and a person's try logs in
  moving, open 7, the password was changed there, 5 s: condition login_refused, the same mount, no steps, phase refused
  the login works, mount: result skipped, steps log_in, phase serving, no conditions, open 7
A17 a server that limits connections is a condition
  moving, it takes 1 connection, 2 s: condition connections_limited, no steps
A18 folders whose changes are not heard are a note
  moving, it watches too much, 2 s: conditions changes_unheard, no steps
A10 a lock that another machine may have had is a condition
  moving, it has lost a lock, 2 s: condition lock_lost, no steps
A2 a preferred route that may leave by another cable is a note; with one route, whose cable does not matter, it is none
  moving, eth1 has its network as well, 2 s: conditions cable_uncertain, no steps
  moving, only over tb, eth1 has its network as well, 2 s: no conditions
A13 an empty share is a note
  moving, its root is empty, 2 s: conditions share_empty, no steps
`,
  );
});

function overFallback(policy: Partial<SharePolicy> = {}): World {
  const world = movingWorld(policy);
  world.hosts.tb = "refused";
  world.event().advance(3000);
  world.hosts.tb = "answers";
  return world.event().fresh();
}

describe("failback", () => {
  for (const [autoFailback, lsofRecheck] of [
    [true, true],
    [true, false],
    [false, true],
  ] as const)
    stories(
      { "over fallback": () => overFallback({ autoFailback, lsofRecheck }) },
      `
A10 auto_failback ${autoFailback}, lsof_recheck ${lsofRecheck}: it moves back over open files
  over fallback, open 7, 40 s: on tb, the same mount, steps move tb, told share.recovered, not pending
  : not told share.failover, 2 moves
`,
    );
  stories(
    {
      moving: () => movingWorld(),
      "over fallback": () => overFallback(),
      "over fallback without recoveries": () => overFallback({ autoFailback: false, lsofRecheck: false }),
    },
    `
A10 both toggles off: a person decides, and needs no --force
  over fallback without recoveries, open 7, 60 s: on fallback, pending
  switch tb: result switched, on tb, not pending, open 7
A10 an overridden share stays on its override
  moving, switch fallback: held fallback, on fallback; 60 s: on fallback; switch auto, 40 s: on tb
A10 a failover to Thunderbolt ends the override of the fallback
  moving, switch fallback, fallback refused, event, 2 s: on tb, held nothing
A10 a recovery that the program gives up is tried again after a pause
  over fallback, moves fail: another server answers, 40 s: on fallback, told share.move_failed
  : condition recovery_failed, no step unmount
  moves work, 120 s: on tb, no conditions
By hand: a switch that fails changes nothing
  moving, moves fail: not quiet, switch fallback: result failed, detail /not quiet. nothing was changed/, on tb
`,
  );
});

describe("the address of a host that was edited", () => {
  stories(
    STARTS,
    `
A6 the mount moves to the new address once the same server answers there
  moving, open 7, its host is edited, 3 s: steps move tb, the same mount, no error, no conditions, told share.remounted
A6 A13 another server at the new address: open files stay at the old one, and the condition says what differs
  moving, open 7, its host is edited, moves fail: it lists different files, 5 s: the same mount, condition host_unproved
  : open 7, on tb
`,
  );
});

describe("a mount that is dead", () => {
  stories(
    STARTS,
    `
A15 its process is gone: it is mounted again at once
  moving, its process is gone, event, 1 s: steps check > unmount force > mount tb moving
A15 its process and its route are gone: it is mounted over the other one
  moving, its process is gone, tb refused, event, 3 s: on fallback, last steps mount fallback moving
A10 its checks fail while the program serves: programs get the same, and nothing is remounted
  moving, the mount says EIO, 30 s: no steps, the same mount
A10 a program that is silent together with the mount is a condition while files are open
  moving, open 7, the mount hangs, its program is silent, 25 s: condition program_silent, only checks, the same mount
  closed, 5 s: another mount, step unmount force, step mount tb moving
A10 a program that is silent while the mount answers is none
  moving, its program is silent, 30 s: no steps, no conditions
A10 nothing is judged before the program has spoken
  moving, its program has not spoken, both refused, event, 20 s: no steps, the same mount
By hand: a switch whose mount vanishes during it fails, and is not an error
  moving, in the next step it vanishes, switch fallback: result failed, not told share.error
`,
  );
});
