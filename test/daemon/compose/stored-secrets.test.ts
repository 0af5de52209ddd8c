import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../../src/config/read/load.ts";
import type { ConfigSnapshot } from "../../../src/config/snapshot.ts";
import { createStoredSecrets, startSecretRetry } from "../../../src/daemon/compose/stored-secrets.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import type { SecretStore } from "../../../src/secrets/secret-store.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";

const PLACE = { home: "/h/m", userHome: "/h", userName: "ann", defaultMountRoot: "/h/m/volumes" };

async function snapshotOf(password: string): Promise<ConfigSnapshot> {
  const text = `[[shares]]\nname = "A"\nthunderbolt_host = "a"\nfallback_host = "b"\npassword = "${password}"\n`;
  const loaded = await parseConfig(Buffer.from(text), "/h/m/config.toml", PLACE);
  assert.ok(loaded.ok);
  return loaded.snapshot;
}

function rig(get: (name: string) => Promise<string | null>) {
  const clock = createManualClock();
  const logger = createRecordingLogger();
  let opened = 0;
  const secrets = createStoredSecrets({
    environment: { HOME: "/h" },
    clock,
    logger,
    async openStore() {
      opened++;
      const unused = () => Promise.reject(new Error("not used"));
      const store: SecretStore = { filePath: "", list: unused, get, set: unused, remove: unused };
      return store;
    },
  });
  return { clock, logger, secrets, opened: () => opened };
}

const revisionOf = ({ config }: ConfigSnapshot): unknown => config.shares[0]?.password;

test("values stand beside the environment, and another value is another revision", async () => {
  let value: string | null = null;
  const { secrets } = rig(() => Promise.resolve(value));
  const snapshot = await snapshotOf("secret:nas");
  const none = await secrets.bind(snapshot);
  assert.equal(secrets.values["HOME"], "/h");
  assert.equal(secrets.values["secret:nas"], undefined);
  value = "one";
  const one = await secrets.bind(snapshot);
  assert.equal(secrets.values["secret:nas"], "one");
  assert.notDeepEqual(revisionOf(one), revisionOf(none));
  assert.deepEqual(revisionOf(await secrets.bind(snapshot)), revisionOf(one));
  value = "two";
  assert.notDeepEqual(revisionOf(await secrets.bind(snapshot)), revisionOf(one));
  value = null;
  await secrets.bind(snapshot);
  assert.equal(secrets.values["secret:nas"], undefined, "removed is removed");
  assert.deepEqual(secrets.unreadOf(snapshot), []);
});

test("without a stored secret no store is opened", async () => {
  const { secrets, opened } = rig(() => Promise.reject(new Error("not used")));
  const snapshot = await snapshotOf("${PASSWORD}");
  assert.equal(await secrets.bind(snapshot), snapshot);
  assert.equal(opened(), 0);
});

test("a keyring that cannot be read leaves the value that was, and says so without it", async () => {
  let failing = false;
  const { secrets, logger } = rig(() =>
    failing
      ? Promise.reject(new MountaineerError("secret_unavailable", "it is locked"))
      : Promise.resolve("word"),
  );
  const snapshot = await snapshotOf("secret:nas");
  const before = await secrets.bind(snapshot);
  failing = true;
  assert.deepEqual(revisionOf(await secrets.bind(snapshot)), revisionOf(before));
  assert.equal(secrets.values["secret:nas"], "word");
  assert.deepEqual(secrets.unreadOf(snapshot), ["nas"]);
  const said = JSON.stringify(logger.lines);
  assert.match(said, /it is locked/);
  assert.doesNotMatch(said, /word/);
});

test("a keyring that never answers holds up a start for its deadline at most", async () => {
  const { secrets, clock } = rig(() => new Promise(() => {}));
  const snapshot = await snapshotOf("secret:nas");
  const binding = secrets.bind(snapshot);
  await eventually(() => clock.pendingTimers > 0);
  await clock.advance(4_000);
  await binding;
  assert.deepEqual(secrets.unreadOf(snapshot), ["nas"]);
  const stop = new AbortController();
  const cancelled = secrets.bind(snapshot, stop.signal);
  stop.abort(new MountaineerError("aborted", "stopped"));
  await assert.rejects(cancelled, { code: "aborted" });
});

test("a dry run of a configuration without it does not make an unread secret forgotten, which runs on", async () => {
  const { secrets } = rig(() => Promise.reject(new MountaineerError("secret_unavailable", "it is locked")));
  const running = await secrets.bind(await snapshotOf("secret:nas"));
  const other = await secrets.bind(await snapshotOf("${PASSWORD}"));
  assert.deepEqual([secrets.unreadOf(running), secrets.unreadOf(other)], [["nas"], []]);
});

test("what could not be read is looked for again every 30 s, until it was, and no more after the end", async () => {
  const { clock, logger } = rig(() => Promise.resolve(null));
  const unread = ["nas"];
  let looks = 0;
  const retry = startSecretRetry({
    unread: () => unread,
    clock,
    logger,
    refresh: () => {
      looks++;
      return looks === 1 ? Promise.reject(new Error("not yet")) : Promise.resolve();
    },
  });
  const pass = async (): Promise<void> => {
    await eventually(() => clock.pendingTimers > 0);
    await clock.advance(30_000);
  };
  await pass();
  await eventually(() => looks === 1);
  await pass();
  await eventually(() => looks === 2);
  unread.length = 0;
  await pass();
  await eventually(() => clock.pendingTimers > 0);
  assert.equal(looks, 2);
  retry[Symbol.dispose]();
  assert.equal(clock.pendingTimers, 0);
});
