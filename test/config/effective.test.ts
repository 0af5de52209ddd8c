import assert from "node:assert/strict";
import { test } from "node:test";
import { effectiveData, effectiveText, getConfigValue } from "../../src/config/effective.ts";
import { parseConfigKey } from "../../src/config/key-path.ts";
import { accepted, bytes, PLACE } from "./support.ts";

const TEXT = `[global]
check_interval_secs = 0.5
[[shares]]
name = "CORE"
thunderbolt_host = "10.0.0.1"
fallback_host = "nas"
username = "bob"
password = "\${PW}"
`;

function source(text: string) {
  return { bytes: bytes(text), format: "toml", place: PLACE } as const;
}

async function get(key: string, text = TEXT) {
  return getConfigValue(source(text), parseConfigKey(key));
}

test("a value is the file's, else the default, and which is said", async () => {
  assert.deepEqual(await get("global.check_interval_secs"), { source: "file", value: 0.5 });
  assert.deepEqual(await get("sync.poll_interval"), { source: "default", value: 2 });
  assert.deepEqual(await get("lsof-recheck"), { source: "default", value: true });
  assert.deepEqual(await get("global.mount_root"), { source: "default", value: PLACE.defaultMountRoot });
  assert.deepEqual(await get("shares.core.username"), { source: "file", value: "bob" });
  assert.deepEqual(await get("shares.CORE.share_name"), { source: "default", value: "CORE" });
  assert.deepEqual(await get("shares[0].password"), { source: "file", value: "${PW}" });
  assert.deepEqual(await get("server.port"), { source: "default", value: 9000 });
  assert.equal((await get("shares.CORE.fallback_interface")).source, "absent");
  await assert.rejects(get("shares.COR.driver"), { code: "share_unknown" });
  await assert.rejects(get("sync.enabled", "[sync\n"), { code: "config_invalid" });
});

test("a password in the file is not shown", async () => {
  assert.deepEqual(await get("shares.CORE.password", TEXT.replace("${PW}", "hunter2")), {
    source: "file",
    value: "(hidden)",
  });
});

test("all that holds is a configuration of the same meaning, with its defaults marked", async () => {
  for (const text of ["", TEXT, `${TEXT}[server]\nport = 1\n`, `${TEXT}[sync]\ndetection = 'hash'\n`]) {
    const shown = await effectiveText(source(text));
    const { config } = await accepted(shown);
    const before = (await accepted(text)).config;
    assert.deepEqual(config, before);
    assert.deepEqual(await effectiveData(source(shown)), await effectiveData(source(text)));
  }
  const shown = await effectiveText(source(TEXT));
  assert.ok(shown.includes("check_interval_secs = 0.5\n"));
  assert.ok(shown.includes("network_debounce_ms = 500  # default\n"));
  assert.ok(shown.includes("[sync]\nenabled = true  # default\n"));
  assert.ok(!shown.includes("[server]"));
  assert.ok(shown.includes("# fallback_interface: the interface whose subnet holds the host\n"));
  const data = await effectiveData(source(TEXT));
  assert.deepEqual(Object.keys(data).sort(), ["global", "shares", "sync"]);
});
