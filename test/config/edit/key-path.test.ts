import assert from "node:assert/strict";
import { test } from "node:test";
import {
  configEdit,
  parseConfigKey,
  parseConfigValue,
  requestedEdit,
  splitKey,
} from "../../../src/config/edit/key-path.ts";
import { SECTIONS } from "../../../src/config/schema/schema.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";

function refusal(action: () => unknown): MountaineerError {
  try {
    action();
  } catch (error) {
    if (error instanceof MountaineerError) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: "not refused" });
}

function valueFor(key: string, text: string): unknown {
  return parseConfigValue(text, parseConfigKey(key));
}

test("a key is a dotted path; names with dots or spaces may be quoted", () => {
  const rows: [string, (string | number)[]][] = [
    ["global.check_interval_secs", ["global", "check_interval_secs"]],
    [" sync.debounce ", ["sync", "debounce"]],
    ["shares.CORE.driver", ["shares", "CORE", "driver"]],
    ["shares.Büro 2.driver", ["shares", "Büro 2", "driver"]],
    ['shares."a.b".driver', ["shares", "a.b", "driver"]],
    ["shares.'a \"b\"'.driver", ["shares", 'a "b"', "driver"]],
    ['shares."a \\"b\\" \\u00e9".driver', ["shares", 'a "b" é', "driver"]],
    ["shares[12].driver", ["shares", 12, "driver"]],
    ["shares.__proto__.driver", ["shares", "__proto__", "driver"]],
  ];
  for (const [text, path] of rows) assert.deepEqual(splitKey(text), path, text);
  for (const text of ["", " ", ".", "a..b", "a.", ".a", 'a."b', "a.'b'c", 'a."\\x"', "a[x]", "a[", "a]"]) {
    assert.equal(refusal(() => splitKey(text)).code, "usage", text);
  }
});

test("every key of the schema is known by its path", () => {
  for (const { name, pattern, keys, isOpen } of SECTIONS) {
    for (const key of isOpen ? ["ANY_NAME"] : keys) {
      const typed = [...pattern, key].map((segment) => (segment === "*" || segment === "#" ? "X" : segment));
      const parsed = parseConfigKey(typed.join("."));
      assert.equal(parsed.section.name, name);
      assert.equal(parsed.key, key);
    }
  }
});

test("an unknown key is answered with the one probably meant", () => {
  const rows: [string, RegExp][] = [
    ["global.check_intervall_secs", /did you mean `check_interval_secs`\?/],
    ["globl.check_interval_secs", /did you mean `global`\?/],
    ["check_interval_secs", /did you mean `global\.check_interval_secs`\?/],
    ["driver", /did you mean `shares\.NAME\.driver`\?/],
    ["lsof-rechek", /did you mean `lsof-recheck`\?/],
    ["sync.check_interval_secs", /belongs in `\[global\]`/],
    ["shares.CORE.drivr", /did you mean `driver`\?/],
    ["shares.CORE", /write `shares\.NAME\.key`/],
    ["shares.CORE.routes.tb", /write `shares\.NAME\.key`/],
    ["sync", /write `sync\.key`; the keys are enabled, poll_interval/],
    ["sync[0].enabled", /write `sync\.key`/],
    ["backends.files", /write `backends\.NAME\.key`; the keys are type, command/],
    ["backends.files.env", /write `backends\.NAME\.env\.VARIABLE`/],
    ["backends.files.headers", /write `backends\.NAME\.headers\.HEADER`/],
    ["backends.files.timeouts", /write `backends\.NAME\.timeouts\.key`; the keys are init/],
    ["backends.files.timeouts.cal", /did you mean `call`\?/],
    ["backends.files.filters", /below it are tools, resources, prompts/],
    ["backends.files.comand", /did you mean `command`\?/],
    ["backends[0].command", /write `backends\.NAME\.key`/],
    ["backends", /write `backends\.NAME\.key`/],
    ["authorization.policies", /write `authorization\.policies\.NAME\.key`|write `authorization\.key`/],
    ["conflict_resolution.stratgy", /did you mean `strategy`\?/],
    ["backend.files.command", /did you mean `backends`\?/],
  ];
  for (const [text, hint] of rows) {
    const error = refusal(() => parseConfigKey(text));
    assert.equal(error.code, "config_key_unknown", text);
    assert.match(error.hint ?? "", hint, text);
  }
});

test("a value is TOML, else text", () => {
  assert.equal(valueFor("global.check_interval_secs", "0.5"), 0.5);
  assert.equal(valueFor("global.check_interval_secs", " 1_000 # often"), 1000);
  assert.equal(valueFor("sync.enabled", "false"), false);
  assert.equal(valueFor("sync.detection", "hash"), "hash");
  assert.equal(valueFor("sync.detection", "'hash'"), "hash");
  assert.equal(valueFor("shares.A.thunderbolt_host", "10.0.0.1"), "10.0.0.1");
  assert.equal(valueFor("shares.A.thunderbolt_host", '"nas:4450"'), "nas:4450");
  assert.equal(valueFor("shares.A.username", "2024-01-31"), "2024-01-31");
  assert.equal(valueFor("shares.A.username", "OFFICE\\ann"), "OFFICE\\ann");
  assert.equal(valueFor("shares.A.password", "${PW}"), "${PW}");
});

test("the two toggles have short names, and accept on and off", () => {
  assert.deepEqual(parseConfigKey("lsof-recheck").path, ["global", "lsof_recheck"]);
  assert.deepEqual(parseConfigKey("auto-failback").path, ["global", "auto_failback"]);
  assert.equal(valueFor("lsof-recheck", "on"), true);
  assert.equal(valueFor("auto-failback", "OFF"), false);
  assert.equal(valueFor("auto-failback", "true"), true);
  assert.equal(refusal(() => valueFor("auto-failback", "1")).hint, "write true");
});

test("F2 a number is a text where only a text can be, as a shell takes quotes away", () => {
  assert.equal(valueFor("shares.A.username", "42"), "42");
  assert.equal(valueFor("backends.a.env.PORT", "8080"), "8080");
  assert.equal(valueFor("server.port", "8080"), 8080);
});

test("a value that the key does not accept is answered with the expected one", () => {
  const rows: [string, string, RegExp, RegExp][] = [
    [
      "sync.poll_interval",
      "often",
      /found string "often", expected a number of seconds from 0\.05 to 3600/,
      /^$/,
    ],
    ["sync.poll_interval", '"2"', /found string "2"/, /without quotes/],
    ["sync.poll_interval", "0", /found number 0/, /^$/],
    ["sync.detection", "inotfy", /expected one of "mtime", "hash", "inotify"/, /did you mean "inotify"/],
    ["global.connect_timeout_ms", "99999999999999999999", /expected a whole number/, /^$/],
    ["shares.A.thunderbolt_host", "smb://nas", /expected a host/, /without `smb/],
    [
      "profiles[0].users",
      "['a', 1]",
      /`profiles\[0\]\.users\[1\]` cannot be that: found number 1/,
      /in quotes/,
    ],
    ["server.port", "1\nhost = 2", /expected a whole number from 1 to 65535/, /^$/],
  ];
  for (const [key, text, message, hint] of rows) {
    const error = refusal(() => valueFor(key, text));
    assert.equal(error.code, "usage");
    assert.match(error.message, message, key);
    assert.match(error.hint ?? "", hint, key);
  }
});

test("a typed password is not repeated", () => {
  const typed: [string, string][] = [
    ["shares.A.password", "hunter2"],
    ["shares.A.password", "'hunter2'"],
    ["shares.A.password", "[ 'hunter2' ]"],
    ["incoming_auth.issuer", "https://ann:hunter2@login.example"],
    ["incoming_auth.jwks", "https://ann:hunter2@login.example"],
    ["server.public_url", "https://us.example?key=hunter2"],
  ];
  for (const [key, text] of typed) {
    const error = refusal(() => valueFor(key, text));
    assert.doesNotMatch(`${error.message} ${error.hint}`, /hunter2/);
  }
});

test("KEY and VALUE are an edit, KEY without VALUE unsets", () => {
  const rows: [string, string | null, object][] = [
    ["shares.CORE.driver", "local", { kind: "set", keyPath: ["shares", "CORE", "driver"], value: "local" }],
    ["shares.CORE.driver", null, { kind: "unset", keyPath: ["shares", "CORE", "driver"] }],
    ["lsof-recheck", "off", { kind: "set", keyPath: ["global", "lsof_recheck"], value: false }],
    ["aliases.docs.path", null, { kind: "unset", keyPath: ["aliases", "docs", "path"] }],
  ];
  for (const [key, value, edit] of rows) {
    assert.deepEqual(configEdit(key, value), edit);
    assert.deepEqual(requestedEdit({ key, value }), edit);
  }
  assert.throws(() => requestedEdit({ key: "nothing.of.it", value: "x" }), { code: "config_key_unknown" });
});

test("blocks of lists are added with their keys, and removed by their names", () => {
  const entry = { name: "a" };
  for (const list of ["shares", "aliases"] as const) {
    assert.deepEqual(requestedEdit({ add: list, entry }), { kind: "add", list, entry });
    assert.deepEqual(requestedEdit({ remove: list, name: "a" }), { kind: "remove", list, name: "a" });
  }
});
