// Calls to two machines that are killed at random: none is made twice, none that was answered is missing, and none was made
// whose answer says that it was not sent.
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { randomFrom } from "../../lab/random.ts";
import { eventually } from "../../support/eventually.ts";
import { startNats } from "../nats-rig.ts";
import {
  linesOf,
  type MachineProcess,
  startClient,
  startMachine,
  startMachineProcess,
  textOf,
  toolsBackend,
  writtenIn,
} from "./machines.ts";

const NAMES = ["desktop", "nas"] as const;
const AT_ONCE = 8;
/** Said of a tool that is away: nothing was sent. */
const NOT_SENT = /^error: Unknown tool/;

export async function killAtRandom(
  t: TestContext,
  { calls, kills, seed }: { readonly calls: number; readonly kills: number; readonly seed: number },
): Promise<void> {
  t.diagnostic(`seed ${seed}`);
  const rig = await startNats(t);
  const written = (name: string): string => writtenIn(rig.folder, name);
  const start = (name: string): Promise<MachineProcess> =>
    startMachineProcess(t, rig, {
      name,
      backends: [toolsBackend("files", written(name))],
      exports: ["files"],
    });
  const machines = new Map<string, MachineProcess>();
  for (const name of NAMES) machines.set(name, await start(name));
  const laptop = await startMachine(t, rig, { name: "laptop", backends: [], imports: ["*"] });
  const isHere = (name: string): boolean => laptop.names().includes(`${name}_echo`);
  await eventually(() => NAMES.every(isHere));
  const client = await startClient(t, laptop.gateway);
  const outcomes = new Map<string, string>();
  let begun = 0;
  let killed = 0;
  /** Calls that each machine has not answered yet. */
  const open = new Map<string, number>(NAMES.map((name) => [name, 0]));
  const openAt = (name: string, change = 0): number => {
    open.set(name, (open.get(name) ?? 0) + change);
    return open.get(name) ?? 0;
  };
  const work = async (_each: unknown, worker: number): Promise<void> => {
    // Of its own, so that none depends on whose turn it is.
    const random = randomFrom(seed + worker);
    while (begun < calls || killed < kills) {
      begun += 1;
      const mark = String(begun);
      const name = random() < 0.5 ? "desktop" : "nas";
      openAt(name, 1);
      outcomes.set(`${name} ${mark}`, textOf(await client.call(`${name}_echo`, { mark })));
      openAt(name, -1);
      // Nothing is gained by asking a machine that is away as fast as one can.
      if (!isHere(name)) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const killing = async (): Promise<void> => {
    const random = randomFrom(seed + AT_ONCE);
    while (killed < kills) {
      const name = random() < 0.5 ? "desktop" : "nas";
      const from = begun;
      const until = from + 20 + Math.floor(random() * 100);
      await eventually(() => begun >= until && openAt(name) > 0, 60_000);
      await machines.get(name)?.kill();
      machines.set(name, await start(name));
      await eventually(() => isHere(name), 60_000);
      killed += 1;
    }
  };
  await Promise.all([killing(), ...Array.from({ length: AT_ONCE }).map(work)]);

  const made = new Map<string, number>();
  for (const name of NAMES) {
    for (const line of await linesOf(written(name))) {
      const key = `${name} ${line.replace("echo ", "")}`;
      made.set(key, (made.get(key) ?? 0) + 1);
    }
  }
  assert.deepEqual(
    [...made].filter(([, times]) => times > 1),
    [],
    "calls that were made twice",
  );
  const counts = { answered: 0, notSent: 0, unknown: 0 };
  for (const [key, text] of outcomes) {
    const times = made.get(key) ?? 0;
    if (text === key.split(" ")[1]) {
      counts.answered += 1;
      assert.equal(times, 1, `${key} was answered`);
    } else if (NOT_SENT.test(text)) {
      counts.notSent += 1;
      assert.equal(times, 0, `${key} was not sent`);
    } else {
      counts.unknown += 1;
      assert.match(text, /^error: .*(desktop|nas)/);
    }
  }
  t.diagnostic(`${outcomes.size} calls, ${kills} kills: ${JSON.stringify(counts)}`);
  // Whoever is back answers as before.
  for (const name of NAMES) assert.equal(textOf(await client.call(`${name}_echo`, { mark: "last" })), "last");
  assert.ok(counts.answered > 0 && counts.answered + counts.notSent + counts.unknown === begun);
}
