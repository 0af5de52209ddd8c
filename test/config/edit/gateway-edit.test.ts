// Editing the gateway's sections in place, as people ask for it: KEY and VALUE, backends that come and go.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfigEdit } from "../../../src/config/edit/edit-meaning.ts";
import { configEdit } from "../../../src/config/edit/key-path.ts";
import type { ConfigFormat } from "../../../src/config/snapshot.ts";
import { assertEdited, edited } from "./edit-table.ts";

/** What a file becomes by `config set KEY VALUE`, or `config unset KEY` where the value is null. */
const ROWS: readonly (readonly [format: ConfigFormat, key: string, value: string | null, marked: string])[] =
  [
    ["toml", "backends.files.command", "uvx", '[backends.files] # mine\ncommand = "‹np→uv›x" # old\n'],
    [
      "toml",
      "backends.files.args",
      '["-y", "x"]',
      '[backends.files]\ncommand = "npx"\n‹→args = ["-y", "x"]\n›\n# next\n[audit]\n',
    ],
    [
      "toml",
      "backends.files.timeouts.call",
      "5",
      '[backends.files]\ncommand = "x"\n\n[‹→backends.files.timeouts]\ncall = 5\n\n[›audit]\n',
    ],
    ["toml", "backends.files.timeouts.call", "5", "[backends.files]\ntimeouts = { init = 1‹→, call = 5› }\n"],
    [
      "toml",
      "backends.files.env.API_KEY",
      "${KEY}",
      '[backends.files]\nenv.A = "1" # a\n‹→env.API_KEY = "${KEY}"\n›',
    ],
    [
      "toml",
      "backends.new.command",
      "npx",
      '[backends.files]\ncommand = "x"\n[backends.files.env]\nA = "1"\n‹→\n[backends.new]\ncommand = "npx"\n\n›[[shares]]\nname = "C"\n',
    ],
    ["toml", "backends.new.command", "npx", '‹→[backends.new]\ncommand = "npx"\n›'],
    [
      "toml",
      "backends.files.timeouts.call",
      null,
      "[backends.files.timeouts]\ninit = 1\n‹call = 2 # c\n→›# kept\n",
    ],
    [
      "toml",
      'backends.files.tool_overrides."a.b".name',
      "c",
      '[backends.files]\ncommand = "x"\n‹→\n[backends.files.tool_overrides."a.b"]\nname = "c"\n›',
    ],
    [
      "toml",
      "conflict_resolution.strategy",
      "prefix",
      '[audit]\n‹→\n[conflict_resolution]\nstrategy = "prefix"\n›',
    ],
    ["toml", "server.drain_timeout", "0.5", "[server]\nport = 1\n‹→drain_timeout = 0.5\n›"],
    [
      "toml",
      "incoming_auth.users.bo.roles",
      '["dev"]',
      '[[incoming_auth.users]]\nname = "ann"\n[[incoming_auth.users]]\nname = "bo"\n‹→roles = ["dev"]\n›',
    ],
    [
      "toml",
      "authorization.policies[1].effect",
      "deny",
      '[[authorization.policies]]\neffect = "allow"\n[[authorization.policies]]\neffect = "‹allow→deny›"\n',
    ],
    [
      "yaml",
      "backends.files.timeouts.call",
      "5",
      "backends:\n    files: # mine\n        command: npx # c\n‹→        timeouts:\n            call: 5\n›\naudit: {}\n",
    ],
    ["yaml", "backends.files.env.A", "${X}", 'backends: {files: {command: x‹→, env: {A: "${X}"}›}}\n'],
    ["yaml", "backends.new.command", "npx", "backends:\n‹→  new:\n    command: npx\n›"],
    [
      "yaml",
      "backends.new.command",
      "npx",
      "backends:\n  # first\n  a:\n    command: x\n‹→  new:\n    command: npx\n›# end\n",
    ],
    [
      "yaml",
      "backends.a.env.B",
      null,
      "backends:\n  a:\n    env:\n      A: 1 # a\n      ‹B: 2 # b\n      →›# c\n",
    ],
  ];

for (const [format, key, value, marked] of ROWS)
  test(`B9 ${key} ${value === null ? "unset" : `set to ${value}`} in ${format}: ${JSON.stringify(marked)}`, () =>
    assertEdited(format, marked, [configEdit(key, value)]));

const BACKEND = {
  command: "npx",
  args: ["-y", "server"],
  env: { TOKEN: "${T}" },
  timeouts: { call: 5 },
};

test("B9 a backend is added as a block of its own, after the others", async () => {
  const add: ConfigEdit = { kind: "add-backend", name: "new", backend: BACKEND };
  assert.equal(
    await edited("toml", '[backends.a]\ncommand = "x" # c\n\n# the shares\n[[shares]]\nname = "C"\n', add),
    `[backends.a]
command = "x" # c

[backends.new]
command = "npx"
args = ["-y", "server"]
env = { TOKEN = "\${T}" }
timeouts = { call = 5 }

# the shares
[[shares]]
name = "C"
`,
  );
  assert.equal(
    await edited("yaml", "backends:\n  a:\n    command: x # c\n\n# the shares\nshares: []\n", add),
    `backends:
  a:
    command: x # c
  new:
    command: npx
    args: ["-y", server]
    env:
      TOKEN: \${T}
    timeouts:
      call: 5

# the shares
shares: []
`,
  );
  assert.equal(
    await edited("toml", 'backends = { a = { command = "x" } }\n', {
      ...add,
      backend: { command: "y" },
    }),
    'backends = { a = { command = "x" }, new = { command = "y" } }\n',
  );
  assert.equal(
    await edited("toml", 'backends.a.command = "x"\n', { ...add, backend: { command: "y" } }),
    'backends.a.command = "x"\n\n[backends.new]\ncommand = "y"\n',
  );
});

test("B9 a backend is removed with its tables, and nothing else", async () => {
  const remove: ConfigEdit = { kind: "remove", list: "backends", name: "a" };
  assert.equal(
    await edited(
      "toml",
      '# top\n[backends.a]\ncommand = "x"\n\n[backends.a.env]\nA = "1"\n\n# b\n[backends.b]\ncommand = "y"\n\n[backends.a.timeouts]\ncall = 1\n',
      remove,
    ),
    '# top\n\n# b\n[backends.b]\ncommand = "y"\n',
  );
  assert.equal(
    await edited(
      "yaml",
      "backends:\n  a:\n    command: x\n    env:\n      A: '1'\n  b: # b\n    command: y\n",
      remove,
    ),
    "backends:\n  b: # b\n    command: y\n",
  );
  assert.equal(
    await edited("yaml", "backends:\n  a: {command: x}\nsync: {}\n", remove),
    "backends:\nsync: {}\n",
  );
});

test("B9 a backend that is unknown, or there already, is told", async () => {
  const text = '[backends.files]\ncommand = "x"\n';
  await assert.rejects(edited("toml", text, { kind: "remove", list: "backends", name: "fiels" }), {
    code: "backend_unknown",
    hint: 'did you mean "files"?',
  });
  await assert.rejects(edited("toml", "", { kind: "remove", list: "backends", name: "constructor" }), {
    code: "backend_unknown",
    hint: "the configuration has no backends",
  });
  await assert.rejects(edited("toml", text, { kind: "add-backend", name: "files", backend: {} }), {
    code: "usage",
  });
  await assert.rejects(edited("toml", text, configEdit("incoming_auth.users.ann.roles", "[]")), {
    code: "config_key_unknown",
  });
  await assert.rejects(edited("toml", text, configEdit("authorization.policies[0].effect", "deny")), {
    code: "config_key_unknown",
    hint: "there are none",
  });
});
