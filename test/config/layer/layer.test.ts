import assert from "node:assert/strict";
import { test } from "node:test";
import { applyApprovals } from "../../../src/config/approval/apply-approvals.ts";
import { editedEntries } from "../../../src/config/approval/edited-entries.ts";
import type { ConfigLayer } from "../../../src/config/layer/layer.ts";
import { layerMistakes, parseLayered } from "../../../src/config/layer/parse-layered.ts";
import type { ConfigSnapshot } from "../../../src/config/snapshot.ts";
import { describeMistakes } from "../../../src/config/values/mistakes.ts";
import { assertEach } from "../../support/assert-each.ts";
import { GROUND } from "../approval/places.ts";
import { bytes, PLACE, SHARE } from "../support.ts";

const OPERATOR = `U${"A".repeat(55)}`;
const FLEET = `[fleet]
name = "laptop"
servers = ["nats://127.0.0.1"]
credentials = "secret:fleet"
operator = "${OPERATOR}"
`;

const layer = (text: string, changes: Partial<ConfigLayer> = {}): ConfigLayer => {
  return { text, revision: 7, operator: OPERATOR, ...changes };
};
const loaded = (file: string, under: ConfigLayer | null, path = "config.toml") =>
  parseLayered(bytes(file), path, PLACE, under);

async function runs(...args: Parameters<typeof loaded>): Promise<ConfigSnapshot["config"]> {
  const found = await loaded(...args);
  if (!found.ok) throw new Error(describeMistakes(found.mistakes));
  return found.snapshot.config;
}

async function refusedAt(...args: Parameters<typeof loaded>): Promise<readonly string[]> {
  const found = await loaded(...args);
  assert.ok(!found.ok, "accepted what should be refused");
  return found.mistakes.map(({ file, line, column, path }) => `${file}:${line}:${column} ${path}`);
}

test("G1 what the machine's own file says wins, key by key and name by name", async () => {
  const under = layer(`[global]
check_interval_secs = 7
lsof_recheck = false
[notify]
enabled = true
[backends.files]
command = "theirs"
[backends.more]
command = "more"
[[aliases]]
name = "A"
share = "core"
target_subpath = "theirs"
[[aliases]]
name = "B"
share = "CORE"
target_subpath = "b"
[audit]
keep = 9
`);
  const file = `[global]
check_interval_secs = 3
${SHARE}[[aliases]]
name = "a"
share = "CORE"
target_subpath = "mine"
[backends.files]
command = "mine"
[audit]
max_size_mb = 3
${FLEET}`;
  const config = await runs(file, under);
  const { checkIntervalMs, lsofRecheck } = config.global;
  assert.deepEqual([checkIntervalMs, lsofRecheck, config.notify.enabled], [3_000, false, true]);
  assertEach(
    config.backends,
    ({ name, connection }) => [name, "command" in connection && connection.command],
    [
      ["files", "mine"],
      ["more", "more"],
    ],
  );
  assertEach(config.aliases, ({ name, targetSubpath }) => [name, targetSubpath], [
    ["a", "mine"],
    ["B", "b"],
  ]);
  // A section that is one thing is the file's, whole.
  assert.deepEqual([config.audit?.maxSizeBytes, config.audit?.keep], [3 * 1024 * 1024, 5]);
  assert.deepEqual(config.layer, {
    revision: 7,
    brings: ["global", "backends", "notify", "backends.more", "aliases.B"],
  });
  const yaml = `fleet:\n  name: laptop\n  servers: ['nats://127.0.0.1']\n  credentials: secret:fleet\n  operator: ${OPERATOR}\n`;
  assert.equal((await runs(yaml, layer("[notify]\nenabled = true\n"), "config.yaml")).notify.enabled, true);
});

test("G1 a layer lies under a file alone that names its operator", async () => {
  const under = layer("[notify]\nenabled = true\n");
  const others = FLEET.replace(OPERATOR, `U${"B".repeat(55)}`);
  for (const file of ["", FLEET.replace(/operator.*\n/, ""), others]) {
    const { notify, layer: revision } = await runs(file, under);
    assert.deepEqual([notify.enabled, revision], [false, undefined], file);
  }
});

test("G1 a layer with a mistake is refused whole, at its line; one of the file is the file's", async () => {
  const wrong = layer(
    '[notify]\nenabled = true\n[backends.x]\ncommand = 3\n[[aliases]]\nname = "A"\nshare = "NO"\n',
  );
  assert.deepEqual(await refusedAt(FLEET, wrong), [
    "fleet revision 7:4:11 backends.x.command",
    "fleet revision 7:5:3 aliases[0].target_subpath",
    "fleet revision 7:7:9 aliases[0].share",
  ]);
  assert.deepEqual(await refusedAt(FLEET, layer("[notify\n")), ["fleet revision 7:1:8 "]);
  assert.deepEqual(await refusedAt(`[notify]\nenabled = 3\n${FLEET}`, wrong), [
    "config.toml:2:11 notify.enabled",
  ]);
  // The file's alias comes first in the list, the layer's mistake is placed in its own text.
  const alias = '[[aliases]]\nname = "M"\nshare = "CORE"\ntarget_subpath = "m"\n';
  const other = layer('[[aliases]]\nname = "N"\nshare = "CORE"\ntarget_subpath = "../.."\n');
  assert.deepEqual(await refusedAt(SHARE + alias + FLEET, other), [
    "fleet revision 7:4:18 aliases[0].target_subpath",
  ]);
});

const FORBIDDEN: readonly [text: string, path: string][] = [
  ['[server]\nhost = "0.0.0.0"', "server"],
  ['[fleet]\nname = "x"', "fleet"],
  ['[audit]\npath = "~/.bashrc"', "audit.path"],
  [
    '[[aliases]]\nname = "A"\nshare = "X"\ntarget_subpath = "x"\npath = "~/.config/autostart"',
    "aliases[0].path",
  ],
  ['[global]\nshares_root = "~/x"', "global.shares_root"],
  ['[global]\nmount_root = "~/x"', "global.mount_root"],
  ['[nas.home]\nfallback_host = "evil"', "nas"],
  ['[[shares]]\nname = "X"\nnas = "home"', "shares[0].nas"],
  ['[trust]\napprove = "none"', "trust"],
  ['[backends.x]\ncommand = "x"\npin = "off"', "backends.x.pin"],
  [
    '[[shares]]\nname = "X"\nthunderbolt_host = "evil"\nfallback_host = "evil2"',
    "shares[0].thunderbolt_host",
  ],
  [
    '[[shares]]\nname = "X"\ndriver = "local"\nthunderbolt_path = "/a"\nfallback_path = "/b"',
    "shares[0].thunderbolt_path",
  ],
  ['[[shares]]\nname = "X"\nfallback_host = "evil"', "shares[0].fallback_host"],
  ['[[shares]]\nname = "X"\ndriver = "local"\nfallback_path = "/b"', "shares[0].fallback_path"],
  ['[groups.x]\ntools = ["a", "secret:github"]', "groups.x.tools[1]"],
  [
    '[backends.x]\nurl = "https://evil.example"\nheaders = { A = "Bearer ${GITHUB}" }',
    "backends.x.headers.A",
  ],
  ['[backends.x]\ncommand = "x"\nenv = { TOKEN = "secret:github" }', "backends.x.env.TOKEN"],
  [
    '[backends.x]\ncommand = "x"\nargs = ["--token=ghp_0123456789abcdef0123456789abcdef0123"]',
    "backends.x.args[0]",
  ],
];

test("G1 a layer holds nothing of what is each machine's own, and no secret", async () => {
  for (const [text, path] of FORBIDDEN) {
    const mistakes = await layerMistakes(`${text}\n`, "layer.toml", PLACE);
    assert.equal(mistakes[0]?.path, path, text);
    assert.match((await refusedAt(FLEET, layer(`${text}\n`)))[0] ?? "", /^fleet revision 7:/, text);
  }
  assert.ok(
    !describeMistakes(await layerMistakes(`${FORBIDDEN.at(-1)?.[0]}\n`, "l", PLACE)).includes("ghp_"),
  );
  const [big] = await layerMistakes(`#${"x".repeat(128 * 1024)}`, "layer.toml", PLACE);
  assert.match(big?.expected ?? "", /at most 131072 bytes/);
});

test("G1 what a layer speaks of may stand in each machine's own file", async () => {
  const text = '[backends.x]\ncommand = "x"\nrequires = ["CORE"]\n';
  assert.deepEqual(await layerMistakes(text, "layer.toml", PLACE), []);
  assert.match(
    (await refusedAt(FLEET, layer(text)))[0] ?? "",
    /^fleet revision 7:3:\d+ backends\.x\.requires/,
  );
  assert.equal((await runs(SHARE + FLEET, layer(text))).backends.length, 1);
});

test("G1 what a layer alone says is noted as its own, and a list or section of another kind hides nothing", async () => {
  const own = '[backends.own]\ncommand = "x"\nargs = ["--token=ghp_0123456789abcdef0123456789abcdef0123"]\n';
  const under = layer('[authorization]\ndefault_effect = "deny"\n[groups.few]\nbackends = ["own"]\n');
  const config = await runs(own + FLEET, under);
  assert.deepEqual(config.layer?.brings, ["authorization", "groups"], "and the file's secret is the file's");
  for (const text of ["shares = 3\n", "global = 3\n"]) {
    const { shares } = await runs(`[global]\ncheck_interval_secs = 3\n${SHARE}${FLEET}`, layer(text));
    assert.equal(shares.length, 1, text);
  }
  const alias = '[[aliases]]\nname = "M"\nshare = "CORE"\ntarget_subpath = "m"\n';
  const nameless = layer('[[aliases]]\nshare = "CORE"\ntarget_subpath = "n"\n');
  assert.deepEqual(await refusedAt(SHARE + alias + FLEET, nameless), [
    "fleet revision 7:1:3 aliases[0].name",
  ]);
});

test("G1 who takes an entry out of the file has not approved the one that comes up from under it", async () => {
  const under = layer('[backends.files]\ncommand = "theirs"\n');
  const mine = '[backends.files]\ncommand = "mine"\n[backends.other]\ncommand = "other"\n';
  const before = await runs(mine + FLEET, under);
  const after = await runs(FLEET, under);
  const { approvals } = applyApprovals({ file: before, running: null, approvals: null, ...GROUND });
  const { ids } = editedEntries({ before, after, running: before, approvals, ...GROUND });
  assert.deepEqual([...ids], ["backends.other"]);
  const outcome = applyApprovals({ file: after, running: before, approvals, ...GROUND });
  assertEach(outcome.waiting, ({ id }) => id, ["backends.files"]);
});
