import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { authorityPaths, certificatePaths, readFleet } from "../../../src/fleet/enrollment/fleet-folder.ts";
import {
  found,
  invited,
  joined,
  LACKS_SERVER,
  linkOf,
  type Machine,
  machines,
  present,
} from "../../fleet/enrollment/homes.ts";
import { createTestHome, type TestHome } from "../../support/daemon.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import type { Scope } from "../../support/temporary-folder.ts";
import { startCommand } from "../command-line.ts";

const REAL = { skip: LACKS_SERVER };
const WITHIN_MS = 40_000;

async function homeOf({ home, sections }: Machine): Promise<TestHome> {
  const fleet = Object.entries(sections[0] ?? {}).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  const config = ["[server]", `port = ${await freePort()}`, "[fleet]", ...fleet, ""].join("\n");
  return createTestHome({ home, config });
}

async function fleetOfTwo(t: Scope) {
  const [first, second] = present(await machines(t, 2));
  const founder = await found(first);
  const open = await invited(first);
  const member = await joined(second, open.code);
  await open.guest;
  return { first, second, founder, member, nas: await homeOf(first), laptop: await homeOf(second) };
}

/** Types it, and kills it as soon as that is so; or it is over by then. */
async function killedWhen(
  { home }: TestHome,
  words: readonly string[],
  isSo: () => Promise<boolean> | boolean,
): Promise<void> {
  const { child } = startCommand(words, { home });
  await eventually(async () => child.exitCode !== null || (await isSo()), WITHIN_MS, 1);
  child.kill("SIGKILL");
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

test(
  "G1 the authority reissues the server's certificate without a change at any member, and no machine joins again",
  REAL,
  async (t) => {
    const { first, second, founder, member, nas, laptop } = await fleetOfTwo(t);
    await using _one = await nas.startMonitor();
    await using _two = await laptop.startMonitor();
    const rotate = ["fleet", "keys", "rotate", "certificate"];
    const shown = async (): Promise<number> => (await readFleet(first.home))?.certificates ?? 0;
    const connected = async (home: TestHome): Promise<boolean> =>
      JSON.parse((await home.cli(["fleet", "status", "--json"])).stdout).link.state === "connected";
    await eventually(async () => (await connected(nas)) && (await connected(laptop)), WITHIN_MS);
    const serial = async (): Promise<string> => {
      const { certificate } = certificatePaths(first.home, await shown());
      return new X509Certificate(await readFile(certificate, "utf8")).serialNumber;
    };
    const [before, known] = [await serial(), await readFile(join(second.home, "fleet", "ca.pem"), "utf8")];
    const key = authorityPaths(first.home).key;
    assert.equal((await stat(key)).mode & 0o777, 0o600);

    await killedWhen(nas, rotate, async () => (await shown()) === 2);
    const done = await nas.cli([...rotate, "--json"]);
    assert.deepEqual(JSON.parse(done.stdout), { renewed: true });
    assert.notEqual(await serial(), before);
    assert.equal(await readFile(join(second.home, "fleet", "ca.pem"), "utf8"), known);
    for (const [machine, membership] of [
      [first, founder],
      [second, member],
    ] as const) {
      assert.equal(await linkOf(machine, membership), true);
    }
    const [, , third] = present(await machines(t, 3));
    const open = await invited(first);
    await joined(third, open.code, { name: "desktop" });
    assert.equal(await open.guest, "desktop");
    await eventually(async () => (await connected(nas)) && (await connected(laptop)), WITHIN_MS);

    await rm(key);
    const without = await nas.cli(rotate);
    assert.equal(without.code, 2);
    assert.match(without.stderr, /the key of the fleet's authority is not kept here/);
  },
);
