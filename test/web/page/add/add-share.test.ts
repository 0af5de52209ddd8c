// Adding a share in the page: which password goes where, and what is asked before anything is written.
import assert from "node:assert/strict";
import { test } from "node:test";
import { h } from "preact";
import type { BackendStatus } from "../../../../src/api/contract/contract.ts";
import { MountaineerError } from "../../../../src/runtime/errors.ts";
import { AddShare } from "../../../../src/web/page/add/add-share.ts";
import { saveAdded, takenSecrets } from "../../../../src/web/page/add/save-added.ts";
import { addServer, typedBackend } from "../../../../src/web/page/add/server-plan.ts";
import { sampleEdit, sampleMistake } from "../../../api/sample-config.ts";
import { gatewayReport, sampleBackend } from "../../../api/sample-gateway.ts";
import { sampleShare } from "../../../api/sample-report.ts";
import { eventually } from "../../../support/eventually.ts";
import { type Scripted, scriptedApp } from "../scripted-app.ts";
import { mount } from "../tiny-dom.ts";

const NETWORK = "gateway:02:00:00:00:00:01";
const LISTED = { kind: "listed", names: ["CORE"] };

const found = (address: string, changes = {}) => ({
  ...{ address, port: 445, name: address, host: null, interface: null, by: ["dns-sd"], mounts: [] },
  link: { kind: "wired", text: "Ethernet", speed: null },
  ...changes,
});
/** One NAS on two links. */
const TWINS = [
  found("192.0.2.1", { name: "NAS", interface: "eth0", mounts: [{ user: null }, { user: "ann" }] }),
  found("192.0.2.2", {
    name: "NAS",
    interface: "thunderbolt0",
    link: { kind: "thunderbolt", text: "Thunderbolt", speed: null },
  }),
];

/** The view, and what a person does in it. */
function openAdding(app: Scripted) {
  Object.assign(globalThis, { location: { hash: "" } });
  const page = mount(AddShare, { app });
  const there = (kind: string, name: string) => eventually(() => page.named(kind, name));
  const submit = (label: string, hidden: { readonly name: string; value: string }[] = []): void => {
    const form = page.named("form", label);
    Object.assign(form, { querySelectorAll: () => hidden });
    form.fire("submit");
  };
  const type = async (id: string, value: string): Promise<void> => {
    page.byId(id).fire("input", { value });
    await eventually(() => page.byId(id).value === value);
  };
  const pick = async (id: string, value: string): Promise<void> => {
    page.byId(id).fire("change", { value });
    await eventually(() => page.byId(id).value === value);
  };
  return {
    page,
    submit,
    pick,
    type,
    look: async (): Promise<void> => (await there("button", "Look for servers")).fire("click"),
    async choose(name: string, address: string): Promise<void> {
      (await there("button", `Choose ${name} at ${address}`)).fire("click");
      await eventually(() => page.byId("Log-in-0").value === address);
    },
    async logIn(password: string, address?: string): Promise<void> {
      if (address !== undefined) await type("Log-in-0", address);
      await type("Log-in-1", "ann");
      submit("Log in", [{ name: "Password", value: password }]);
      await eventually(() => app.log.some((line) => line.includes(`"password":"${password}"`)));
    },
    async chooseCore(): Promise<void> {
      await eventually(() => /takes this login/.test(page.text()));
      await pick("Choose-a-share-0", '"CORE"');
    },
    isOffered: (): boolean => page.elements("form").some(({ name }) => name.startsWith("Choose a share")),
    [Symbol.dispose]: (): void => page[Symbol.dispose](),
  };
}

test("F4 a server that answers late is added with the password typed for it, and no other's, for this network only", async () => {
  const late = Promise.withResolvers<unknown>();
  const app = scriptedApp({
    discover: { servers: [found("192.0.2.1"), found("192.0.2.2")] },
    shareNames: [late.promise, { kind: "listed", names: ["OTHER"] }],
    shareNetworks: { networks: [NETWORK] },
  });
  using adding = openAdding(app);
  await adding.look();
  await adding.choose("192.0.2.1", "192.0.2.1");
  await adding.logIn("of the first");
  await adding.choose("192.0.2.2", "192.0.2.2");
  await adding.logIn("of the second");
  await eventually(() => /192\.0\.2\.2 takes this login/.test(adding.page.text()));
  late.resolve(LISTED);
  await eventually(() => /192\.0\.2\.1 takes this login/.test(adding.page.text()));
  await adding.chooseCore();
  adding.submit("Choose a share");
  await eventually(() => app.log.some((line) => line.startsWith("edit ")));
  const [, edit = ""] = /^edit (.*)/.exec(app.log.find((line) => line.startsWith("edit ")) ?? "") ?? [];
  assert.deepEqual(JSON.parse(edit).edits, [
    { key: "nas.nas.fallback_host", value: '"192.0.2.1"' },
    { key: "nas.nas.username", value: '"ann"' },
    { key: "nas.nas.password", value: '"secret:core"' },
    { key: "nas.nas.only_on", value: `["${NETWORK}", "proved"]` },
    { add: "shares", entry: { name: "CORE", nas: "nas" } },
  ]);
  const kept = app.log.find((line) => line.startsWith("setSecret "));
  assert.match(kept ?? "", /"value":"of the first"/);
});

test("F3 a share for this network only is not added for all networks once the network is unknown", async () => {
  const networks = [{ networks: [NETWORK] }, { networks: null }];
  const app = scriptedApp({ shareNames: LISTED, shareNetworks: networks });
  using adding = openAdding(app);
  await adding.logIn("p", "192.0.2.1");
  await adding.chooseCore();
  adding.submit("Choose a share");
  await eventually(() => app.log.some((line) => /^(bad|edit)/.test(line)));
  assert.match(app.log.at(-1) ?? "", /^bad: Add the share: 192\.0\.2\.1: /);
});

test("A13 F4 a second address is added if it is not another server, a share only after a yes to the proof", async () => {
  const PAIRED = [
    {
      kind: "same",
      text: "",
      yes: true,
      asks: true,
      ends: /^edit .*NAS\.thunderbolt_host","value":"\\"192\.0\.2\.2.*NAS\.fallback_host","value":"\\"192\.0\.2\.1/,
    },
    { kind: "unproved", text: "no program", yes: false, asks: true, ends: /^\? Add CORE\?$/ },
    {
      kind: "different",
      text: "another id",
      yes: true,
      asks: false,
      ends: /^bad: .* is another server: another id$/,
    },
  ];
  for (const { kind, text, yes, asks, ends } of PAIRED) {
    const answers = {
      ...{ discover: { servers: TWINS }, shareNames: LISTED, shareNetworks: { networks: [NETWORK] } },
      pairServers: { kind, text },
    };
    const app = scriptedApp(answers, {}, yes);
    using adding = openAdding(app);
    await adding.look();
    await adding.choose("NAS", "192.0.2.1");
    assert.equal(adding.page.byId("Log-in-1").value, "ann", "the name with which it is mounted");
    await adding.logIn("p");
    await adding.chooseCore();
    await adding.pick("Choose-a-share-2", '"192.0.2.2"');
    adding.submit("Choose a share");
    await eventually(() => app.log.some((line) => ends.test(line))).catch(() =>
      assert.fail(app.log.join("\n")),
    );
    const asked = app.log.find((line) => line.startsWith("pairServers")) ?? "";
    assert.match(asked, /"host":"192\.0\.2\.1".*"password":"p".*"other":"192\.0\.2\.2"/);
    const both = `shareNetworks ${JSON.stringify({ hosts: ["192.0.2.1", "192.0.2.2"] })}`;
    assert.equal(app.log.includes(both), asks, "this network is that of both addresses");
    using said = mount(() => h("div", {}, app.body), {});
    assert.equal(
      said.text().includes(`Not verified yet to be one server: ${text}`),
      kind === "unproved",
      kind,
    );
    const written = app.log.filter((line) => /^(setSecret|edit) /.test(line)).length;
    assert.equal(written, kind === "same" ? 2 : 0, kind);
  }
});

test("F4 only shares of the chosen server that accepted the login are offered", async () => {
  const refused = { kind: "refused", text: "wrong password" };
  const app = scriptedApp({
    discover: { servers: [found("192.0.2.1"), found("192.0.2.2")] },
    shareNames: [LISTED, refused, LISTED],
    shareNetworks: { networks: null },
  });
  using adding = openAdding(app);
  await adding.look();
  await adding.choose("192.0.2.1", "192.0.2.1");
  await adding.logIn("right");
  await eventually(adding.isOffered);
  await adding.logIn("wrong");
  const told = "bad: Ask the server: 192.0.2.1 refuses this login: wrong password";
  await eventually(() => app.log.includes(told));
  await eventually(() => !adding.isOffered());
  await adding.logIn("right again");
  await eventually(adding.isOffered);
  await adding.choose("192.0.2.2", "192.0.2.2");
  await eventually(() => !adding.isOffered());
});

test("F4 one more share of a NAS that is configured needs its name, and no login", async () => {
  const shares = [sampleShare({ name: "CORE", nas: "home" }), sampleShare({ name: "B", nas: "attic" })];
  const app = scriptedApp({}, { status: gatewayReport(undefined, { shares }) });
  using adding = openAdding(app);
  const form = "One-more-share-of-a-NAS";
  await adding.pick(`${form}-0`, '"attic"');
  await adding.type(`${form}-1`, "a/b");
  adding.submit("One more share of a NAS");
  await eventually(() => app.log.some((line) => line.startsWith("edit ")));
  const edit = JSON.parse(app.log.find((line) => line.startsWith("edit "))?.slice(5) ?? "");
  assert.deepEqual(edit.edits, [{ add: "shares", entry: { name: "a-b", nas: "attic", share_name: "a/b" } }]);
  assert.ok(!app.log.some((line) => line.startsWith("setSecret") || line.startsWith("shareNames")));
  assert.ok(app.log.includes("? Add a-b?"));
});

// What becomes of a secret that was typed for something that is added.
const SECRET = { name: "nas", value: "typed" };
const EDITS = [{ key: "a.b", value: "1" }];
const SHA256 = "ab".repeat(32);

test("F4 secrets are forgotten again where the configuration is refused, and kept where it may be saved", async () => {
  const forgotten = ['removeSecret {"name":"nas"}', 'removeSecret {"name":"other"}'];
  for (const [code, forgets] of [
    ["config_changed", true],
    ["commands_refused", true],
    ["config_invalid", true],
    ["timed_out", false],
    ["daemon_unreachable", false],
  ] as const) {
    const mistakes = sampleEdit({ errors: [sampleMistake()] });
    const app = scriptedApp({
      edit: code === "config_invalid" ? mistakes : new MountaineerError(code, "no"),
      removeSecret: new MountaineerError("timed_out", "x"),
    });
    await assert.rejects(saveAdded(app, EDITS, [SECRET, { name: "other", value: "x" }], SHA256), { code });
    const [set, , edit, ...after] = app.log;
    assert.match(set ?? "", /^setSecret /);
    assert.match(edit ?? "", /^edit .*expected_sha256/);
    assert.deepEqual(after, forgets ? forgotten : [], code);
  }
});

test("F4 an addition is shown at once, and its secret gets a unique name", async () => {
  let refreshed = 0;
  const app = { ...scriptedApp(), refresh: () => void refreshed++ };
  await saveAdded(app, EDITS, [], SHA256);
  assert.equal(refreshed, 1);
  const isTaken = await takenSecrets(app);
  assert.deepEqual(["nas", "nas-2"].map(isTaken), [true, false]);
});

test("F4 a name that is taken or not allowed is refused before anything is sent or written", async () => {
  const app = scriptedApp();
  const known = typedBackend({ command: "server", args: [] }, new Map());
  await assert.rejects(addServer(app, "files", known, []), /there is a server called files/);
  await assert.rejects(addServer(app, "a/b", known, []), { code: "usage", message: /^a\/b: expected / });
  assert.deepEqual(app.log, []);
});

test("F4 a server is written only after a yes to its command and the sent data, with its secrets", async () => {
  const openly = `ghp_${"a1B2".repeat(9)}`;
  const cases = [
    {
      typed: typedBackend({ url: "https://a.example/mcp" }, new Map([["X-Team", "red"]])),
      says: ["sent to this address:https://a.example/mcp", "X-Team = red", "secret:nas"],
    },
    {
      typed: typedBackend({ command: "server", args: ["--token", openly] }, new Map([["LEVEL", "2"]])),
      says: ["server --token '${secret:new-token}'", "LEVEL = 2", "secret:nas", "seems to be a secret"],
    },
    {
      typed: typedBackend(
        { command: "server", args: [`--key=${openly}`] },
        new Map([["API_KEY", "hunter2x"]]),
      ),
      says: ["server '--key=${secret:new-key}'", "API_KEY = ${secret:new-api-key}"],
    },
    {
      typed: typedBackend({ url: `https://a.example/mcp?key=${openly}` }, new Map([["X-Key", openly]])),
      says: ["https://a.example/mcp?key=${secret:new-x-key}", "X-Key = ${secret:new-x-key}"],
    },
  ];
  for (const { typed, says } of cases) {
    const unsure = scriptedApp({}, {}, false);
    await addServer(unsure, "new", typed, [SECRET]);
    assert.deepEqual(unsure.log, ["? Add new?"]);
    using body = mount(() => h("div", {}, unsure.body), {});
    for (const words of says) assert.ok(body.text().includes(words), `${words} in ${body.text()}`);
    Object.assign(globalThis, { location: { hash: "" } });
    const sure = scriptedApp();
    await addServer(sure, "new", typed, [SECRET]);
    assert.match(sure.log[1] ?? "", /^setSecret .*"name":"nas","value":"typed"/);
    const edit = sure.log.find((line) => line.startsWith("edit ")) ?? "";
    assert.match(edit, /^edit .*backends\.new/);
    assert.ok(!edit.includes(openly) && !edit.includes("hunter2x"), "kept as a secret, and not written");
    assert.equal(location.hash, "#/servers?open=new");
  }
});

test("F4 the first server gets the token that HTTP clients send, as from the command line", async () => {
  const typed = typedBackend({ url: "https://a.example/mcp" }, new Map());
  /** What is asked where the file was changed meanwhile. */
  const asked = async (text: string, kept: "file" | null, backends: BackendStatus[]) => {
    const known = [{ name: "gateway-token", kept, used_by: [] }];
    const app = scriptedApp(
      {
        config: { sha256: SHA256, text },
        secrets: { secrets: known, config_error: null },
        edit: new MountaineerError("config_changed", "no"),
      },
      { status: gatewayReport(backends) },
    );
    await assert.rejects(addServer(app, "new", typed, []), { code: "config_changed" });
    return app.log.slice(1);
  };
  const auth =
    /"key":"incoming_auth.type","value":"local"\},\{"key":"incoming_auth.token","value":"secret:gateway-token"/;
  const [set = "", edit = "", ...after] = await asked("", null, []);
  assert.match(set, /^setSecret \{"name":"gateway-token","value":"[\w-]{43}"\}$/);
  assert.match(edit, auth);
  assert.deepEqual(after, ['removeSecret {"name":"gateway-token"}']);
  const [withKept = "", ...none] = await asked("", "file", []);
  assert.match(withKept, auth);
  assert.deepEqual(none, []);
  for (const [text, backends] of [
    ['[incoming_auth]\ntype = "none"\n', []],
    ["", [sampleBackend()]],
  ] as const) {
    const [alone = "", ...rest] = await asked(text, null, [...backends]);
    assert.match(alone, /^edit /);
    assert.doesNotMatch(alone, /incoming_auth/);
    assert.deepEqual(rest, []);
  }
});
