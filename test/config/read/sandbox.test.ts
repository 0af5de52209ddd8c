// What a backend's sandbox may say, and what it means.
import assert from "node:assert/strict";
import { test } from "node:test";
import { findPlace } from "../../../src/config/locate.ts";
import { backendReach } from "../../../src/config/reach.ts";
import { parseConfig } from "../../../src/config/read/load.ts";
import { accepted, bytes, PLACE, refused, where } from "../support.ts";

const BACKEND = '[backends.files]\ncommand = "npx"\n';
const KIND = `${BACKEND}[backends.files.sandbox]\nkind = "bubblewrap"\n`;

test("E2 a sandbox shows nothing but what is named, from TOML and YAML", async () => {
  const toml = await accepted(`${KIND}read = ["~/Documents/", "/srv"]\nwrite = ["~/.npm"]\nnetwork = true\n`);
  const expected = {
    kind: "bubblewrap",
    read: ["/home/ann/Documents", "/srv"],
    write: ["/home/ann/.npm"],
    network: true,
  };
  const sandboxOf = ({ config }: typeof toml) => {
    const connection = config.backends[0]?.connection;
    return connection?.type === "stdio" ? connection.sandbox : null;
  };
  assert.deepEqual(sandboxOf(toml), expected);
  const yaml =
    "backends:\n  files:\n    command: npx\n    sandbox: { kind: bubblewrap, read: [~/Documents/, /srv], write: [~/.npm], network: true }\n";
  assert.deepEqual(sandboxOf(await accepted(yaml, "config.yaml")), expected);
  assert.deepEqual(sandboxOf(await accepted(KIND)), {
    kind: "bubblewrap",
    read: [],
    write: [],
    network: false,
  });
});

test("E2 what is in a sandbox reaches nothing that is guarded", async () => {
  const { config, warnings } = await accepted(KIND.replace('"npx"\n', '"npx"\nargs = ["/home/ann"]\n'));
  const [backend] = config.backends;
  assert.ok(backend !== undefined);
  const places = { homes: [PLACE.home], configs: [`${PLACE.home}/config.toml`], userHome: PLACE.userHome };
  assert.deepEqual(backendReach(backend, places), []);
  assert.deepEqual(warnings, []);
});

const MISTAKES: readonly (readonly [text: string, at: string, words: RegExp])[] = [
  [`${BACKEND}[backends.files.sandbox]\nread = []\n`, "3:2 backends.files.sandbox.kind", /bubblewrap/],
  [KIND.replace("bubblewrap", "docker"), "4:8 backends.files.sandbox.kind", /one of "bubblewrap"/],
  [`${KIND}read = ["Documents"]\n`, "5:9 backends.files.sandbox.read[0]", /an absolute path/],
  [`${KIND}read = ["~/.mountaineer"]\n`, "5:9 backends.files.sandbox.read[0]", /Mountaineer's own folder/],
  [
    `${KIND}write = ["/srv", "~/.mountaineer/volumes"]\n`,
    "5:18 backends.files.sandbox.write[1]",
    /no sandbox shows/,
  ],
  [KIND.replace('"npx"\n', '"npx"\ncwd = "/srv"\n'), "3:7 backends.files.cwd", /name it in `sandbox\.read`/],
  [
    KIND.replace('command = "npx"', 'url = "https://example.org/mcp"'),
    "3:2 backends.files.sandbox",
    /a server that is elsewhere runs nothing here/,
  ],
  [`${KIND}folders = ["/srv"]\n`, "5:1 backends.files.sandbox.folders", /read|write|known/],
];

test("E2 each mistake in a sandbox is told with its place", async () => {
  for (const [text, at, words] of MISTAKES) {
    const [mistake, ...others] = await refused(text);
    assert.ok(mistake !== undefined, text);
    assert.deepEqual(others, [], text);
    assert.equal(where(mistake), at, text);
    assert.match(`${mistake.found} ${mistake.expected} ${mistake.hint}`, words, text);
  }
});

test("E2 a folder that the sandbox shows may be the working folder", async () => {
  for (const cwd of ["/srv/files", "/usr/share", "/tmp", "/home/ann"]) {
    await accepted(`${KIND.replace('"npx"\n', `"npx"\ncwd = "${cwd}"\n`)}read = ["/srv"]\n`);
  }
});

test("E2 macOS refuses it, and says why", async () => {
  const place = findPlace({ HOME: "/Users/ann" }, "darwin");
  const loaded = await parseConfig(bytes(KIND), "config.toml", place);
  assert.ok(!loaded.ok);
  const [mistake] = loaded.mistakes;
  assert.equal(mistake?.found, "`sandbox` on macOS");
  assert.match(mistake.hint ?? "", /namespaces/);
});
