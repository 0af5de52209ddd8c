// What backends say of the shares that they need.
import assert from "node:assert/strict";
import { test } from "node:test";
import { accepted, refused, SHARE } from "./support.ts";

const backend = (lines: string): string => `${SHARE}[backends.files]\ncommand = "npx"\n${lines}\n`;

test("C1 a backend may require shares, and folders in them", async () => {
  const { config } = await accepted(
    backend(
      'requires = ["CORE", "CORE:/dev/projects/"]\nunavailable_after_secs = 0.5\nwhen_unavailable = "stop"',
    ),
  );
  const [files] = config.backends;
  assert.deepEqual(files?.requires, [
    { share: "CORE", folder: null },
    { share: "CORE", folder: "dev/projects" },
  ]);
  assert.deepEqual([files?.unavailableAfterMs, files?.whenUnavailable], [500, "stop"]);
  const yaml =
    "backends: {a: {command: npx, requires: ['CORE:/x']}}\nshares: [{name: CORE, thunderbolt_host: a, fallback_host: b}]\n";
  assert.deepEqual((await accepted(yaml, "config.yaml")).config.backends[0]?.requires, [
    { share: "CORE", folder: "x" },
  ]);
});

test("B6 a share that the file does not have is refused by name, with what was meant", async () => {
  const [mistake, ...others] = await refused(backend('requires = ["CORF:/dev"]'));
  assert.deepEqual(others, []);
  assert.equal(mistake?.path, "backends.files.requires[0]");
  assert.match(mistake?.found ?? "", /"CORF:\/dev", which names no share of this file/);
  assert.equal(mistake?.hint, 'did you mean "CORE"?');
});

for (const [text, why] of [
  ["CORE:/../other", /\.\./],
  ["/dev/projects", /folder/],
  ["", /name of a share/],
] as const) {
  test(`B6 ${JSON.stringify(text)} is no requirement`, async () => {
    const [mistake] = await refused(backend(`requires = [${JSON.stringify(text)}]`));
    assert.match(`${mistake?.expected} ${mistake?.hint}`, why);
  });
}

test("C1 one that is given a folder on a share and does not require it is told what to write", async () => {
  const { warnings } = await accepted(backend('args = ["-y", "server", "/home/ann/Shares/CORE/dev"]'));
  assert.deepEqual(warnings, [
    {
      path: "backends.files.args[2]",
      text: "/home/ann/Shares/CORE/dev is on share CORE, which may not be there when the backend is started",
      hint: 'say `requires = ["CORE"]`: it then waits for the share, and its tools leave and return with it',
    },
  ]);
  const stated = backend('args = ["/home/ann/Shares/CORE/dev"]\nrequires = ["CORE:/dev"]');
  assert.deepEqual((await accepted(stated)).warnings, []);
  assert.deepEqual((await accepted(backend('args = ["/home/ann/Shares/CORES"]'))).warnings, []);
  assert.deepEqual(
    (await accepted(backend('args = ["/home/ann/Shares/CORE"]\nenabled = false'))).warnings,
    [],
  );
});
