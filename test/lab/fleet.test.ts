// A fleet beyond loopback: three machines, each in a network namespace of its own, join over TLS as the docs say.
// Whatever becomes of the server and of the links, each machine's own work goes on, and all is right again by itself.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { needsNats } from "../fleet/nats-rig.ts";
import { missingForRootRig } from "../rig/root-rig.ts";
import { eventually } from "../support/eventually.ts";
import { type Direction, type FleetMachineRig, formFleet, MOVED, startMachines } from "./fleet-machines.ts";

const NEEDS = { skip: needsNats.skip || (missingForRootRig() ?? false) };
const RIGHT_AGAIN_MS = 60_000;
/** By night the links stay cut for this long, ms; else only until that is found out. */
const WHOLE_CUT_MS = 30_000;
const isWhole = process.env["MOUNTAINEER_PARTITION"] === "all";

type Cuts = readonly (readonly [name: string, direction: Direction])[];
const CUTS: readonly Cuts[] = isWhole
  ? [
      [["nas", "both"]],
      [
        ["laptop", "both"],
        ["desktop", "sent"],
      ],
      [
        ["laptop", "received"],
        ["desktop", "both"],
      ],
      [["nas", "sent"]],
      [["nas", "received"]],
    ]
  : [
      [
        ["laptop", "both"],
        ["desktop", "sent"],
      ],
    ];

type Route = "tb" | "fallback";

function untilAllSee(machines: readonly FleetMachineRig[], route: Route): Promise<true> {
  return eventually(async () => {
    for (const machine of machines) {
      const { machines: seen, conditions } = await machine.report();
      assert.deepEqual(conditions, []);
      assert.deepEqual(
        seen
          .map(({ name, presence, state }) => [
            name,
            presence,
            state?.shares.find(({ name: share }) => share === MOVED)?.route,
          ])
          .toSorted(),
        machines.map(({ name }) => [name, "here", route]).toSorted(),
        `as ${machine.name} sees it`,
      );
    }
    return true;
  }, RIGHT_AGAIN_MS);
}

async function moveAll(machines: readonly FleetMachineRig[], to: Route): Promise<void> {
  for (const { home } of machines) {
    const { code, stderr } = await home.cli(["switch", "--to", to, "--share", MOVED]);
    assert.equal(code, 0, stderr);
  }
}

/** Work that goes on at all of them while `happens`. */
async function working(machines: readonly FleetMachineRig[], happens: () => Promise<void>): Promise<void> {
  await using works = new AsyncDisposableStack();
  const stops = machines.map((machine) => machine.work());
  for (const stop of stops) works.defer(async () => void (await stop()));
  await happens();
  for (const { done, failures, longestMs } of await Promise.all(stops.map((stop) => stop()))) {
    assert.deepEqual(failures, []);
    assert.ok(done > 3 && longestMs < 5_000, `${done} done, the longest in ${longestMs} ms`);
  }
}

async function startFleet(
  t: TestContext,
  names: readonly string[],
  address: (first: FleetMachineRig) => string,
) {
  const machines = await startMachines(t, names);
  const [nas] = machines;
  assert.ok(nas);
  await Promise.all(machines.map((machine) => machine.start()));
  const server = await formFleet(t, machines, address(nas));
  await untilAllSee(machines, "tb");
  return { machines, nas, server };
}

test(
  "G1 three machines join over TLS; killed servers and cut links do not interrupt any machine's own work",
  NEEDS,
  async (t) => {
    const { machines, server } = await startFleet(
      t,
      ["nas", "laptop", "desktop"],
      ({ address4 }) => address4,
    );
    let route: Route = "tb";
    const change = async (): Promise<void> => {
      route = route === "tb" ? "fallback" : "tb";
      await moveAll(machines, route);
    };
    await working(machines, async () => {
      await server.kill();
      await change();
      server.start();
      await untilAllSee(machines, route);
    });
    for (const cuts of CUTS) {
      await working(machines, async () => {
        const cutFrom = performance.now();
        const restores: (() => Promise<void>)[] = [];
        for (const [name, direction] of cuts) {
          const machine = machines.find((each) => each.name === name);
          assert.ok(machine);
          restores.push(await machine.cut(direction));
        }
        const isOff = ({ name }: FleetMachineRig): boolean =>
          name !== "nas" && cuts.some(([each]) => each === name || each === "nas");
        await change();
        for (const machine of machines.filter(isOff)) {
          await eventually(async () => (await machine.report()).link.state === "away", RIGHT_AGAIN_MS);
        }
        if (isWhole) await pause(WHOLE_CUT_MS - (performance.now() - cutFrom));
        for (const restore of restores) await restore();
        const endedAt = performance.now();
        await untilAllSee(machines, route);
        t.diagnostic(
          `${JSON.stringify(cuts)}: right again ${Math.round(performance.now() - endedAt)} ms after`,
        );
      });
    }
  },
);

test("G1 a fleet at an IPv6 address is joined and seen like any other", NEEDS, async (t) => {
  const { machines, nas, server } = await startFleet(t, ["nas", "laptop"], ({ address6 }) => address6);
  const { stdout } = await nas.run(["fleet", "status"]).ended;
  assert.match(stdout, /● connected[\s\S]*tls:\/\/\[fd00::1\]:4222/);
  await server.kill();
  await moveAll(machines, "fallback");
  server.start();
  await untilAllSee(machines, "fallback");
});
