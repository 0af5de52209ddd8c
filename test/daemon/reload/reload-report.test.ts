import assert from "node:assert/strict";
import test from "node:test";
import type { ConfigDiff } from "../../../src/config/diff.ts";
import { SECTIONS } from "../../../src/config/schema/schema.ts";
import { describeDiff, mistakesText, reportOf } from "../../../src/daemon/reload/reload-report.ts";
import { assertEach } from "../../support/assert-each.ts";
import { diffOf, smbShare } from "../samples.ts";

/** A value that is not the default, for each key of the sections whose keys are told one by one. */
const OTHER_VALUES: Readonly<Record<string, string>> = {
  "global.shares_root": '"~/Elsewhere"',
  "global.mount_root": '"~/mounts"',
  "global.check_interval_secs": "7",
  "global.network_debounce_ms": "70",
  "global.connect_timeout_ms": "700",
  "global.mount_hang_secs": "77",
  "global.carry": '"off"',
  "global.outage_patience_secs": "7",
  "global.auto_failback": "true",
  "global.auto_failback_stable_secs": "7",
  "global.lsof_recheck": "false",
  "sync.enabled": "false",
  "sync.poll_interval": "7",
  "sync.debounce": "7",
  "sync.detection": '"hash"',
  "sync.on_failure": '"stop"',
  "notify.enabled": "true",
  "notify.failover": "false",
  "notify.tb_ready": "false",
  "notify.config_rejected": "false",
  "server.host": '"127.0.0.7"',
  "server.port": "7777",
  "server.public_url": '"https://mcp.example.com"',
  "server.body_limit_mb": "7",
  "server.drain_timeout": "0.5",
  "fleet.name": '"desktop"',
  "fleet.servers": '["tls://other.example:4222"]',
  "fleet.credentials": '"secret:other"',
  "fleet.export": '["*"]',
  "fleet.import": '["*"]',
  "fleet.together": '["*"]',
  "fleet.sessions": '["*"]',
  "fleet.tls_ca": '"/etc/nats/ca.pem"',
  "fleet.operator": `"U${"A".repeat(55)}"`,
};

const TOLD_BY_KEY = ["global", "sync", "notify", "server", "fleet"];

/** What a section has before the change, where it cannot be empty or left out. */
const BEFORE: Readonly<Record<string, readonly string[]>> = {
  server: [],
  fleet: ['name = "laptop"', 'servers = ["tls://nas.example:4222"]', 'credentials = "secret:fleet"'],
};

const keys = SECTIONS.filter(({ name }) => TOLD_BY_KEY.includes(name)).flatMap(({ name, keys: own }) =>
  own.map((key) => ({ section: name, key })),
);

test("every key of the file's settings has a value here", () => {
  assertEach(keys, ({ section, key }) => `${section}.${key}`, Object.keys(OTHER_VALUES));
});

for (const { section, key } of keys) {
  const name = `${section}.${key}`;
  test(`B8 a change of ${name} is told by the name it has in the file`, async () => {
    const lines = BEFORE[section];
    const before = lines === undefined ? "" : [`[${section}]`, ...lines, ""].join("\n");
    const kept = (lines ?? []).filter((line) => !line.startsWith(`${key} =`));
    const after = [`[${section}]`, ...kept, `${key} = ${OTHER_VALUES[name]}`, ""].join("\n");
    const { settings, summary, shares } = describeDiff(await diffOf(before, after));
    assert.deepEqual(settings, [name]);
    assert.equal(summary, "settings reloaded");
    assert.deepEqual(shares, { added: [], removed: [], changed: [] });
  });
}

function backend(name: string): string {
  return `[backends.${name}]\ncommand = "${name}"\n`;
}

const CASES: readonly [before: string, after: string, summary: string][] = [
  ["", "", "no changes"],
  ["", smbShare("CORE"), "1 share reloaded"],
  [smbShare("CORE"), "", "1 share reloaded"],
  [smbShare("CORE"), smbShare("MEDIA"), "2 shares reloaded"],
  [smbShare("CORE"), smbShare("CORE", ['username = "bo"', 'password = "${P}"']), "1 share reloaded"],
  [
    `[sync]\ndebounce = 2\n${smbShare("A")}${smbShare("B")}`,
    `[sync]\ndebounce = 3\n${smbShare("B", ['share_name = "b2"'])}${smbShare("C")}`,
    "3 shares reloaded",
  ],
  ["", "[server]\n", "settings reloaded"],
  ["", backend("files"), "1 backend reloaded"],
  [backend("files"), `${smbShare("A")}${smbShare("B")}`, "1 backend, 2 shares reloaded"],
  [backend("a") + backend("b"), backend("b") + backend("c"), "2 backends reloaded"],
  [backend("a") + backend("b"), backend("b") + backend("a"), "settings reloaded"],
  ["", "[audit]\n", "settings reloaded"],
  ["", "[audit]\nenabled = false\n", "no changes"],
  [`${smbShare("A")}${smbShare("B")}`, `${smbShare("B")}${smbShare("A")}`, "no changes"],
];

for (const [before, after, summary] of CASES) {
  test(`B8 details count what was touched: ${JSON.stringify([before, after])} is "${summary}"`, async () => {
    assert.equal(describeDiff(await diffOf(before, after)).summary, summary);
  });
}

test("B6 shares are told by name: added, removed, changed", async () => {
  const before = `${smbShare("A")}${smbShare("B")}${smbShare("C")}`;
  const after = `${smbShare("C", ['share_name = "c2"'])}${smbShare("D")}${smbShare("A")}`;
  assert.deepEqual(describeDiff(await diffOf(before, after)).shares, {
    added: ["D"],
    removed: ["B"],
    changed: ["C"],
  });
});

test("B6 backends are told by name, their order as a setting, and the gateway's sections by theirs", async () => {
  const before = `${backend("a")}${backend("b")}${backend("c")}[audit]\n`;
  const after = `${backend("b")}group = "g"\n${backend("a")}${backend("d")}[authorization]\n`;
  const { backends, settings, middleware, summary } = describeDiff(await diffOf(before, after));
  assert.deepEqual(backends, { added: ["d"], removed: ["c"], changed: ["b"] });
  assert.deepEqual(settings, ["backends"]);
  assert.deepEqual(middleware, ["authorization", "audit"]);
  assert.equal(summary, "3 backends reloaded");
});

test("B6 aliases are told among the settings, and count as one: nothing is mounted for them", async () => {
  const alias = (name: string, subpath: string): string =>
    `[[aliases]]\nname = "${name}"\nshare = "CORE"\ntarget_subpath = "${subpath}"\n`;
  const share = smbShare("CORE");
  const diff = await diffOf(
    `${share}${alias("gone", "a")}${alias("docs", "a")}`,
    `${share}${alias("docs", "b")}${alias("new", "a")}`,
  );
  const { settings, shares, summary } = describeDiff(diff);
  assert.deepEqual(settings, ["aliases.new", "aliases.gone", "aliases.docs"]);
  assert.deepEqual(shares, { added: [], removed: [], changed: [] });
  assert.equal(summary, "settings reloaded");
});

test("a report shares no list with the diff it is made of", async () => {
  const diff: ConfigDiff = await diffOf("", smbShare("CORE"));
  describeDiff(diff).shares.added.push("MORE");
  assert.deepEqual(diff.shares.added, ["CORE"]);
});

test("B6 the first mistake is told whole, with how many more there are", () => {
  const mistake = {
    file: "/home/ada/config.toml",
    line: 3,
    column: 7,
    path: "global.share_root",
    found: "an unknown key",
    expected: "a key of `[global]`",
    hint: "did you mean `shares_root`?",
  };
  const whole =
    "/home/ada/config.toml:3:7: global.share_root: found an unknown key, expected a key of `[global]`; did you mean `shares_root`?";
  assert.equal(mistakesText([mistake]), whole);
  assert.equal(mistakesText([mistake, mistake, mistake]), `${whole} (and 2 more)`);
  assert.equal(
    mistakesText([{ ...mistake, path: "", hint: null }]),
    "/home/ada/config.toml:3:7: found an unknown key, expected a key of `[global]`",
  );
  assert.equal(mistakesText([]), "the configuration is rejected");
});

test("B6 what a section refuses as a wrong configuration, without a place in the file, is told as a failure", () => {
  const rejected = { kind: "rejected", reason: "gateway: no such group", mistakes: [] } as const;
  const { failure, summary } = reportOf(rejected, { generation: 1, sha256: "" });
  assert.deepEqual([failure, summary], ["gateway: no such group", "gateway: no such group"]);
});
