import assert from "node:assert/strict";
import { test } from "node:test";
import { diffConfigs, isEmptyDiff } from "../../src/config/diff.ts";
import type { MountaineerConfig } from "../../src/config/snapshot.ts";
import { accepted, SHARE } from "./support.ts";

async function config(text: string): Promise<MountaineerConfig> {
  return (await accepted(text)).config;
}

const OTHER = SHARE.replace("CORE", "OTHER").replaceAll("nas", "nas2").replace("10.1", "10.2");

test("other bytes with the same meaning are no difference", async () => {
  const before = await config(SHARE + OTHER);
  const after = await config(`# x\n[global]\ncheck_interval_secs = 2.0\n${OTHER}${SHARE}driver = "auto"\n`);
  assert.deepEqual(diffConfigs(before, after), {
    global: [],
    sync: [],
    server: [],
    shares: { added: [], removed: [], changed: [] },
  });
  assert.ok(isEmptyDiff(diffConfigs(before, after)));
});

test("shares that came, went and changed are told apart by their names", async () => {
  const diff = diffConfigs(
    await config(SHARE + OTHER),
    await config(SHARE.replace("nas.local", "nas.local:4450").replace("CORE", "NEW") + OTHER),
  );
  assert.deepEqual(diff.shares, { added: ["NEW"], removed: ["CORE"], changed: [] });
  assert.ok(!isEmptyDiff(diff));
});

test("every key of a share and of the globals shows when it changes", async () => {
  const base = '[[shares]]\nname = "A"\nthunderbolt_host = "a"\nfallback_host = "b"\n';
  const shares: [string, string[]][] = [
    [base.replace('"a"', '"c"'), ["routes.tb.host"]],
    [base.replace('"a"', '"a:1"'), ["routes.tb.port"]],
    [base.replace('"b"', '"c:1"'), ["routes.fallback.host", "routes.fallback.port"]],
    [`${base}thunderbolt_interface = "en0"\n`, ["routes.tb.interfaceName"]],
    [`${base}fallback_interface = "en0"\n`, ["routes.fallback.interfaceName"]],
    [`${base}username = "x"\n`, ["username"]],
    [`${base}share_name = "x"\n`, ["shareName"]],
    [`${base}password = "\${X}"\n`, ["password"]],
    [
      `${base}thunderbolt_path = "/a"\nfallback_path = "/b"\n`,
      ["driver", "routes.tb.folder", "routes.fallback.folder"],
    ],
  ];
  const before = await config(base);
  for (const [text, fields] of shares) {
    const diff = diffConfigs(before, await config(text));
    assert.deepEqual(diff, {
      global: [],
      sync: [],
      server: [],
      shares: { added: [], removed: [], changed: [{ name: "A", fields }] },
    });
  }
  const all = await config(`[global]
shares_root = "/x"
mount_root = "/y"
check_interval_secs = 1
network_debounce_ms = 1
connect_timeout_ms = 100
mount_hang_secs = 1
auto_failback = true
auto_failback_stable_secs = 1
lsof_recheck = false
`);
  const keys = diffConfigs(await config(""), all).global;
  assert.deepEqual([...keys].sort(), Object.keys(all.global).sort());
});

test("a variable's name changing is a change of the password", async () => {
  const text = `${SHARE}password = "\${X}"\n`;
  const diff = diffConfigs(await config(text), await config(text.replace("X", "Y")));
  assert.deepEqual(diff.shares.changed, [{ name: "CORE", fields: ["password"] }]);
});

test("B5 every key of the sync section and of the server section shows when it changes", async () => {
  const before = await config("");
  const after = await config(`[sync]
enabled = false
poll_interval = 0.5
debounce = 0.1
detection = "hash"
on_failure = "stop"
[server]
`);
  const diff = diffConfigs(before, after);
  assert.deepEqual([...diff.sync].sort(), Object.keys(after.sync).sort());
  assert.deepEqual(diff.server, ["host", "port"]);
  assert.ok(!isEmptyDiff(diff));
  assert.deepEqual(diffConfigs(after, await config("[server]\nport = 9001\n")).server, ["port"]);
  assert.deepEqual(diffConfigs(after, before).server, ["host", "port"]);
});
