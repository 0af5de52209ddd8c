// Backends that are reached over several routes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decideHeld } from "../../src/config/approval/decide-held.ts";
import { entryText } from "../../src/config/approval/entry-text.ts";
import { diffConfigs } from "../../src/config/diff.ts";
import { PLACES } from "./approval/places.ts";
import { accepted, refused } from "./support.ts";

const route = (...lines: readonly string[]): string => `[[backends.files.routes]]\n${lines.join("\n")}\n`;
const HERE = route('command = "serve"', 'args = ["a"]');
const LAN = route('name = "lan"', 'url = "http://192.168.1.20/mcp"');
const FAR = route('url = "https://far.example/mcp"', "[backends.files.routes.headers]", 'X-Key = "${KEY}"');

test("C2 routes are named, or called by their place, in the order of the file", async () => {
  const { config } = await accepted(HERE + LAN + FAR);
  const [files] = config.backends;
  assert.deepEqual(
    files?.routes?.map(({ name, connection }) => [name, connection.type]),
    [
      ["1", "stdio"],
      ["lan", "streamable-http"],
      ["3", "streamable-http"],
    ],
  );
  assert.deepEqual(files?.connection, files?.routes?.[0]?.connection);
});

test("C2 a backend without routes is what it was", async () => {
  const [files] = (await accepted('[backends.files]\ncommand = "serve"\n')).config.backends;
  assert.ok(files !== undefined && !("routes" in files));
});

for (const [text, path, why] of [
  [`[backends.files]\ncommand = "serve"\n${HERE}`, "backends.files.command", /no `command`/],
  [`[backends.files]\nreplace = "stop-first"\n${HERE}${LAN}`, "backends.files.replace", /`overlap`/],
  [route('name = "x"'), "backends.files.routes[0].command", /`command` or `url`/],
  [LAN + LAN, "backends.files.routes[1].name", /another name/],
  [HERE + route('name = "1"', 'command = "b"'), "backends.files.routes[1].name", /another name/],
  [route('name = "auto"', 'command = "b"'), "backends.files.routes[0].name", /not `auto`/],
  [route('command = "b"', 'url = "http://a/mcp"'), "backends.files.routes[0].command", /no `command`/],
  [HERE.repeat(9), "backends.files.routes[8]", /at most 8 routes/],
] as const) {
  test(`B6 ${path} is told: ${why.source}`, async () => {
    const mistakes = await refused(text);
    assert.ok(
      mistakes.some((mistake) => mistake.path === path && why.test(mistake.expected)),
      JSON.stringify(mistakes),
    );
  });
}

test("B6 a change of a route is a change of its backend", async () => {
  const { config: before } = await accepted(HERE + LAN);
  const { config: after } = await accepted(HERE + LAN + FAR);
  assert.deepEqual(diffConfigs(before, after).backends.changed, ["files"]);
});

test("E2 what a route would run waits, with all routes of its backend, and is shown as the file has it", async () => {
  const { config: first } = await accepted(`[trust]\napprove = "commands"\n${HERE}${LAN}`);
  const evil = route('command = "evil"', "[backends.files.routes.env]", 'TOKEN = "${KEY}"');
  const { config: second } = await accepted(`[trust]\napprove = "commands"\n${HERE}${evil}`);
  const begun = decideHeld({ file: first, running: null, approvals: null, places: PLACES });
  const { running, approvals } = { running: begun.effective, approvals: begun.approvals };
  const held = decideHeld({ file: second, running, approvals, places: PLACES });
  assert.deepEqual(held.effective.backends, first.backends);
  const [entry] = held.waiting;
  assert.equal(entry?.kind, "runs");
  const text = entryText(entry?.waiting ?? null);
  assert.match(text, /routes\[1\]\.command = "evil"/);
  assert.match(text, /routes\[1\]\.env\.TOKEN = "\$\{KEY\}"/);
});

test("E2 a backend that becomes one with routes waits, and runs as it was", async () => {
  const { config: first } = await accepted(
    '[trust]\napprove = "commands"\n[backends.files]\nurl = "http://one.example/mcp"\n',
  );
  const { config: second } = await accepted(`[trust]\napprove = "commands"\n${LAN}${HERE}`);
  const begun = decideHeld({ file: first, running: null, approvals: null, places: PLACES });
  const held = decideHeld({
    file: second,
    running: begun.effective,
    approvals: begun.approvals,
    places: PLACES,
  });
  const [files] = held.effective.backends;
  assert.deepEqual(files?.connection, first.backends[0]?.connection);
  assert.equal(files?.routes ?? null, null);
});
