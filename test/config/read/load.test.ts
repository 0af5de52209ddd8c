// What valid files mean, the defaults included, and what loading answers.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { DEFAULT_LIMITS } from "../../../src/config/limits.ts";
import { loadConfig } from "../../../src/config/read/load.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { accepted, PLACE, SHARE } from "../support.ts";

const DEFAULTS = {
  sharesRoot: "/home/ann/Shares",
  mountRoot: "/home/ann/.mountaineer/volumes",
  checkIntervalMs: 2000,
  networkDebounceMs: 500,
  connectTimeoutMs: 800,
  mountHangMs: 10_000,
  carry: "auto",
  outagePatienceMs: 60_000,
  autoFailback: false,
  autoFailbackStableMs: 30_000,
  lsofRecheck: true,
};

const SYNC_DEFAULTS = {
  enabled: true,
  pollIntervalMs: 2000,
  debounceMs: 1000,
  detection: "mtime",
  onFailure: "backoff",
};
const NOTIFY_DEFAULTS = { enabled: false, failover: true, tbReady: true, configRejected: true };
const NO_GATEWAY = {
  server: null,
  backends: [],
  conflictResolution: { strategy: "first-wins", separator: "_", order: [], longestName: 46 },
  limits: DEFAULT_LIMITS,
  incomingAuth: { type: "anonymous" },
  authorization: null,
  audit: null,
  trust: { approve: null, pin: "tell" },
  telemetry: null,
  fleet: null,
  optimizer: { enabled: false, keepTools: [] },
  groups: [],
  profiles: [],
};
const EMPTY = {
  ...NO_GATEWAY,
  global: DEFAULTS,
  sync: SYNC_DEFAULTS,
  notify: NOTIFY_DEFAULTS,
  shares: [],
  aliases: [],
};

test("a file without settings is valid and means the defaults", async () => {
  for (const text of ["", "\n", "# nothing\n", "[global]\n", "shares = []\n", "\ufeff"]) {
    assert.deepEqual((await accepted(text)).config, EMPTY, JSON.stringify(text));
  }
  for (const text of [
    "",
    "# nothing\n",
    "---\n",
    "global:\n",
    "shares:\nglobal:\n",
    "shares: []",
    "{}",
    "null",
    "\ufeff",
  ]) {
    assert.deepEqual((await accepted(text, "config.yaml")).config, EMPTY, JSON.stringify(text));
  }
});

test("a share needs a name and two hosts; the rest has defaults", async () => {
  const route = { port: 445, interfaceName: null, folder: null };
  assert.deepEqual((await accepted(SHARE)).config.shares, [
    {
      name: "CORE",
      shareName: "CORE",
      username: "ann",
      password: null,
      driver: "rclone",
      carry: "auto",
      routes: { tb: { host: "10.10.10.1", ...route }, fallback: { host: "nas.local", ...route } },
    },
  ]);
});

test("everything set comes out in the engine's spelling, the same from TOML and YAML", async () => {
  const toml = `[global]
shares_root = "~/S/"
mount_root = "/mnt/../mnt2"
check_interval_secs = 0.25
network_debounce_ms = 0
connect_timeout_ms = 100
mount_hang_secs = 1.5
carry = "on"
outage_patience_secs = 7.5
auto_failback = true
auto_failback_stable_secs = 0.5
lsof_recheck = false
[[shares]]
name = "Bu\u0308ro"
thunderbolt_host = "[fe80::1%en5]:4450"
fallback_host = "nas.local:4451"
username = "OFFICE\\\\ann"
share_name = "buero$"
password = "\${NAS_PW}"
thunderbolt_interface = "en5"
fallback_interface = "en0"
driver = "rclone"
carry = "off"
[sync]
enabled = false
poll_interval = 0.25
debounce = 0.05
detection = "inotify"
on_failure = "fixed"
[notify]
enabled = true
failover = false
tb_ready = false
config_rejected = false
[server]
host = "::1"
port = 8080
[[shares]]
name = "Local"
thunderbolt_path = "~/tb"
fallback_path = "/fb/"
`;
  const yaml = `global:
  shares_root: ~/S/
  mount_root: /mnt/../mnt2
  check_interval_secs: 0.25
  network_debounce_ms: 0
  connect_timeout_ms: 100
  mount_hang_secs: 1.5
  carry: "on"
  outage_patience_secs: 7.5
  auto_failback: true
  auto_failback_stable_secs: .5
  lsof_recheck: false
server: {host: "::1", port: 8080}
sync:
  enabled: false
  poll_interval: .25
  debounce: 0.05
  detection: inotify
  on_failure: fixed
notify: {enabled: true, failover: false, tb_ready: false, config_rejected: false}
shares:
  - name: Büro
    thunderbolt_host: "[fe80::1%en5]:4450"
    fallback_host: nas.local:4451
    username: OFFICE\\ann
    share_name: buero$
    password: \${NAS_PW}
    thunderbolt_interface: en5
    fallback_interface: en0
    driver: rclone
    carry: "off"
  - {name: Local, thunderbolt_path: ~/tb, fallback_path: /fb/}
`;
  const { config } = await accepted(toml);
  assert.deepEqual((await accepted(yaml, "x.yml")).config, config);
  assert.deepEqual(config, {
    ...NO_GATEWAY,
    global: {
      sharesRoot: "/home/ann/S",
      mountRoot: "/mnt2",
      checkIntervalMs: 250,
      networkDebounceMs: 0,
      connectTimeoutMs: 100,
      mountHangMs: 1500,
      carry: "on",
      outagePatienceMs: 7500,
      autoFailback: true,
      autoFailbackStableMs: 500,
      lsofRecheck: false,
    },
    sync: {
      enabled: false,
      pollIntervalMs: 250,
      debounceMs: 50,
      detection: "inotify",
      onFailure: "fixed",
    },
    notify: { enabled: true, failover: false, tbReady: false, configRejected: false },
    server: {
      host: "::1",
      port: 8080,
      publicUrl: null,
      management: { enabled: null, allowCommands: false, allowedHosts: [] },
      bodyLimitBytes: 64 * 1024 * 1024,
      drainTimeoutMs: 30_000,
    },
    aliases: [],
    shares: [
      {
        name: "Büro",
        shareName: "buero$",
        username: "OFFICE\\ann",
        password: { kind: "environment", variable: "NAS_PW" },
        driver: "rclone",
        carry: "off",
        routes: {
          tb: { host: "fe80::1%en5", port: 4450, interfaceName: "en5", folder: null },
          fallback: { host: "nas.local", port: 4451, interfaceName: "en0", folder: null },
        },
      },
      {
        name: "Local",
        shareName: "Local",
        username: "ann",
        password: null,
        driver: "local",
        carry: "on",
        routes: {
          tb: { host: null, port: 445, interfaceName: null, folder: "/home/ann/tb" },
          fallback: { host: null, port: 445, interfaceName: null, folder: "/fb" },
        },
      },
    ],
  });
});

test("a snapshot says which bytes it came from and cannot be changed", async () => {
  const snapshot = await accepted(SHARE);
  assert.equal(snapshot.sha256, createHash("sha256").update(SHARE).digest("hex"));
  assert.equal(snapshot.path, "config.toml");
  assert.equal(snapshot.format, "toml");
  for (const part of [
    snapshot,
    snapshot.config,
    snapshot.config.global,
    snapshot.config.shares,
    snapshot.warnings,
  ]) {
    assert.ok(Object.isFrozen(part));
  }
  const [share] = snapshot.config.shares;
  assert.ok(Object.isFrozen(share) && Object.isFrozen(share?.routes.tb));
  assert.notEqual((await accepted(`\ufeff${SHARE}`)).sha256, snapshot.sha256);
});

test("a file is read whole; what is no readable file rejects with config_unreadable", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "config.toml");
  const filler = `# ${"x".repeat(100)}\n`.repeat(2000);
  await writeFile(path, filler + SHARE);
  const loaded = await loadConfig(path, PLACE);
  assert.ok(loaded.ok && loaded.snapshot.config.shares.length === 1);
  await writeFile(path, `${filler.repeat(10)}x`);
  const large = await loadConfig(path, PLACE);
  assert.ok(!large.ok && /bytes/.test(large.mistakes[0]?.found ?? ""));

  const unreadable = (error: unknown): boolean =>
    error instanceof MountaineerError && error.code === "config_unreadable";
  await assert.rejects(loadConfig(join(folder, "missing.toml"), PLACE), unreadable);
  await mkdir(join(folder, "folder.toml"));
  await assert.rejects(loadConfig(join(folder, "folder.toml"), PLACE), unreadable);
  await promisify(execFile)("mkfifo", [join(folder, "pipe.toml")]);
  await assert.rejects(loadConfig(join(folder, "pipe.toml"), PLACE), unreadable);
  await writeFile(join(folder, "config.json"), "{}");
  await assert.rejects(loadConfig(join(folder, "config.json"), PLACE), unreadable);
});
