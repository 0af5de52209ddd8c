// What two daemons keep of tools in one home while one takes over from the other.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { chmod, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { parseConfig } from "../../../src/config/read/load.ts";
import type { ConfigSnapshot } from "../../../src/config/snapshot.ts";
import { openHomeWrites } from "../../../src/daemon/compose/home-writes.ts";
import { sealedPinStore } from "../../../src/daemon/compose/pin-store.ts";
import {
  createPrivatePaths,
  pathFaults,
  privatePaths,
  refusalOf,
} from "../../../src/daemon/compose/private-paths.ts";
import { createStoredSecrets, startSecretRetry } from "../../../src/daemon/compose/stored-secrets.ts";
import type { CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import type { GatewayTransition } from "../../../src/gateway/gateway-transitions.ts";
import { Pins } from "../../../src/gateway/pins/pins.ts";
import { NameRegistry } from "../../../src/gateway/serving/name-registry.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import type { Exposure, OpenEntry } from "../../../src/runtime/files/exposure.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import type { SecretStore } from "../../../src/secrets/secret-store.ts";
import { accepted } from "../../config/support.ts";
import { listing, tool } from "../../gateway/pins/tools.ts";
import { memoryKeyring } from "../../secrets/memory-keyring.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { createServiceRig, NEVER } from "../service-rig.ts";

const RULES: Parameters<Pins["load"]>[0] = {
  trust: { pin: "block" },
  backends: ["files", "web", "mail"].map((name) => ({ name, pin: null })),
};
const CHANGED = tool("a", { description: "Does a, and more." });

/** The pins of one daemon, as `sources` has its backends' lists. */
async function daemonOn(t: TestContext, home: string) {
  const logger = noopLogger;
  const writes = openHomeWrites({ home, clock: systemClock, environment: {} });
  const told: GatewayTransition[] = [];
  let sources: readonly CatalogSource[] = [];
  const pins: Pins = new Pins({
    store: writes.pinStore,
    clock: systemClock,
    logger,
    announce: (transition) => told.push(transition),
    onChanged: () => admit(),
  });
  const admit = (): readonly CatalogSource[] => pins.admit(sources, RULES);
  t.after(() => pins.storedBook[Symbol.asyncDispose]());
  await pins.load(RULES);
  return {
    pins,
    writes,
    names: () => told.map(({ name }) => name),
    lists(...listed: readonly CatalogSource[]): readonly string[] {
      sources = listed;
      return admit().flatMap(({ backend, listings }) =>
        listings.tools.map(({ name }) => `${backend}.${name}`),
      );
    },
  };
}

test("B11 E3 facts that either daemon learns of tools during a takeover are remembered", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const old = await daemonOn(t, home);
  old.writes.begin();
  old.lists(listing("files", [tool("a")]));
  await old.pins.storedBook.flush();

  const next = await daemonOn(t, home);
  const files = listing("files", [CHANGED]);
  const mail = listing("mail", [tool("m")]);
  assert.deepEqual(next.lists(files, mail), ["mail.m"]);
  // Meanwhile the old one sees the change, a person approves it, and another backend lists its tools.
  old.lists(files, listing("web", [tool("w")]));
  old.pins.approve(old.pins.pending, false);
  await old.pins.storedBook.flush();
  await old.writes.end();
  old.lists(files, listing("web", [tool("too-late")]));

  await next.pins.storedBook.reload(() => next.writes.begin());
  assert.deepEqual(next.lists(files, mail), ["files.a", "mail.m"]);
  assert.deepEqual(next.names(), ["catalog.tools_pinned"], "the change was told by the old one");
  await Promise.all([next.pins.storedBook.flush(), old.pins.storedBook.flush()]);

  const last = await daemonOn(t, home);
  last.writes.begin();
  const web = listing("web", [tool("w"), tool("too-late")]);
  assert.deepEqual(last.lists(files, mail, web), ["files.a", "mail.m", "web.w"]);
  assert.deepEqual(last.pins.state.lost, null);
  await last.pins.storedBook.flush();
});

test("B11 the unfinished writes of a slow disk when the home was handed over replace nothing of the next daemon's", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const clock = createManualClock();
  let isSlow = false;
  // Each deadline is over before a slow disk can have answered.
  const setTimer: Clock["setTimer"] = (delayMs, callback) => {
    if (isSlow) queueMicrotask(callback);
    return clock.setTimer(delayMs, callback);
  };
  const options = { home, clock: { ...clock, setTimer }, environment: {} };
  const writes = openHomeWrites(options);
  writes.begin();
  await writes.pinStore.write({ version: 1 });
  isSlow = true;
  const late = assert.rejects(writes.pinStore.write({ version: 2 }), /another daemon writes the home/u);
  const queued = assert.rejects(writes.nameStore.write({ version: 2 }), /another daemon writes the home/u);
  await writes.end();
  const paths = ["pins.sealed", "names.sealed"].map((name) => join(home, name));
  for (const path of paths) writeFileSync(path, "the next daemon's\n");
  isSlow = false;
  await Promise.all([late, queued]);
  for (const path of paths) assert.equal(await readFile(path, "utf8"), "the next daemon's\n", path);
});

test("B11 only the daemon in charge writes, and it ends with the writes it has begun", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const writes = openHomeWrites({ home, clock: systemClock, environment: {} });
  await writes.pinStore.write({ version: 1 });
  assert.deepEqual(await readdir(home).catch(() => []), []);
  writes.begin();
  const written = writes.pinStore.write({ version: 2 });
  await writes.end();
  await written;
  assert.deepEqual(await writes.pinStore.read(), { kind: "stored", value: { version: 2 } });
});

test("B11 C2 E3 a route override outlives daemons, also unverified, and one that was ended since stays ended", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  let overridden = 0;
  const daemon = async () => {
    const writes = openHomeWrites({ home, clock: systemClock, environment: {} });
    const options = { clock: systemClock, logger: noopLogger, onChanged() {} };
    const names = new NameRegistry({
      ...options,
      nameStore: writes.nameStore,
      onRouteOverride: () => void overridden++,
    });
    t.after(() => names.storedNames[Symbol.asyncDispose]());
    await names.storedNames.load();
    return { writes, names, routes: names.routeOverrides };
  };
  const old = await daemon();
  old.writes.begin();
  old.routes.keep("files", "lan");
  old.routes.keep("web", "remote");
  await old.routes.whenWritten();
  assert.equal(overridden, 2);
  const next = await daemon();
  assert.equal(next.routes.get("files"), "lan");
  old.routes.keep("files", null);
  old.routes.keep("mail", "lan");
  await old.routes.whenWritten();
  await old.writes.end();
  next.writes.begin();
  await next.names.storedNames.reload();
  assert.deepEqual(["files", "web", "mail"].map(next.routes.get), [null, "remote", "lan"]);
  next.routes.keep("web", null);
  await next.names.storedNames.reload();
  assert.equal(next.routes.get("web"), null, "a read does not bring back what a person has ended");
  await next.routes.whenWritten();
  const path = join(home, "names.sealed");
  await writeFile(path, (await readFile(path, "utf8")).replace('"lan"', '"remote"'));
  const last = await daemon();
  assert.match(last.names.lost ?? "", /another program wrote or changed it/);
  assert.deepEqual(["web", "mail"].map(last.routes.get), [null, "remote"]);
});

/** A bus there is: what fails then is a keyring that is locked, and not one that is not there. */
const environment = { DBUS_SESSION_BUS_ADDRESS: "unix:path=/dev/null" };

test("E3 pins read back as written, and are untrusted once another program has changed or removed them", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const keyring = memoryKeyring();
  const store = () => sealedPinStore({ home, clock: systemClock, environment, keyring }, true);
  assert.deepEqual(await store().read(), { kind: "none" });
  await store().write({ version: 1, tools: ["ü"] });
  assert.deepEqual(await store().read(), { kind: "stored", value: { version: 1, tools: ["ü"] } });

  const file = join(home, "pins.sealed");
  const text = await readFile(file, "utf8");
  await writeFile(file, text.replace("ü", "u"));
  const changed = await store().read();
  assert.ok(changed.kind === "untrusted" && changed.reason.startsWith(file), JSON.stringify(changed));
  await rm(file);
  assert.deepEqual(await store().read(), { kind: "untrusted", reason: `${file} is gone` });

  keyring.lockedBecause = "it is locked";
  const locked = await store().read();
  assert.ok(locked.kind === "unanswered" && locked.reason.includes("it is locked"), JSON.stringify(locked));
});

// Which configurations may not run where they stand, because others may write it or read a secret in it.
const HOME = "/home/ann/.mountaineer";
const CONFIG = `${HOME}/config.toml`;
const LITERAL = '[backends.a]\ncommand = "x"\nenv = { API_KEY = "hunter2" }\n';

const closed = (path: string): Exposure => ({
  path,
  realPath: path,
  writable: null,
  readable: null,
  failure: null,
});
const entry = (path: string, mode: string): OpenEntry => ({
  path,
  why: "mode",
  mode,
  uid: 1000,
  gid: 100,
  isFolder: false,
});

async function snapshot(text = "") {
  return { ...(await accepted(text)), path: CONFIG };
}

test("E2 home, configuration, secrets and sockets are checked", () => {
  assert.deepEqual(privatePaths(HOME, "/etc/m.toml"), [
    HOME,
    "/etc/m.toml",
    `${HOME}/secrets.json`,
    `${HOME}/mountaineer.sock`,
    `${HOME}/mcp.sock`,
  ]);
});

test("E2 a file that others may write is refused, with path, mode, owner and the chmod to run", async () => {
  const open = { ...closed(CONFIG), writable: entry(CONFIG, "0666") };
  const refusal = refusalOf(pathFaults([closed(HOME), open], await snapshot()));
  assert.equal(refusal?.code, "open_to_others");
  assert.equal(refusal?.message, `${CONFIG} can be written by others (mode 0666, user 1000)`);
  assert.equal(refusal?.hint, `chmod go-w ${CONFIG}`);
});

test("E2 a parent folder is named once, for everything in it; another owner gets a different hint", async () => {
  const above = { ...entry("/srv/my folder", "0777"), isFolder: true };
  const all = [HOME, CONFIG].map((path) => ({ ...closed(path), writable: above }));
  const [fault, ...others] = pathFaults(all, await snapshot());
  assert.deepEqual(others, []);
  assert.match(fault?.text ?? "", /^\/home\/ann\/\.mountaineer: \/srv\/my folder can be written by others/);
  assert.equal(fault?.hint, "chmod go-w '/srv/my folder'");
  const foreign = { ...entry(CONFIG, "0600"), why: "owner" as const, uid: 4321 };
  const refusal = refusalOf(pathFaults([{ ...closed(CONFIG), writable: foreign }], await snapshot()));
  assert.match(refusal?.message ?? "", /belongs to user 4321/);
  const twice = [foreign, foreign].map((open, index) => ({
    ...closed(CONFIG),
    writable: { ...open, path: `${index}` },
  }));
  assert.match(
    refusalOf(pathFaults(twice, null))?.message ?? "",
    / \(and 1 more; mountaineer doctor lists them\)$/,
  );
  assert.match(refusal?.hint ?? "", /sudo chown/);
});

test("E2 files that others may only read are reported, and refused if they contain a plain secret", async () => {
  const open = { ...closed(CONFIG), readable: entry(CONFIG, "0644") };
  const told = pathFaults(
    [open],
    await snapshot('[backends.a]\ncommand = "x"\nenv = { API_KEY = "${KEY}" }\n'),
  );
  assert.deepEqual(told, [
    {
      severity: "warning",
      code: "readable_by_others",
      path: CONFIG,
      text: `${CONFIG} can be read by others (mode 0644, user 1000)`,
      hint: `chmod go-r ${CONFIG}`,
    },
  ]);
  assert.equal(refusalOf(told), null);
  const refusal = refusalOf(pathFaults([open], await snapshot(LITERAL)));
  assert.match(refusal?.message ?? "", /seems to contain a secret: backends\.a\.env\.API_KEY$/);
  assert.doesNotMatch(`${refusal?.message} ${refusal?.hint}`, /hunter2/);
  const more = await snapshot(LITERAL.replace("}", ', TOKEN = "hunter2" }'));
  assert.match(refusalOf(pathFaults([open], more))?.message ?? "", /API_KEY and 1 more$/);
  const socket = { ...closed(`${HOME}/mcp.sock`), readable: entry(`${HOME}/mcp.sock`, "0644") };
  assert.deepEqual(pathFaults([socket], await snapshot()), []);
});

test("E2 a warning dates from when it was first seen; a check that fails, or is late, is logged", async () => {
  const clock = createManualClock();
  const logger = createRecordingLogger();
  let seen: readonly Exposure[] | null = [
    { ...closed(CONFIG), readable: entry(CONFIG, "0644"), failure: "EIO" },
  ];
  const places = createPrivatePaths({ home: HOME, check: async () => seen, clock, logger });
  const file = await snapshot();
  await places.require(file);
  const [first] = places.conditions();
  await clock.advance(60_000);
  await places.require(file);
  assert.deepEqual([first?.code, places.conditions()], [`readable_by_others:${CONFIG}`, [first]]);
  seen = null;
  await places.require(file);
  assert.deepEqual(places.conditions(), [first]);
  const looked = "could not be checked";
  assertEach(logger.lines, ({ message }) => message, [
    `write access ${looked}`,
    `write access ${looked}`,
    `write access to the home and the configuration ${looked} in time`,
  ]);
});

test("E2 a daemon does not start over a configuration that others may write", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config([]));
  await chmod(rig.configFile, 0o666);
  await assert.rejects(rig.start(), { code: "open_to_others", hint: `chmod go-w ${rig.configFile}` });
  await chmod(rig.configFile, 0o600);
  await chmod(rig.home, 0o777);
  await assert.rejects(rig.start(), { code: "open_to_others", hint: `chmod go-w ${rig.home}` });
  await chmod(rig.home, 0o700);
  await rig.start();
});

test("E2 a reload of one is refused, the running configuration stays, and a chmod lets it through", async (t) => {
  const rig = await createServiceRig(t);
  await rig.write(await rig.config([]));
  const { service } = await rig.start();
  const changed = await rig.config([], { global: ["network_debounce_ms = 400"] });
  await writeFile(rig.configFile, changed);
  await chmod(rig.configFile, 0o662);
  const report = await service.reload(NEVER);
  assert.equal(report.reloaded, false);
  assert.match(report.failure ?? "", /can be written by others \(mode 0662/);
  assert.ok(service.control.status().global.conditions.some(({ code }) => code === "config_failed"));
  await chmod(rig.configFile, 0o600);
  // It is tried again by itself: nothing of the content was wrong.
  await eventually(() => {
    const { conditions } = service.control.status().global;
    return conditions.every(({ code }) => code !== "config_failed");
  });
});

test("E2 a plain secret in a file that others can read is refused; without a secret it is a condition", async (t) => {
  const rig = await createServiceRig(t);
  const text = await rig.config([]);
  await rig.write(text);
  await chmod(dirname(rig.home), 0o755);
  await chmod(rig.home, 0o755);
  await chmod(rig.configFile, 0o644);
  const { service } = await rig.start();
  const told = service.control
    .status()
    .global.conditions.filter(({ code }) => /^readable_by_others:/.test(code));
  assertEach(told, ({ hint }) => hint, [`chmod go-rwx ${rig.home}`, `chmod go-r ${rig.configFile}`]);
  await writeFile(
    rig.configFile,
    `${text}\n${LITERAL.replace("[backends.a]", "[backends.a]\nenabled = false")}`,
  );
  const report = await service.reload(NEVER);
  assert.match(report.failure ?? "", /seems to contain a secret: backends\.a\.env\.API_KEY/);
  assert.ok(!JSON.stringify([report, service.control.status()]).includes("hunter2"));
});

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
      const store: SecretStore = {
        filePath: "",
        list: unused,
        usesKeyring: unused,
        get,
        set: unused,
        remove: unused,
      };
      return store;
    },
  });
  return { clock, logger, secrets, opened: () => opened };
}

const revisionOf = ({ config }: ConfigSnapshot): unknown => config.shares[0]?.password;

test("values complement the environment, and a different value makes a different revision", async () => {
  let value: string | null = null;
  const { secrets, opened } = rig(() => Promise.resolve(value));
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
  assert.deepEqual([secrets.unreadOf(snapshot), opened()], [[], 1]);
});

test("without a stored secret no store is opened", async () => {
  const { secrets, opened } = rig(() => Promise.reject(new Error("not used")));
  const snapshot = await snapshotOf("${PASSWORD}");
  assert.equal(await secrets.bind(snapshot), snapshot);
  assert.equal(opened(), 0);
});

test("an unreadable keyring leaves the earlier value, and without one reports it", async () => {
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
  failing = false;
  await secrets.bind(snapshot);
  assert.deepEqual(secrets.unreadOf(snapshot), [], "it is read again");
});

test("a keyring that never answers delays a start by its deadline at most", async () => {
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

test("a dry run of a configuration without it does not drop an unread secret, which stays in use", async () => {
  const { secrets } = rig(() => Promise.reject(new MountaineerError("secret_unavailable", "it is locked")));
  const running = await secrets.bind(await snapshotOf("secret:nas"));
  const other = await secrets.bind(await snapshotOf("${PASSWORD}"));
  assert.deepEqual([secrets.unreadOf(running), secrets.unreadOf(other)], [["nas"], []]);
});

test("unreadable secrets are retried every 30 s until read, and never after the end", async () => {
  const { clock, logger } = rig(() => Promise.resolve(null));
  let isDue = true;
  let looks = 0;
  const retry = startSecretRetry({
    isDue: () => isDue,
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
  isDue = false;
  await pass();
  await eventually(() => clock.pendingTimers > 0);
  assert.equal(looks, 2);
  retry[Symbol.dispose]();
  assert.equal(clock.pendingTimers, 0);
});
