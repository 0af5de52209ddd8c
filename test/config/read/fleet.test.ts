import assert from "node:assert/strict";
import { test } from "node:test";
import { secretUses, withRevisions } from "../../../src/config/read/secret-uses.ts";
import { describeMistakes } from "../../../src/config/values/mistakes.ts";
import { assertEach } from "../../support/assert-each.ts";
import { accepted, refused, where } from "../support.ts";

const NAME = 'name = "laptop"\n';
const KEY = 'credentials = "secret:fleet"\n';
const section = (servers: string, rest = ""): string => `[fleet]\n${NAME}servers = ${servers}\n${KEY}${rest}`;

test("G1 without the section this machine is in no fleet", async () => {
  assert.equal((await accepted("")).config.fleet, null);
});

test("G1 what can be said of the fleet comes out in the engine's spelling, its key by reference", async () => {
  const snapshot = await accepted(
    section('["tls://NAS.example", "tls://[2001:db8::1]:4333/"]', 'tls_ca = "~/ca.pem"\n'),
  );
  assert.deepEqual(snapshot.config.fleet, {
    name: "laptop",
    servers: ["tls://NAS.example:4222", "tls://[2001:db8::1]:4333"],
    credentials: { kind: "stored", name: "fleet" },
    tlsCa: "/home/ann/ca.pem",
    operator: null,
    export: null,
    import: null,
    together: null,
    sessions: null,
  });
  assertEach(secretUses(snapshot.config), ({ usedBy }) => usedBy, ["fleet"]);
  const stamped = withRevisions(snapshot, () => 3).config.fleet;
  assert.deepEqual(stamped?.credentials, { kind: "stored", name: "fleet", revision: 3 });
  const yaml = await accepted(
    "fleet:\n  name: laptop\n  servers: ['nats://127.0.0.1:4222']\n  credentials: ${KEY}\n",
    "config.yaml",
  );
  assert.deepEqual(yaml.config.fleet?.servers, ["nats://127.0.0.1:4222"]);
});

test("G1 all of one machine may be said without TLS, nothing beyond it", async () => {
  for (const host of ["127.0.0.1:4222", "localhost", "[::1]:4222", "127.8.8.8"]) {
    await accepted(section(`["nats://${host}"]`));
  }
  for (const host of ["nas.example:4222", "192.168.1.4", "10.0.0.1:4222", "[fe80::1]:4222", "0.0.0.0:4222"]) {
    const [mistake, ...more] = await refused(section(`["nats://${host}"]`));
    assert.ok(mistake !== undefined, host);
    assert.deepEqual([where(mistake), more], ["3:12 fleet.servers[0]", []], host);
    assert.equal(mistake.expected, "`tls://HOST:PORT`, as it is not this machine");
    assert.match(mistake.hint ?? "", /tls_ca/);
  }
});

const WRONG: readonly [servers: string, at: RegExp][] = [
  ["[]", /fleet\.servers/],
  ['["nas.example:4222"]', /fleet\.servers\[0\]/],
  ['["https://nas.example"]', /fleet\.servers\[0\]/],
  ['["tls://"]', /fleet\.servers\[0\]/],
  ['["tls://nas.example:99999"]', /fleet\.servers\[0\]/],
  ['["tls://nas.example/path"]', /fleet\.servers\[0\]/],
  ['["tls://nas.example?x=1"]', /fleet\.servers\[0\]/],
  ['"tls://nas.example"', /fleet\.servers/],
  [`[${'"tls://a", '.repeat(9)}]`, /fleet\.servers\[8\]/],
];

for (const [servers, at] of WRONG) {
  test(`G1 servers = ${servers.slice(0, 40)} is a mistake`, async () => {
    const mistakes = await refused(section(servers));
    assert.match(mistakes[0]?.path ?? "", at);
  });
}

test("G1 no mistake in the section shows a secret", async () => {
  const seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
  for (const text of [
    section('["tls://ann:hunter2@nas.example:4222"]'),
    section('["tls://nas.example"]').replace("secret:fleet", seed),
  ]) {
    const told = describeMistakes(await refused(text));
    assert.ok(!told.includes("hunter2") && !told.includes(seed.slice(0, 12)), told);
  }
});

test("G1 a machine's name is one word, and what is needed is asked for", async () => {
  const servers = 'servers = ["tls://nas.example"]\n';
  for (const name of ["", "a b", "a.b", "a_b", "*", ">", "ä", "x".repeat(33)]) {
    const [mistake] = await refused(`[fleet]\nname = "${name}"\n${servers}${KEY}`);
    assert.equal(mistake?.path, "fleet.name", name);
  }
  await accepted(`[fleet]\nname = "${"x".repeat(32)}"\n${servers}${KEY}`);
  const missing = await refused("[fleet]\n");
  assert.deepEqual(missing.map(({ path }) => path).toSorted(), [
    "fleet.credentials",
    "fleet.name",
    "fleet.servers",
  ]);
});

test("G1 the CA is not read from a share", async () => {
  const [mistake] = await refused(section('["tls://nas.example"]', 'tls_ca = "~/Shares/CORE/ca.pem"\n'));
  assert.equal(mistake?.path, "fleet.tls_ca");
});

test("G1 what is lent and borrowed is named, and only what there is", async () => {
  const servers = '["tls://nas.example"]';
  const backend = '[backends.files]\ncommand = "files"\n';
  const lists =
    'export = ["files"]\nimport = ["desktop", "nas/photos", "*"]\ntogether = ["nas/photos"]\nsessions = ["nas"]\n';
  const { fleet } = (await accepted(section(servers, lists) + backend)).config;
  assert.deepEqual(
    [fleet?.export, fleet?.import, fleet?.together, fleet?.sessions],
    [["files"], ["desktop", "nas/photos", "*"], ["nas/photos"], ["nas"]],
  );
  for (const [imported, together] of [
    ['"nas"', '"nas/files"'],
    ['"nas/files"', '"nas", "*"'],
    ['"*"', '"nas", "nas/files"'],
  ]) {
    await accepted(section(servers, `import = [${imported}]\ntogether = [${together}]\n`));
  }
  const wrong: readonly [line: string, path: string, hint: RegExp | null][] = [
    ['export = ["flies"]', "fleet.export[0]", /files/],
    ['export = ["*", "no such"]', "fleet.export[1]", null],
    ['import = ["laptop"]', "fleet.import[0]", null],
    ['import = ["laptop/files"]', "fleet.import[0]", null],
    ['import = ["desktop/files/more"]', "fleet.import[0]", null],
    ['sessions = ["laptop"]', "fleet.sessions[0]", null],
    ['sessions = ["nas/photos"]', "fleet.sessions[0]", null],
    ['import = ["a b"]', "fleet.import[0]", null],
    ['together = ["laptop"]', "fleet.together[0]", null],
    ['together = ["a/b/c"]', "fleet.together[0]", null],
    ['together = ["nas"]', "fleet.together[0]", /add it to `import`/],
    ['import = ["nas"]\ntogether = ["nass"]', "fleet.together[0]", /did you mean "nas"/],
    ['import = ["desktop", "nas/photos"]\ntogether = ["nas/files"]', "fleet.together[0]", /import/],
    [`import = [${'"nas", '.repeat(101)}]`, "fleet.import[100]", null],
  ];
  for (const [line, path, hint] of wrong) {
    const [mistake] = await refused(section(servers, `${line}\n`) + backend);
    assert.equal(mistake?.path, path, line);
    if (hint !== null) assert.match(mistake?.hint ?? "", hint);
  }
});
