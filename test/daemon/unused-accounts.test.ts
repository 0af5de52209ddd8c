// What users have stored, and no entry or server of the configuration has: kept for a day, then forgotten.
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { forgetUnusedAccounts } from "../../src/daemon/compose/unused-accounts.ts";
import { withOwn } from "../../src/daemon/control/own-accounts.ts";
import { grantFile } from "../../src/gateway/backends/server-sign-in/grant-store.ts";
import { noopLogger } from "../../src/runtime/log/log.ts";
import { type Clock, systemClock } from "../../src/runtime/time/clock.ts";
import { openEncryptedFiles } from "../../src/secrets/encrypted-files.ts";
import { openSecretStore } from "../../src/secrets/secret-store.ts";
import { accountsOf, openUserSecrets } from "../../src/secrets/user-secrets.ts";
import { accepted } from "../config/support.ts";
import { memoryKeyring } from "../secrets/memory-keyring.ts";
import { eventually } from "../support/eventually.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { createServiceRig } from "./service-rig.ts";

const HOUR_MS = 3_600_000;
const { signal } = new AbortController();

test("E1 what a user has stored outlives a wrong checkout, and ends a day after the entry or the server, also over restarts", async (t) => {
  const home = await temporaryFolder(t);
  const clock = createManualClock();
  const environment = { HOME: home, ANN: "anns", BEN: "bens", LATER: "of-a-later-ben" };
  const store = openSecretStore({ home, clock, environment, keyring: null });
  const secrets = openUserSecrets({ home, clock, store });
  const signIns = openEncryptedFiles({ folder: join(home, "sign-in"), clock, store });
  for (const name of ["ann", "ben"]) {
    const owner = { name, tokens: [`${name}s`] };
    await secrets.set(owner, "key", "secret", signal);
    const grant = JSON.stringify({ account: accountsOf(owner)[0] });
    for (const server of ["far", "far-b"]) await signIns.write(grantFile(server, name), grant, signal);
  }
  /** One look an hour, each as after a start. */
  const pass = async (
    hours: number,
    users: string,
    servers: string,
    values: Readonly<Record<string, string>> = environment,
  ): Promise<string> => {
    const entries = users
      .split(" ")
      .map((one) => `{ name = "${one.split("=")[0]}", token = "\${${one.split("=")[1]}}" }`);
    const text = [
      ...servers
        .split(" ")
        .map((one) => `[backends.${one}]\naccounts = "each"\nurl = "https://far.example/mcp"`),
      `[incoming_auth]\ntype = "local"\nusers = [${entries}]`,
    ].join("\n");
    const { config } = await accepted(text);
    for (let hour = 0; hour <= hours; hour += 1) {
      await forgetUnusedAccounts({ home, environment, config, values, clock, logger: noopLogger }, signal);
      if (hour < hours) clock.jumpWall(HOUR_MS);
    }
    const left = await Promise.all(["sign-in", "user-secrets"].map((folder) => readdir(join(home, folder))));
    return left.map((names) => names.filter((name) => /[0-9a-f]{32}\.json$/.test(name)).length).join(" ");
  };
  const BOTH = "ann=ANN ben=BEN";
  assert.equal(await pass(30, BOTH, "far far-b"), "4 2");
  assert.equal(await pass(23, "ann=ANN", "far far-b"), "4 2", "without Ben");
  assert.equal(await pass(0, BOTH, "far far-b"), "4 2", "he is back");
  assert.equal(await pass(23, "ann=ANN", "far"), "4 2", "again, and a server");
  assert.equal(
    await pass(30, BOTH, "far far-b", { HOME: home, ANN: "anns" }),
    "4 2",
    "his token cannot be read",
  );
  assert.equal(await pass(24, BOTH, "far"), "2 2", "the server");
  assert.equal(await pass(23, "ann=ANN ben=LATER", "far"), "2 2", "another entry of his name");
  assert.equal(await pass(1, "ann=ANN ben=LATER", "far"), "1 1");
  assert.equal(await pass(24, "ben=LATER", "far"), "0 0", "Ann");
});

test("E1 a running daemon looks for it, and counts the day from its first look", async (t) => {
  const rig = await createServiceRig(t);
  const store = openSecretStore({ home: rig.home, clock: systemClock, environment: {}, keyring: null });
  const ghost = { name: "ghost", tokens: ["t"] };
  await openUserSecrets({ home: rig.home, clock: systemClock, store }).set(ghost, "key", "secret", signal);
  await rig.write(await rig.config([]));
  let [aheadMs, looks] = [0, 0];
  const clock: Clock = {
    ...systemClock,
    wallMs: () => systemClock.wallMs() + aheadMs,
    sleep(ms, ...rest) {
      if (ms === 600_000) looks += 1;
      return systemClock.sleep(Math.min(ms, 50), ...rest);
    },
  };
  const { stop } = await rig.start({ clock });
  const stored = async (folder: string) => (await readdir(join(rig.home, folder))).join(" ");
  await eventually(async () => /_unused\.json/.test(await stored("sign-in")));
  aheadMs = 24 * HOUR_MS - 60_000;
  const before = looks;
  await eventually(async () => looks > before + 2);
  assert.match(await stored("user-secrets"), /user-\w+\.json/);
  aheadMs = 24 * HOUR_MS + 1;
  await eventually(async () => !/user-\w+\.json/.test(await stored("user-secrets")));
  await stop();
});

test("E1 what all users own is read with one look into the keyring", async (t) => {
  const environment = { ANN: "anns", BEN: "bens" };
  const keyring = memoryKeyring();
  const options = { home: await temporaryFolder(t), clock: systemClock, environment, keyring };
  const secrets = openUserSecrets({ ...options, store: openSecretStore(options) });
  const users = ["ann", "ben"];
  for (const name of users) await secrets.set({ name, tokens: [`${name}s`] }, "key", "secret", signal);
  const { config } = await accepted(
    `[backends.far]\naccounts = "each"\nurl = "https://far.example/mcp"\n[incoming_auth]\ntype = "local"\nusers = [` +
      '{ name = "ann", token = "${ANN}" }, { name = "ben", token = "${BEN}" }]',
  );
  const none = { roles: [], last_heard: null, programs: [], servers: [] };
  const people = users.map((name) => ({ name, signs_in: "token" as const, ...none }));
  const { get } = keyring;
  let reads = 0;
  keyring.get = (...given) => {
    reads += 1;
    return get(...given);
  };
  const { people: found } = await withOwn({ people }, options, { config, values: environment }, signal);
  const own = {
    secrets: [{ name: "key", is_stored: true }],
    accounts: [{ backend: "far", signed_in: false, account: null }],
  };
  assert.deepEqual(
    found,
    people.map((person) => ({ ...person, ...own })),
  );
  assert.equal(reads, 1);
});
