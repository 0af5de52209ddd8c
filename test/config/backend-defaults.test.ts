// `[backend_defaults]`: what a backend gets of it, what a change of it touches, and what of it waits for a person.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type ApprovalOutcome, applyApprovals } from "../../src/config/approval/apply-approvals.ts";
import { editedEntries } from "../../src/config/approval/edited-entries.ts";
import { guardedChanges } from "../../src/config/approval/entries.ts";
import { entrySummary, entryText, waitingText } from "../../src/config/approval/entry-text.ts";
import { declaredOf, withDefaults } from "../../src/config/backend-defaults.ts";
import { diffConfigs } from "../../src/config/diff.ts";
import { secretUses } from "../../src/config/read/secret-uses.ts";
import type { BackendConfig, MountaineerConfig } from "../../src/config/snapshot.ts";
import { pluck } from "../support/pluck.ts";
import { GROUND } from "./approval/places.ts";
import { accepted, PLACE, refused, where } from "./support.ts";

const DEFAULTS = `[backend_defaults]
env = { SSL_CERT_FILE = "/etc/ours.pem", PATH = "\${HOME}/.nvm/bin:\${PATH}" }
instances = "per-client"
start = "on-demand"
stop_when_idle = 60
timeouts = { call = 5, init = 90 }
`;
const SERVERS = `[backends.plain]
command = "plain"
[backends.own]
command = "own"
env = { PATH = "/opt/bin" }
instances = "shared"
start = "always"
stop_when_idle = false
timeouts = { call = 60 }
[backends.web]
url = "https://one.example/mcp"
[backends.two]
[[backends.two.routes]]
command = "near"
env = { SSL_CERT_FILE = "/near.pem" }
[[backends.two.routes]]
url = "https://two.example/mcp"
`;

async function config(text: string): Promise<MountaineerConfig> {
  return (await accepted(text)).config;
}

function settingsOf({ instances, start, stopWhenIdleMs, timeouts }: BackendConfig): string {
  const { initMs, listMs, callMs } = timeouts;
  return `${instances} ${start} ${stopWhenIdleMs} ${initMs}/${listMs}/${callMs}`;
}

function envOf({ connection }: Pick<BackendConfig, "connection">): Readonly<Record<string, string>> {
  if (connection.type !== "stdio") return {};
  const text = (part: BackendText): string => (typeof part === "string" ? part : `<${JSON.stringify(part)}>`);
  return Object.fromEntries(
    Object.entries(connection.env).map(([name, parts]) => [name, parts.map(text).join("")]),
  );
}
type BackendText = Extract<BackendConfig["connection"], { type: "stdio" }>["env"][string][number];

test("a backend gets the defaults that it lacks, variables by name", async () => {
  const [plain, own, web, two] = (await config(DEFAULTS + SERVERS)).backends;
  assert.ok(plain && own && web && two);
  assert.equal(settingsOf(plain), "per-client on-demand 60000 90000/10000/5000");
  assert.equal(settingsOf(own), "shared always false 90000/10000/60000");
  assert.deepEqual(Object.keys(envOf(plain)), ["SSL_CERT_FILE", "PATH"]);
  assert.match(envOf(plain)["PATH"] ?? "", /HOME.*\/\.nvm\/bin:.*PATH/);
  assert.deepEqual(envOf(own), { SSL_CERT_FILE: "/etc/ours.pem", PATH: "/opt/bin" });
  assert.equal(settingsOf(web), "per-client always false 90000/10000/5000", "no process of it runs here");
  const [near] = two.routes ?? [];
  assert.ok(near);
  assert.equal(envOf(near)["SSL_CERT_FILE"], "/near.pem");
  assert.ok("PATH" in envOf(near));
  assert.deepEqual(two.connection, near.connection);
});

test("without the section every backend is unchanged", async () => {
  const { backends } = await config(
    SERVERS.replaceAll(/^(?:instances|start|stop_when_idle|timeouts).*\n/gm, ""),
  );
  for (const backend of backends) {
    assert.equal(settingsOf(backend), "shared always false 15000/10000/300000");
    assert.deepEqual([backend.given, backend.defaultEnv], [undefined, undefined]);
  }
});

test("a backend's own values are recognized under any defaults", async () => {
  const bare = await config(SERVERS);
  const { backendDefaults } = await config(DEFAULTS);
  const { backends } = await config(DEFAULTS + SERVERS);
  fc.assert(
    fc.property(fc.boolean(), fc.boolean(), fc.constantFrom(...backends.keys()), (isFirst, isSecond, at) => {
      const [plain, full] = [bare.backends[at], backends[at]];
      assert.ok(plain && full);
      const before = isFirst ? full : plain;
      const after = withDefaults(declaredOf(before), isSecond ? backendDefaults : bare.backendDefaults);
      assert.deepEqual(after, isSecond ? full : plain);
      assert.deepEqual(declaredOf(after), declaredOf(plain));
    }),
  );
});

test("a changed default affects the backends that run differently because of it, and no other", async () => {
  const before = await config(DEFAULTS + SERVERS);
  for (const [from, to, changed, settings] of [
    ["/etc/ours.pem", "/etc/theirs.pem", ["plain", "own"], ["backend_defaults.env"]],
    ["call = 5,", "call = 6,", ["plain", "web", "two"], ["backend_defaults.timeouts"]],
    ["idle = 60", "idle = 61", ["plain", "two"], ["backend_defaults.stop_when_idle"]],
    ["init = 90", "cap_fetch = 10, init = 90", [], ["backend_defaults.timeouts"]],
    [DEFAULTS, `${DEFAULTS}\n`, [], []],
    ['command = "plain"', 'command = "plain"\nstart = "on-demand"', [], []],
  ] as const) {
    const diff = diffConfigs(before, await config((DEFAULTS + SERVERS).replace(from, to)));
    assert.deepEqual([diff.backends.changed, diff.settings], [changed, settings], to);
    assert.deepEqual([diff.middleware, diff.backends.added, diff.backends.removed], [[], [], []]);
  }
});

test("no default can be a secret, and the error gives the position", async () => {
  const text = `[backend_defaults.env]
A = "secret:a"
B = "x\${secret:b}"
C = "\${GITHUB_TOKEN}"
D_TOKEN = "abc"
E_KEY = ""
F = "\${HOME}/x"
`;
  const mistakes = await refused(text);
  assert.deepEqual(mistakes.map(where), [
    "2:5 backend_defaults.env.A",
    "3:5 backend_defaults.env.B",
    "4:5 backend_defaults.env.C",
    "5:11 backend_defaults.env.D_TOKEN",
  ]);
  assert.match(mistakes[0]?.hint ?? "", /\[backends\.NAME\.env\]/);
  assert.ok(!JSON.stringify(mistakes).includes("abc"));
  const other = await refused('[backend_defaults]\nstart = "lazy"\ncommand = "x"\ntimeouts = { cal = 1 }\n');
  assert.deepEqual(other.map(where), [
    "2:9 backend_defaults.start",
    "3:1 backend_defaults.command",
    "4:14 backend_defaults.timeouts.cal",
  ]);
});

test("a value that looks like a secret is a warning without the value", async () => {
  const { warnings } = await accepted(
    '[backend_defaults]\nenv = { HTTPS_PROXY = "http://ann:hunter22@proxy:3128" }\n',
  );
  assert.deepEqual(pluck(warnings, "path"), ["backend_defaults.env.HTTPS_PROXY"]);
  assert.ok(!JSON.stringify(warnings).includes("hunter22"));
});

test("E2 a default that leads to the home affects each program, and is reported once", async () => {
  const text = `[backend_defaults]\nenv = { STORE = "${PLACE.home}" }\n${SERVERS}`;
  const { config: file, warnings } = await accepted(text);
  assert.deepEqual(pluck(warnings, "path"), ["backend_defaults.env.STORE"]);
  assert.equal(applyApprovals({ file, running: null, approvals: null, ...GROUND }).mode, "commands");
});

test("references of the defaults are attributed to the backends that use them", async () => {
  const uses = secretUses(await config(DEFAULTS + SERVERS)).map(({ usedBy }) => usedBy);
  assert.deepEqual([...new Set(uses)], ["server plain (env PATH)", "server two (env PATH)"]);
});

// What waits. The mode is `commands`.

const GUARDED = '[trust]\napprove = "commands"\n';

/** The first file is approved; the second one was saved by another program. */
async function outcome(first: string, second: string): Promise<ApprovalOutcome> {
  const before = await config(first + GUARDED);
  const { effective, approvals } = applyApprovals({
    file: before,
    running: null,
    approvals: null,
    ...GROUND,
  });
  return applyApprovals({ file: await config(second + GUARDED), running: effective, approvals, ...GROUND });
}

test("E2 a changed default variable waits as a separate entry, and lists the affected servers", async () => {
  const first = DEFAULTS + SERVERS;
  const { waiting, effective, approvals } = await outcome(
    first,
    first.replace("ours.pem", "theirs.pem").replace("call = 5,", "call = 6,"),
  );
  const [entry, ...others] = waiting;
  assert.ok(entry);
  assert.deepEqual(others, []);
  assert.equal(entry.id, "backend_defaults");
  assert.equal(
    entrySummary(entry),
    "[backend_defaults] would change what runs in 4 servers: plain, own, web, two",
  );
  assert.match(waitingText(entry), /^env\.SSL_CERT_FILE = "\/etc\/theirs\.pem"\n/m);
  assert.match(entryText(entry.approved), /^env\.SSL_CERT_FILE = "\/etc\/ours\.pem"\n/m);
  assert.deepEqual(effective.backends, (await config(first)).backends, "the entry waits whole");
  const { backends } = effective;
  // Looked at again, it still waits.
  const again = await config(first.replace("ours.pem", "theirs.pem") + GUARDED);
  const later = applyApprovals({ file: again, running: effective, approvals, ...GROUND });
  assert.deepEqual([later.waiting.length, later.effective.backends], [1, backends]);
});

test("E2 a default that requires no approval, such as a time-out, applies at once", async () => {
  const { waiting, effective } = await outcome(
    DEFAULTS + SERVERS,
    (DEFAULTS + SERVERS).replace("call = 5,", "call = 6,"),
  );
  assert.deepEqual(waiting, []);
  assert.equal(effective.backends[0]?.timeouts.callMs, 6000);
});

test("E2 removed variables wait, as do variables new to a home without them", async () => {
  const removed = await outcome(DEFAULTS + SERVERS, SERVERS);
  assert.deepEqual(pluck(removed.waiting, "id"), ["backend_defaults"]);
  assert.deepEqual(removed.effective.backends, (await config(DEFAULTS + SERVERS)).backends);
  const added = await outcome(SERVERS, DEFAULTS + SERVERS);
  assert.deepEqual(added.effective.backends, (await config(SERVERS)).backends);
});

test("E2 a server that waits runs in its approved form under the approved defaults", async () => {
  const second = (DEFAULTS + SERVERS).replace("ours.pem", "theirs.pem").replace('"own"', '"evil"');
  const { waiting, effective } = await outcome(DEFAULTS + SERVERS, second);
  assert.deepEqual(waiting.map(({ id }) => id).toSorted(), ["backend_defaults", "backends.own"]);
  assert.deepEqual(effective.backends, (await config(DEFAULTS + SERVERS)).backends);
});

test("E2 an edit by a person approves the defaults, and no server that waits under them", async () => {
  const before = await config(DEFAULTS + SERVERS + GUARDED);
  const after = await config((DEFAULTS + SERVERS).replace("ours.pem", "new.pem") + GUARDED);
  const { effective: running, approvals } = applyApprovals({
    file: before,
    running: null,
    approvals: null,
    ...GROUND,
  });
  const grant = editedEntries({ before, after, running, approvals, ...GROUND });
  assert.deepEqual([...grant.ids], ["backend_defaults"]);
  assert.deepEqual(
    guardedChanges(before, after),
    ["backend_defaults"],
    "whoever edits over HTTP needs the right",
  );
});
