// E2 over HTTP: what whoever is signed in there may change of the configuration, without leave for commands.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { describe, it, test } from "node:test";
import { guardedChanges } from "../../../src/config/approval/entries.ts";
import { findPlace } from "../../../src/config/locate.ts";
import { parseConfig } from "../../../src/config/read/load.ts";
import { NEVER, scene } from "./config-scene.ts";

const VISITOR = { isOwner: false, runsCommands: false };
const TRUSTED = { isOwner: false, runsCommands: true };
const PLACE = findPlace({ HOME: "/home/ann", MOUNTAINEER_HOME: "/home/ann/.mountaineer" });
const FILE = `[sync]
enabled = false

[server]
port = 9000

[backends.files]
command = "files"
args = ["/srv"]
cwd = "/srv"
env = { MODE = "read" }

[backends.remote]
url = "https://api.example/mcp"
headers = { Authorization = "secret:api" }

[[shares]]
name = "CORE"
thunderbolt_host = "nas-tb.local"
fallback_host = "nas.local"
username = "ann"
share_name = "core"
`;

/** Without what would be looked for on the network. */
const LOCAL = FILE.slice(0, FILE.indexOf("\n[backends.remote]"));

async function meaning(text: string) {
  const loaded = await parseConfig(Buffer.from(text), "/home/ann/.mountaineer/config.toml", PLACE);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.snapshot.config;
}

const SHARE_HEAD = 'thunderbolt_host = "a"\nfallback_host = "b"\nusername = "c"\nshare_name = "d"\n';

/** What is written instead of what, and the entry that then decides otherwise. */
const CHANGES: readonly (readonly [what: string, from: string, to: string, id: string])[] = [
  ["another command", '"files"\n', '"sh"\n', "backends.files"],
  ["other arguments", '["/srv"]', '["-c", "true"]', "backends.files"],
  ["another folder", 'cwd = "/srv"', 'cwd = "/tmp"', "backends.files"],
  ["no folder", 'cwd = "/srv"\n', "", "backends.files"],
  ["an environment variable", '"read" }', '"read", LD_PRELOAD = "/tmp/x.so" }', "backends.files"],
  [
    "a server's address for its program",
    /command[\s\S]*?(?=\n\n\[backends.remote)/.exec(FILE)?.[0] ?? "",
    'url = "http://10.0.0.1/"\n',
    "backends.files",
  ],
  ["another program", "[sync]", '[backends.more]\ncommand = "more"\n[sync]', "backends.more"],
  ["the leave itself", "port = 9000", "[server.management]\nallow_commands = true", "incoming_auth"],
  [
    "who may be asked for",
    "port = 9000",
    '[server.management]\nallowed_hosts = ["a.example"]',
    "incoming_auth",
  ],
  ["the API beyond this machine", "port = 9000", "[server.management]\nenabled = true", "incoming_auth"],
  ["what waits", "[sync]", '[trust]\napprove = "none"\n[sync]', "trust"],
  ["another port", "port = 9000", "port = 9001", ""],
  ["how long a call takes", "[sync]", "[backends.files.timeouts]\ncall = 7\n[sync]", ""],
  ["a program that goes", /\[backends.files][\s\S]*?(?=\n\[)/.exec(FILE)?.[0] ?? "", "", ""],
  ["where a token is sent", "https://api.example", "https://evil.example", "backends.remote"],
  ["what is sent", '"secret:api"', '"secret:other"', "backends.remote"],
  ["a server more", "[sync]", '[backends.more]\nurl = "https://b.example"\n[sync]', "backends.more"],
  ["where a password is sent", '"nas.local"', '"evil.example"', "shares.CORE"],
  ["whose password is sent", '"ann"', '"root"', "shares.CORE"],
  ["another share", "[[shares]]\n", `[[shares]]\nname = "B"\n${SHARE_HEAD}\n[[shares]]\n`, "shares.B"],
  ["who comes in", "[sync]", '[incoming_auth]\ntype = "local"\ntoken = "secret:t"\n[sync]', "incoming_auth"],
  ["the address beyond this machine", "port = 9000", 'public_url = "https://a.example"', "incoming_auth"],
  ["who may do what", "[sync]", '[authorization]\ndefault_effect = "deny"\n[sync]', "authorization"],
  ["what is pinned", "[sync]", '[trust]\npin = "block"\n[sync]', "trust"],
  ["what is written down", "[sync]", "[audit]\nenabled = true\n[sync]", "audit"],
  ["how much may be asked", "[sync]", "[limits]\ncalls_per_second = 9000\n[sync]", "limits"],
  ["where traces are sent", "[sync]", '[telemetry]\nendpoint = "http://e.example"\n[sync]', "telemetry"],
  ["who is served what", "[sync]", '[groups.all]\ntools = ["*"]\n[sync]', "groups"],
  ["where links are made", "[sync]", '[global]\nshares_root = "/home/ann/.config"\n[sync]', "global"],
  ["how often shares are looked at", "[sync]", "[global]\ncheck_interval_secs = 9\n[sync]", ""],
];

describe("E2 what a person approves", () => {
  for (const [what, from, to, id] of CHANGES) {
    it(`${what}: ${id === "" ? "no" : "yes"}`, async () => {
      assert.ok(FILE.includes(from));
      const changed = guardedChanges(await meaning(FILE), await meaning(FILE.replace(from, to)));
      assert.deepEqual(changed, id === "" ? [] : [id]);
    });
  }

  it("which of two comes first", async () => {
    const two = ["a", "b"].map((name) => `[backends.${name}]\ncommand = "${name}"\n`);
    const [one, other] = [await meaning(two.join("")), await meaning(two.toReversed().join(""))];
    assert.deepEqual(guardedChanges(one, other), ["backends"]);
  });
});

test("E2 over HTTP a broken file is mended with nothing that a person approves", async (t) => {
  const { path, service } = await scene(t, LOCAL);
  await writeFile(path, "[sync");
  const { sha256 } = await service.control.config(null, NEVER);
  const whole = (text: string) => ({ text, expected_sha256: sha256, source: "web" });
  await assert.rejects(service.control.editText(whole(LOCAL), NEVER, VISITOR), { code: "commands_refused" });
  assert.equal(await readFile(path, "utf8"), "[sync");
});

test("E2 over HTTP a command is refused before anything is written, and changed with leave", async (t) => {
  const { path, service } = await scene(t, LOCAL);
  const edit = { edits: [{ key: "backends.files.command", value: '"other"' }], source: "web" };
  await assert.rejects(service.control.edit(edit, NEVER, VISITOR), { code: "commands_refused" });
  assert.equal(await readFile(path, "utf8"), LOCAL);
  assert.equal((await service.control.edit(edit, NEVER, TRUSTED)).changed, true);
  assert.match(await readFile(path, "utf8"), /command = "other"/);
  await assert.rejects(service.control.rollback({ n: 1 }, NEVER, VISITOR), { code: "commands_refused" });
  assert.match(await readFile(path, "utf8"), /command = "other"/);
});

test("E2 over HTTP a new text is held to the same, and all else is changed", async (t) => {
  const { path, service } = await scene(t, LOCAL);
  const { sha256 } = await service.control.config(null, NEVER);
  const whole = (text: string) => ({ text, expected_sha256: sha256, source: "web" });
  const command = whole(LOCAL.replace('"files"\n', '"sh"\n'));
  await assert.rejects(service.control.editText(command, NEVER, VISITOR), { code: "commands_refused" });
  const port = LOCAL.replace("9000", "9001");
  assert.equal((await service.control.editText(whole(port), NEVER, VISITOR)).changed, true);
  assert.equal(await readFile(path, "utf8"), port);
});
