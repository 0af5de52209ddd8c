import assert from "node:assert/strict";
import test from "node:test";
import { applyApprovals } from "../../../src/config/approval/apply-approvals.ts";
import { entriesOf, type Fields } from "../../../src/config/approval/entries.ts";
import { entrySummary, entryText, waitingText } from "../../../src/config/approval/entry-text.ts";
import { SECTIONS } from "../../../src/config/schema/schema.ts";
import { accepted } from "../support.ts";
import { EVERYTHING } from "./everything.ts";
import { GROUND } from "./places.ts";

const FIRST = '[backends.files]\ncommand = "serve"\nargs = ["/home/ann"]\n[trust]\napprove = "all"\n';
const REST = `
[backends.new]
command = "npx"
args = ["-y", "pkg@1", "--api-key", "hunter2", "--token=\${secret:kept}"]
cwd = "/srv"
[backends.new.env]
LD_PRELOAD = "/evil.so"
API_TOKEN = "literal"
OTHER_TOKEN = "secret:kept"
[backends.web]
url = "https://web.example/\${secret:path}/mcp?api_key=hunter2"
[backends.web.headers]
Authorization = "Bearer \${TOKEN}"
X-Api-Key = "literal"
X-Forwarded = "Bearer hunter2"
X-Tenant = "acme"
[authorization]
[[authorization.policies]]
effect = "allow"
roles = ["x"]
`;

test("E2 a waiting entry is shown by its keys, secrets as references, and no literal with a secret's name", async () => {
  const first = applyApprovals({
    file: (await accepted(FIRST)).config,
    running: null,
    approvals: null,
    ...GROUND,
  });
  const { waiting } = applyApprovals({
    file: (await accepted(FIRST.replace('"serve"', '"evil"') + REST)).config,
    running: first.effective,
    approvals: first.approvals,
    ...GROUND,
  });
  const of = (id: string) => {
    const entry = waiting.find((each) => each.id === id);
    assert.ok(entry !== undefined, id);
    return entry;
  };
  const { approved, waiting: files } = of("backends.files");
  assert.equal(
    entryText(approved),
    'type = "stdio"\ncommand = "serve"\nargs = ["/home/ann"]\ncwd = "/home/ann"\n',
  );
  assert.equal(
    entryText(files),
    'type = "stdio"\ncommand = "evil"\nargs = ["/home/ann"]\ncwd = "/home/ann"\n',
  );
  const added = entryText(of("backends.new").waiting);
  assert.match(added, /^env\.LD_PRELOAD = "\/evil\.so"$/m, "what decides what runs is seen");
  assert.match(added, /^env\.API_TOKEN = "\(hidden\)"$/m);
  assert.match(added, /^env\.OTHER_TOKEN = "\$\{secret:kept\}"$/m);
  assert.equal(entryText(of("backends.new").approved), "");
  const web = entryText(of("backends.web").waiting);
  assert.match(web, /^headers\.Authorization = "Bearer \$\{TOKEN\}"$/m);
  assert.match(web, /^headers\.X-Forwarded = "Bearer \(hidden\)"\nheaders\.X-Tenant = "acme"$/m);
  assert.doesNotMatch(web, /hunter2|literal/);
  assert.match(entryText(of("authorization").waiting), /^policies\[0\]\.effect = "allow"$/m);
  assert.doesNotMatch(added + web, /stored/);
  assert.equal(
    entrySummary(of("backends.new")),
    "server new would run npx -y pkg@1 --api-key (hidden) --token=${secret:kept}",
  );
  assert.equal(entrySummary(of("backends.files")), "server files would run evil /home/ann instead");
  assert.equal(
    entrySummary(of("backends.web")),
    "server web would connect to https://web.example/${secret:path}/mcp?api_key=(hidden)",
  );
  assert.equal(entrySummary(of("authorization")), "[authorization] would change who may do what");
});

test("E2 a new order of backends is shown as the order that it would become", () => {
  const moved = {
    id: "backends",
    group: "sections" as const,
    name: "backends",
    kind: "access" as const,
    approved: { order: ["a", "b", "c"] },
    waiting: { order: ["c", "a", "b"] },
  };
  assert.equal(entrySummary(moved), "servers would come in the order c, a, b");
  assert.equal(entryText(moved.approved), 'order = ["a","b","c"]\n');
  assert.equal(waitingText(moved), 'order = ["c","a","b"]\n');
});

test("E2 one that its person has switched off is marked as such", () => {
  const connection = { type: "stdio", command: "rm", args: [] };
  const off = { id: "backends.x", group: "backends", name: "x", kind: "runs", wasOff: true } as const;
  assert.equal(
    entrySummary({ ...off, approved: null, waiting: { connection } }),
    "server x, which you have switched off, would run rm",
  );
});

test("E2 the summary of entries that run the same with other settings names these", () => {
  const summary = (approved: object, waiting: object): string =>
    entrySummary({
      id: "backends.files",
      group: "backends",
      name: "files",
      kind: "runs",
      approved: approved as Fields,
      waiting: waiting as Fields,
    });
  const runs = (more: object): object => ({ connection: { command: "serve", args: ["/a"], ...more } });
  assert.equal(
    summary(runs({ env: {}, cwd: "/a", sandbox: null }), runs({ env: { LOG: ["debug"] }, cwd: "/b" })),
    "server files would run serve /a with another env, cwd",
  );
  assert.equal(
    summary(runs({}), { connection: { command: "other", args: [] } }),
    "server files would run other instead",
  );
  const route = (url: string, headers: object): object => ({ name: "a", connection: { url, headers } });
  assert.equal(
    summary(
      { routes: [route("https://a.example/", {}), route("https://b.example/", {})] },
      { routes: [route("https://a.example/", {}), route("https://b.example/", { accept: ["x"] })] },
    ),
    "server files would connect to https://a.example/, or connect to https://b.example/ with another headers",
  );
  assert.equal(
    summary({ ...runs({}), cloned: 1 }, { ...runs({}), cloned: 2 }),
    "server files would change what runs",
  );
});

test("E2 a hidden change is shown as one, so that no one approves an empty difference", () => {
  const parts = (token: string, command = "serve") => ({
    connection: { command, env: { API_TOKEN: token } },
  });
  assert.match(
    waitingText({ approved: parts("one"), waiting: parts("two") }),
    /^# a value shown as \(hidden\) has changed: check the file$/m,
  );
  assert.match(
    waitingText({ approved: parts("one"), waiting: parts("two", "other") }),
    /^# a value shown as \(hidden\) may have changed/m,
  );
  assert.equal(
    waitingText({ approved: null, waiting: parts("one") }),
    'command = "serve"\nenv.API_TOKEN = "(hidden)"\n',
  );
});

test("E2 a variable that becomes empty is shown", () => {
  const connection = { type: "stdio", command: "x", args: [], env: { SAFE_MODE: [] }, cwd: "/" };
  assert.match(entryText({ connection }), /^env\.SAFE_MODE = ""$/m);
});

/** Values that are none of the defaults, in the units of the file. */
const MORE = `
[groups.work]
tools = ["read"]
[[profiles]]
users = ["ann"]
groups = ["work"]
`;

async function textOf(id: string, text: string): Promise<string> {
  const entry = entriesOf((await accepted(text)).config).get(id);
  assert.ok(entry !== undefined, id);
  return entryText(Object.fromEntries(Object.entries(entry.parts).map(([name, { value }]) => [name, value])));
}

test("E2 every key that a person approves is one of the file's, whatever its internal name", async () => {
  const text = `${EVERYTHING.replace("MODE", "all")}${MORE}`;
  for (const { id, group, name } of entriesOf((await accepted(text)).config).values()) {
    const section = group === "sections" ? name : `${group}.${name}`;
    for (const line of (await textOf(id, text)).trim().split("\n").filter(Boolean)) {
      const key = line.slice(0, line.indexOf(" = "));
      const paths = [key, `${section}.${key}`].map((path) => path.replaceAll(/\[\d+\]/g, ".#").split("."));
      assert.ok(paths.some(isInSchema), `${id}: ${line}`);
    }
  }
});

test("E2 a profile's groups are listed by name, and users as the file has them", async () => {
  assert.match(await textOf("profiles", FIRST + MORE), /^profiles\[0\]\.groups = \["work"\]$/m);
  const user = '[[incoming_auth.users]]\nname = "ann"\nroles = ["local"]\ntoken = "${T}"\n';
  const told = await textOf("incoming_auth", `[incoming_auth]\ntype = "local"\n${user}`);
  assert.match(told, /^users\[0\]\.name = "ann"$/m);
});

/** A list of tables stands as `#` in the schema, and in the key as its place. */
function isInSchema(path: readonly string[]): boolean {
  const last = path.at(-1) ?? "";
  return SECTIONS.some(({ pattern, keys, isOpen }) => {
    const places = path.at(0) === "shares" || path.at(0) === "aliases" ? path.toSpliced(1, 1, "#") : path;
    const fits =
      pattern.length === places.length - 1 &&
      pattern.every((segment, at) => segment === "*" || segment === places[at]);
    return fits && (isOpen || keys.includes(last));
  });
}

test("E2 a pending entry is shown in the file's units", async () => {
  const limits = "[limits]\nresult_mb = 1.5\n";
  assert.match(await textOf("limits", limits), /^limits\.result_mb = 1\.5$/m);
  const audit = await textOf("audit", "[audit]\nmax_size_mb = 20\narguments = true\n");
  assert.match(audit, /^max_size_mb = 20$/m);
  assert.match(audit, /^arguments = true$/m);
  const signed = `[incoming_auth]
type = "jwt"
issuer = "https://one.example/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0"
jwks = "https://one.example/keys?key=hunter2"
leeway = 12
keys_max_age = 3600
token = "\${A}"
[incoming_auth.scopes]
readAll = ["reader"]
[server]
host = "0.0.0.0"
port = 9443
public_url = "https://us.example"
`;
  const auth = await textOf("incoming_auth", signed);
  for (const line of [
    // Which tenant it is is what is approved.
    'issuer = "https://one.example/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0"',
    "leeway = 12",
    "keys_max_age = 3600",
    'token = "${A}"',
    'scopes.readAll = ["reader"]',
    'server.host = "0.0.0.0"',
    "server.port = 9443",
    'server.public_url = "https://us.example"',
    'jwks = "https://one.example/keys?key=(hidden)"',
  ])
    assert.ok(auth.split("\n").includes(line), `${line} in ${auth}`);
  const share = await textOf(
    "shares.CORE",
    '[[shares]]\nname = "CORE"\nthunderbolt_host = "a:1445"\nfallback_host = "b"\n',
  );
  assert.match(share, /^thunderbolt_host = "a:1445"$/m);
  assert.match(share, /^fallback_host = "b"$/m);
  assert.match(
    await textOf("telemetry", "[telemetry]\nendpoint = 'https://a.example'\ninterval = 5\n"),
    /^telemetry\.interval = 5$/m,
  );
});
