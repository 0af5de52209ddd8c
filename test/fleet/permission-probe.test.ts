import assert from "node:assert/strict";
import { test } from "node:test";
import { jetstreamManager } from "@nats-io/jetstream";
import { readCredentials } from "../../src/fleet/credentials.ts";
import { userSeed } from "../../src/fleet/keys/nkey.ts";
import { LAYER_STREAM, LAYER_STREAM_CONFIG } from "../../src/fleet/layer/layer-subjects.ts";
import { probePermissions } from "../../src/fleet/permission-probe.ts";
import { NOBODY, neededBy } from "../../src/fleet/permissions.ts";
import { STREAM } from "../../src/fleet/subjects.ts";
import { keptAuthority, keptSeed, type Membership } from "../../src/fleet/way-in/membership.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { eventually } from "../support/eventually.ts";
import { needsNats, startMember, startNats } from "./nats-rig.ts";
import { found, invited, joined, type Machine, machines, present } from "./way-in/homes.ts";

const { signal } = new AbortController();
const USE = { calls: true, sessions: false, signs: false, asksForKeys: true };

async function probed(machine: Machine, membership: Membership, signs: boolean) {
  const [seed, authority] = [await keptSeed(machine, membership.secret), await keptAuthority(machine.home)];
  assert.ok(seed && authority);
  const { name, address } = membership;
  const credentials = readCredentials(userSeed(seed));
  assert.ok(credentials);
  const server = `tls://${address}`;
  const use = { ...USE, name, signs };
  return probePermissions({ server, name, credentials, authority, clock: systemClock, use }, signal);
}

test("G1 what fleet init permits is what each machine needs, and no more", needsNats, async (t) => {
  const [nas, laptop] = present(await machines(t, 2));
  const first = await found(nas);
  const open = await invited(nas, first);
  const second = await joined(laptop, open.code);
  await open.guest;
  assert.deepEqual(await probed(nas, first, true), { lacks: [], exceeds: [] });
  assert.deepEqual(await probed(laptop, second, false), { lacks: [], exceeds: [] });
  // Were it the operator's machine, it would say what is missing.
  const wrong = await probed(laptop, second, true);
  assert.deepEqual(
    [...new Set(wrong.lacks.map(({ purpose }) => purpose))],
    ["writing the fleet's configuration"],
  );
});

test(
  "G1 a server that permits everything is told of, and the probe changes nothing there",
  needsNats,
  async (t) => {
    const rig = await startNats(t, {
      permissions: {
        desktop:
          'publish: { deny: ["mountaineer.fleet.*.rollcall"] }, subscribe: { deny: ["mountaineer.fleet.*.offer"] }',
      },
    });
    const member = startMember(t, rig, "laptop");
    const other = startMember(t, rig, "nas");
    await eventually(
      () => other.sees("laptop").presence === "here" && member.sees("nas").presence === "here",
    );
    const stranger = await rig.stranger("stranger");
    const manager = await jetstreamManager(stranger);
    await manager.streams.add({ ...LAYER_STREAM_CONFIG, subjects: [...LAYER_STREAM_CONFIG.subjects] });
    const stored = async () =>
      Promise.all(
        [STREAM, LAYER_STREAM].map(async (stream) => {
          const { state } = await manager.streams.info(stream);
          return [state.messages, state.consumer_count, state.last_seq];
        }),
      );
    const before = await stored();
    const probe = (name: string) => {
      const credentials = readCredentials(rig.key(name).seed);
      assert.ok(credentials);
      const use = { ...USE, name };
      return probePermissions(
        { server: rig.url, name, credentials, authority: null, clock: systemClock, use },
        signal,
      );
    };
    const { lacks, exceeds } = await probe("laptop");
    assert.deepEqual(lacks, []);
    assert.equal(exceeds.length, 7);
    assert.deepEqual(await stored(), before);
    assert.deepEqual(member.report().conditions, []);
    assert.deepEqual(
      other.report().machines.map(({ name, problem }) => [name, problem]),
      [
        ["nas", null],
        ["laptop", null],
      ],
    );
    assert.deepEqual(
      (await probe("desktop")).lacks.map(({ subject }) => subject),
      ["mountaineer.fleet.desktop.rollcall", "mountaineer.fleet.*.offer"],
    );
  },
);

test("G1 who shares sessions alone needs the streams of calls, and none of what lending takes", () => {
  const subjects = (calls: boolean, sessions: boolean): readonly string[] =>
    neededBy({ ...USE, name: "laptop", calls, sessions })
      .filter(({ subject }) => /\.(call|offer|ask)\b/.test(subject))
      .map(({ may, subject, purpose }) => `${may} ${subject}: ${purpose}`);
  assert.deepEqual(subjects(false, false), []);
  assert.deepEqual(subjects(false, true), [
    `publish mountaineer.fleet.laptop.call.${NOBODY}: sessions`,
    "subscribe mountaineer.fleet.*.call.laptop: sessions",
  ]);
  assert.equal(subjects(true, true).length, 6);
});
