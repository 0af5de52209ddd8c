// Why a share stays as it is: the rule in force, and the reason of each rule that takes no step.

import { World } from "../world.ts";
import { mountedOver, movingWorld, stories } from "./stories.ts";

/** Mounted over the fallback; Thunderbolt answers again for 2 s. */
function backOnFallback(policy: ConstructorParameters<typeof World>[0] = {}): World {
  const world = new World(policy);
  world.hosts.tb = "link_down";
  world.addMount("fallback");
  world.advance(5900);
  world.hosts.tb = "answers";
  world.event();
  return world.fresh();
}

stories(
  {
    "a new share": () => new World(),
    "over tb": () => mountedOver("tb"),
    "over fallback": () => mountedOver("fallback"),
    "over fallback by hand": () => {
      const world = mountedOver("fallback");
      world.memory = { ...world.memory, override: "fallback" };
      return world.advance(2000);
    },
    "tb is back": () => backOnFallback(),
    "tb is back without toggles": () => backOnFallback({ autoFailback: false, lsofRecheck: false }),
    moving: () => movingWorld(),
  },
  `
F7 a share over its route says that the mount answers, and why it does not fail over
  over tb: rule "keep the mount" because "10\\.0\\.1\\.2 is in use", rule "fail over" because "10\\.0\\.1\\.2 answers", rule "replace the mount" because "answers"
F7 a share on the fallback says for how long the preferred route has to answer
  tb is back, 2 s: rule "return to the preferred route" because "has to answer for 30 s"
F7 a share on the fallback names the programs whose open files it waits for
  tb is back, open 7, 31 s: rule "return to the preferred route" because "1 open: .*7"
F7 a share that waits for a person says so
  tb is back without toggles, 31 s: rule "return to the preferred route" because "waiting for you to switch: auto_failback and lsof_recheck are off"
F7 a failover that a refused login forbids gives that reason
  over tb, its server has refused the login, tb refused, 4 s: rule "fail over" because "refuses the login"
F7 a share that a person keeps on the fallback names the command that ends that
  over fallback by hand: rule "return to the preferred route" because "you asked for fallback; .mountaineer switch --to auto"
F7 a share whose Thunderbolt host is silent names that host
  over fallback by hand, switch auto, tb silent, 4 s: rule "return to the preferred route" because "10\\.0\\.1\\.2 does not answer"
F7 a share with one address has no rule about Thunderbolt
  over fallback, only over fallback, 4 s: no rule "return to the preferred route"
F7 one missed probe is named as such
  over tb, tb refused, cycle: rule "fail over" because "10\\.0\\.1\\.2 missed one check"
F7 a share that cannot be mounted gives the reason, and says when it is tried again
  a new share, mounts over both fail: no such share, 5 s: rule "mount" because "it failed \\d+ times?, and is tried again"
F7 a share without a password names the missing variable
  a new share, the variable NAS_PASSWORD is not set, 2 s: rule "mount" because "NAS_PASSWORD"
F7 a share that a person unmounted names the command that mounts it
  over tb, unmount, 2 s: rule "stay unmounted" because "mountaineer mount"
F7 a share that moves and has no route says that programs wait
  moving, both refused, event, 4 s: rule "wait" because "programs wait for a route", rule "fail over" because "both hosts are gone"
F7 a failed check of the mount is named, and nothing is replaced
  over tb, the mount says EIO, pass 1500 ms, cycle, pass 50 ms, cycle: rule "replace the mount" because "one check of the mount failed"
`,
);
