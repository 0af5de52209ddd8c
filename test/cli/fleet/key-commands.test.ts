import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { authorityPaths, certificatePaths, readFleet } from "../../../src/fleet/enrollment/fleet-folder.ts";
import { readJoinCode } from "../../../src/fleet/enrollment/join-code.ts";
import {
  type Membership,
  storedAuthority,
  storedMachineKey,
} from "../../../src/fleet/enrollment/membership.ts";
import { operatorKeys } from "../../../src/fleet/enrollment/operator-key.ts";
import { openServerConnection } from "../../../src/fleet/enrollment/server-connection.ts";
import { userKey } from "../../../src/fleet/keys/nkey.ts";
import { readTrust } from "../../../src/fleet/layer/operator-trust.ts";
import { signLayer } from "../../../src/fleet/layer/signed-layer.ts";
import { inboxOf, LAYER_NEWS, LAYER_SUBJECT } from "../../../src/fleet/nats/subjects.ts";
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
  const open = await invited(first, founder);
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

async function secretsOf({ home }: TestHome): Promise<Record<string, string>> {
  const { secrets = {} } = JSON.parse(await readFile(join(home, "secrets.json"), "utf8").catch(() => "{}"));
  return secrets;
}

async function conditionsOf(home: TestHome): Promise<readonly string[]> {
  return (await home.status()).global.conditions.map(({ code }) => code);
}

test(
  "G1 the operator's key is exchanged in place; kill -9 at any instant leaves one that works",
  REAL,
  async (t) => {
    const { first, second, founder, nas, laptop } = await fleetOfTwo(t);
    const machine = await nas.startMonitor();
    t.after(() => machine[Symbol.asyncDispose]());
    const away = await laptop.startMonitor();
    const old = (await operatorKeys(first)).kept;
    const line = userKey(old);
    const file = join(first.home, "fleet.toml");
    const set = async (name: string) => {
      await writeFile(file, `[backends.${name}]\nurl = "http://127.0.0.1:9/${name}"\n`);
      const done = await nas.cli(["fleet", "config", "set", file]);
      assert.equal(done.code, 0, done.stderr);
      return done.stdout;
    };
    const runs = async (home: TestHome, name: string): Promise<boolean> =>
      ((await home.status()).backends ?? []).some((backend) => backend.name === name);
    await set("one");
    await eventually(() => runs(laptop, "one"), WITHIN_MS);
    // It is away while the key is exchanged.
    await away.stop();

    const rotate = ["fleet", "keys", "rotate", "operator"];
    const operatorOf = async (): Promise<string> => (await readTrust(first.home, line)).operator;
    const instants: readonly (readonly [string, () => Promise<boolean>])[] = [
      ["the next key is kept", async () => Object.hasOwn(await secretsOf(nas), "fleet-operator-next")],
      ["this machine has taken it", async () => (await operatorOf()) !== line],
      ["it is in its place", async () => !(await operatorKeys(first)).kept.equals(old)],
      ["codes carry it", async () => (await readFleet(first.home))?.operator !== founder.operator],
    ];
    for (const [what, isSo] of instants) {
      await killedWhen(nas, rotate, isSo);
      const { kept, next } = await operatorKeys(first);
      const counts = await operatorOf();
      assert.ok(userKey(kept) === counts || (next !== null && userKey(next) === counts), what);
    }
    // The daemon is killed, too, at an instant of its own.
    await machine.kill9();
    await using _nas = await nas.startMonitor();
    await eventually(async () => (await nas.cli(["fleet", "config", "get"])).code === 0, WITHIN_MS);
    const done = await nas.cli([...rotate, "--json"]);
    assert.equal(done.code, 0, done.stderr);
    const { operator } = JSON.parse(done.stdout);
    assert.equal(operator, await operatorOf());
    assert.equal(userKey((await operatorKeys(first)).kept), operator);
    assert.equal(Object.hasOwn(await secretsOf(nas), "fleet-operator-next"), false);
    const open = await invited(first, founder);
    await open.withdraw();
    assert.equal(
      readJoinCode(open.code).operator.toString("base64url"),
      (await readFleet(first.home))?.operator,
    );

    // Back, it takes all keys since by itself, and what the last one signs.
    const back = await laptop.startMonitor();
    await eventually(async () => (await readTrust(second.home, line)).operator === operator, WITHIN_MS);
    assert.match(await set("two"), /laptop runs it/);
    const listed = JSON.parse((await nas.cli(["fleet", "config", "history", "--json"])).stdout);
    assert.equal(
      listed.every(({ problem }: { problem: unknown }) => problem === null),
      true,
    );
    assert.match((await laptop.cli(["fleet", "config", "get"])).stderr, new RegExp(`by ${operator}`));

    // A thief of the old key, who writes where the fleet's configuration stands.
    const [seed, authority] = [
      await storedMachineKey(first, founder.secret),
      await storedAuthority(first.home),
    ];
    assert.ok(seed && authority);
    const { address } = founder;
    const words = { revision: 99, time: "2026-11-20T10:00:00.000Z", by: "nas", text: "" };
    await using link = await openServerConnection(
      { address, authority, seed, inbox: inboxOf("nas") },
      first.signal,
    );
    await link?.ask(LAYER_SUBJECT, signLayer(words, old), 5_000);
    await link?.ask(LAYER_NEWS, "", 1).catch(() => {});
    await eventually(async () => (await conditionsOf(laptop)).includes("fleet_layer_not_trusted"), WITHIN_MS);
    await back.kill9();
    await using _laptop = await laptop.startMonitor();
    await eventually(async () => (await conditionsOf(laptop)).includes("fleet_layer_not_trusted"), WITHIN_MS);
    assert.ok(await runs(laptop, "two"));
    const history = JSON.parse((await nas.cli(["fleet", "config", "history", "--json"])).stdout);
    assert.match(history[0].problem, /was the operator's, and is not any more/);

    // And where the newest one is known to others: without a word of it.
    await writeFile(file, '[backends.three]\nurl = "http://127.0.0.1:9/three"\n');
    await killedWhen(
      nas,
      [...rotate, "--stolen"],
      async () => !(await readFile(nas.configFile, "utf8")).includes(line),
    );
    const anew = await nas.cli([...rotate, "--stolen"]);
    assert.equal(anew.code, 0, anew.stderr);
    const [, last = ""] = /config set fleet\.operator (U\w+)/.exec(anew.stdout) ?? [];
    assert.equal((await nas.cli(["fleet", "config", "set", file])).code, 0);
    assert.equal((await laptop.cli(["config", "set", "fleet.operator", last])).code, 0);
    await eventually(() => runs(laptop, "three"), WITHIN_MS);
    await eventually(
      async () => !(await conditionsOf(laptop)).includes("fleet_layer_not_trusted"),
      WITHIN_MS,
    );
    const shown = JSON.parse((await laptop.cli(["fleet", "config", "get", "--json"])).stdout);
    assert.deepEqual([shown.operator, shown.newest.revision], [last, 1]);
  },
);

test(
  "G1 a machine's key is exchanged in place; kill -9 on either side leaves one that opens",
  REAL,
  async (t) => {
    const { first, second, founder, member, nas, laptop } = await fleetOfTwo(t);
    await using _two = await laptop.startMonitor();
    const killed = await nas.startMonitor();
    const before = await storedMachineKey(second, member.secret);
    assert.ok(before);
    const opensBy = async (machine: Machine, membership: Membership, seed: Buffer): Promise<boolean> => {
      const authority = (await storedAuthority(machine.home)) ?? "";
      const { address, name } = membership;
      const link = await openServerConnection(
        { address, authority, seed, inbox: inboxOf(name) },
        machine.signal,
      );
      await link?.[Symbol.asyncDispose]();
      return link !== null;
    };
    const rotate = ["fleet", "keys", "rotate"];
    const record = async () => (await readFleet(first.home))?.members.find(({ name }) => name === "laptop");
    await killedWhen(laptop, rotate, async () => (await record())?.nextKey !== undefined);
    await killed.kill9();
    await eventually(() => linkOf(second, member), WITHIN_MS);
    await using _one = await nas.startMonitor();
    const instants: readonly (readonly [string, () => Promise<boolean>])[] = [
      ["the next key is kept", async () => Object.hasOwn(await secretsOf(laptop), "fleet-key-next")],
      ["both open", async () => (await record())?.nextKey !== undefined],
      ["it is in its place", async () => !(await storedMachineKey(second, member.secret))?.equals(before)],
      ["the old one is gone", async () => (await record())?.key !== userKey(before)],
    ];
    for (const [what, isSo] of instants) {
      await killedWhen(laptop, rotate, isSo);
      // A server that reads its configuration again cuts off whoever signs in at that instant.
      await eventually(() => linkOf(second, member), WITHIN_MS).catch(() => assert.fail(what));
    }
    const done = await laptop.cli([...rotate, "--json"]);
    assert.equal(done.code, 0, done.stderr);
    const { key } = JSON.parse(done.stdout);
    assert.deepEqual(await record(), { name: "laptop", key });
    assert.equal(await opensBy(second, member, before), false);
    assert.equal(await linkOf(second, member), true);
    assert.equal(Object.hasOwn(await secretsOf(laptop), "fleet-key-next"), false);
    const connected = async (home: TestHome): Promise<boolean> =>
      JSON.parse((await home.cli(["fleet", "status", "--json"])).stdout).link.state === "connected";
    await eventually(() => connected(laptop), WITHIN_MS);

    // The machine with the server asks nobody.
    const own = await storedMachineKey(first, founder.secret);
    assert.ok(own);
    const alone = await nas.cli(rotate);
    assert.equal(alone.code, 0, alone.stderr);
    assert.match(alone.stdout, /nas signs in with U\w+; its old key opens nothing any more/);
    assert.equal(await opensBy(first, founder, own), false);
    await eventually(() => connected(nas), WITHIN_MS);
    // What it answers from then on, it answers by its new key.
    const last = await laptop.cli(rotate);
    assert.equal(last.code, 0, last.stderr);
  },
);

test(
  "G1 the server's certificate is issued anew by its authority: no member learns anything, and nobody joins anew",
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
    const open = await invited(first, founder);
    await joined(third, open.code, { name: "desktop" });
    assert.equal(await open.guest, "desktop");
    await eventually(async () => (await connected(nas)) && (await connected(laptop)), WITHIN_MS);

    await rm(key);
    const without = await nas.cli(rotate);
    assert.equal(without.code, 2);
    assert.match(without.stderr, /the key of the fleet's authority is not kept here/);
  },
);
