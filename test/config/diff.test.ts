import assert from "node:assert/strict";
import { test } from "node:test";
import { diffConfigs, isEmptyDiff } from "../../src/config/diff.ts";
import type { MountaineerConfig } from "../../src/config/snapshot.ts";
import { accepted, SHARE } from "./support.ts";

async function config(text: string): Promise<MountaineerConfig> {
  return (await accepted(text)).config;
}

const NO_NAMES = { added: [], removed: [], changed: [] };
const NOTHING = {
  settings: [],
  backends: { ...NO_NAMES, reordered: false },
  middleware: [],
  shares: NO_NAMES,
  aliases: NO_NAMES,
};

const OTHER = SHARE.replace("CORE", "OTHER").replaceAll("nas", "nas2").replace("10.1", "10.2");

test("different bytes with the same meaning are not a difference", async () => {
  const before = await config(SHARE + OTHER);
  const after = await config(
    `# x\n[global]\ncheck_interval_secs = 2.0\n${OTHER}${SHARE}share_name = "CORE"\n`,
  );
  assert.deepEqual(diffConfigs(before, after), NOTHING);
  assert.ok(isEmptyDiff(diffConfigs(before, after)));
});

test("every key of a share shows when it changes", async () => {
  const base = '[[shares]]\nname = "A"\nthunderbolt_host = "a"\nfallback_host = "b"\n';
  const before = await config(base);
  for (const text of [
    base.replace('"a"', '"c"'),
    base.replace('"a"', '"a:1"'),
    base.replace('"b"', '"c:1"'),
    `${base}thunderbolt_interface = "en0"\n`,
    `${base}fallback_interface = "en0"\n`,
    `${base}username = "x"\n`,
    `${base}share_name = "x"\n`,
    `${base}password = "\${X}"\n`,
    `${base}thunderbolt_path = "/a"\nfallback_path = "/b"\n`,
  ]) {
    const diff = diffConfigs(before, await config(text));
    assert.deepEqual(diff, { ...NOTHING, shares: { ...NO_NAMES, changed: ["A"] } }, text);
  }
});

test("a variable's name changing is a change of the password", async () => {
  const text = `${SHARE}password = "\${X}"\n`;
  const diff = diffConfigs(await config(text), await config(text.replace("X", "Y")));
  assert.deepEqual(diff.shares.changed, ["CORE"]);
});

test("B5 a server section that is added or removed shows with the keys that it sets, or with all", async () => {
  const [before, after] = [await config(""), await config("[server]\n")];
  const all = [
    ...[
      "host",
      "port",
      "public_url",
      "allowed_origins",
      "session_key",
      "body_limit_mb",
      "drain_timeout",
      "management",
    ],
  ];
  const expected = all.map((key) => `server.${key}`);
  assert.deepEqual(diffConfigs(before, after).settings, expected);
  assert.deepEqual(diffConfigs(after, before).settings, expected);
  assert.ok(!isEmptyDiff(diffConfigs(before, after)));
  const set = await config("[server]\nport = 9001\ndrain_timeout = 7\n");
  assert.deepEqual(diffConfigs(before, set).settings, ["server.port", "server.drain_timeout"]);
  const other = await config("[server]\nport = 9001\nmanagement = { allow_commands = true }\n");
  assert.deepEqual(diffConfigs(after, other).settings, ["server.port", "server.management"]);
});

const FILES = '[backends.files]\ncommand = "files"\n';
const WEB = '[backends.web]\nurl = "https://example.org/mcp"\n';

test("B6 added, removed and changed backends are listed by name", async () => {
  const before = await config(FILES + WEB);
  const after = await config(`${FILES.replace('"files"', '"other"')}[backends.new]\ncommand = "new"\n`);
  const { backends } = diffConfigs(before, after);
  assert.deepEqual(backends, {
    added: ["new"],
    removed: ["web"],
    changed: ["files"],
    reordered: false,
  });
});

test("B6 the order of backends matters, and nothing else of their notation does", async () => {
  const env = '[backends.files.env]\nA = "1"\nB = "2"\n';
  const swapped = '[backends.files.env]\nB = "2"\nA = "1"\n';
  const same = diffConfigs(await config(FILES + env + WEB), await config(FILES + swapped + WEB));
  assert.deepEqual(same, NOTHING);
  const diff = diffConfigs(await config(FILES + WEB), await config(WEB + FILES));
  assert.deepEqual(diff, { ...NOTHING, backends: { ...NO_NAMES, reordered: true } });
  assert.ok(!isEmptyDiff(diff));
  const added = '[backends.first]\ncommand = "x"\n';
  const between = diffConfigs(await config(FILES + WEB), await config(FILES + added + WEB));
  assert.deepEqual(between.backends, { ...NO_NAMES, added: ["first"], reordered: false });
});

test("B6 every key of a backend shows when it changes", async () => {
  const lines = [
    "enabled = false",
    'group = "g"',
    'args = ["x"]',
    'cwd = "/srv"',
    'env.A = "1"',
    "timeouts.init = 1",
    "timeouts.cap_fetch = 1",
    "timeouts.call = 1",
    'filters.tools.allow = ["x"]',
    'filters.resources.deny = ["x"]',
    'filters.prompts.deny = ["x"]',
    'tool_overrides.x.name = "y"',
    'tool_overrides.x.description = "y"',
    'instances = "per-client"',
    'replace = "stop-first"',
  ];
  const before = await config(FILES);
  for (const line of lines) {
    const diff = diffConfigs(before, await config(`${FILES}${line}\n`));
    assert.deepEqual(diff.backends, { ...NO_NAMES, changed: ["files"], reordered: false });
  }
});

test("B6 a changed section of the gateway is reported by its name in the file", async () => {
  const rows: [string, string][] = [
    ['[conflict_resolution]\nstrategy = "prefix"\n', "conflict_resolution"],
    ['[incoming_auth]\ntype = "local"\ntoken = "${T}"\n', "incoming_auth"],
    ["[authorization]\n", "authorization"],
    ["[audit]\n", "audit"],
  ];
  const before = await config(FILES);
  for (const [text, section] of rows) {
    const diff = diffConfigs(before, await config(FILES + text));
    assert.deepEqual(diff, { ...NOTHING, middleware: [section] });
    assert.ok(!isEmptyDiff(diff));
  }
  const off = diffConfigs(before, await config(`${FILES}[audit]\nenabled = false\n[incoming_auth]\n`));
  assert.ok(isEmptyDiff(off));
});

test("added, removed and changed aliases are listed by name; their order does not matter", async () => {
  const alias = (name: string, target: string): string =>
    `[[aliases]]\nname = "${name}"\nshare = "CORE"\ntarget_subpath = "${target}"\n`;
  const before = await config(SHARE + alias("a", "x") + alias("b", "y"));
  const swapped = await config(SHARE + alias("b", "y") + alias("a", "x"));
  assert.ok(isEmptyDiff(diffConfigs(before, swapped)));
  const after = await config(SHARE + alias("b", "z") + alias("c", "x"));
  const diff = diffConfigs(before, after);
  assert.deepEqual(diff.aliases, {
    added: ["c"],
    removed: ["a"],
    changed: ["b"],
  });
  assert.deepEqual(diff.shares, NO_NAMES, "the share itself is not touched");
  assert.ok(!isEmptyDiff(diff));
});

test("a new shares_root moves the aliases without an explicit path", async () => {
  const text = `${SHARE}[[aliases]]\nname = "a"\nshare = "CORE"\ntarget_subpath = "x"\n`;
  const diff = diffConfigs(await config(text), await config(`[global]\nshares_root = "/S"\n${text}`));
  assert.deepEqual(diff.aliases.changed, ["a"]);
});
