// Which backends can reach the home, the configuration or the secrets, by what they are given.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  accessWarnings,
  type ProtectedPaths,
  pathsReached,
  reachableByBackends,
} from "../../src/config/reachable-paths.ts";
import type { BackendConfig } from "../../src/config/snapshot.ts";
import { assertEach } from "../support/assert-each.ts";
import { fc } from "../support/properties.ts";
import { accepted, PLACE } from "./support.ts";

const PLACES: ProtectedPaths = {
  homes: [PLACE.home],
  configs: [`${PLACE.home}/config.toml`],
  userHome: PLACE.userHome,
};
const ALL = ["home", "secrets", "config"];

async function backend(keys: string): Promise<BackendConfig> {
  const { config } = await accepted(`[backends.files]\ncommand = "npx"\n${keys}`);
  const [first] = config.backends;
  assert.ok(first !== undefined);
  return first;
}

async function reached(keys: string, places = PLACES): Promise<readonly string[]> {
  return [...new Set(reachableByBackends(await backend(keys), places).flatMap((reach) => reach.targets))];
}

const REACHING: readonly (readonly [keys: string, places: readonly string[]])[] = [
  ['args = ["-y", "@modelcontextprotocol/server-filesystem", "/home/ann"]', ALL],
  ['args = ["~"]', ALL],
  ['args = ["~/"]', ALL],
  ['args = ["/"]', ALL],
  ['args = ["/home"]', ALL],
  ['args = ["/home/ann/.mountaineer"]', ALL],
  ['args = ["/home/ann/Documents/../.mountaineer/"]', ALL],
  ['args = ["/home/ann/.mountaineer/config.toml"]', ["home", "config"]],
  ['args = ["/home/ann/.mountaineer/secrets.json"]', ["home", "secrets"]],
  ['args = ["/home/ann/.mountaineer/volumes/CORE"]', ["home"]],
  ['args = ["--root=/home/ann"]', ALL],
  ['args = ["-I/home/ann"]', ALL],
  ['args = ["-v", "/home/ann:/data:ro"]', ALL],
  ['args = ["--mount", "type=bind,src=/home/ann,dst=/data"]', ALL],
  ['args = ["file:///home/ann"]', ALL],
  ['args = ["-c", "cd /home/ann && exec server"]', ALL],
  ['args = ["-c", "exec server $HOME"]', ALL],
  ['args = ["/HOME/Ann"]', ALL],
  ['args = ["/System/Volumes/Data/home/ann"]', ALL],
  ['args = ["/home/*"]', ALL],
  ['args = ["."]', ALL],
  ['args = [".mountaineer"]', ALL],
  ['args = [".."]\ncwd = "/home/ann/Documents"', ALL],
  ['cwd = "~"', ALL],
  ['cwd = "/"', ALL],
  ['cwd = "~/.mountaineer"', ALL],
  ['cwd = "client"\ninstances = "per-client"\nargs = ["x"]', ["home"]],
  ['env = { ALLOWED = "/home/ann" }', ALL],
  ['env = { ALLOWED = "/srv:/home/ann" }', ALL],
  ['env = { ALLOWED = "${HOME}" }', ALL],
  ['env = { ALLOWED = "/srv:${HOME}/.mountaineer" }', ALL],
];

const APART: readonly string[] = [
  "",
  'args = ["-y", "@modelcontextprotocol/server-filesystem", "/home/ann/Documents"]',
  'args = ["~/Documents"]',
  'args = ["/home/anna"]',
  'args = ["/home/ann/.mountaineer-old"]',
  'args = ["--verbose", "-y", "3", "application/json", "", "server@1.2.3"]',
  'args = ["https://example.com/", "http://localhost:8080", "--url=https://example.com/"]',
  'cwd = "/home/ann/Documents"\nargs = ["."]',
  // No system takes a path of that length.
  `args = ["/home/ann/.mountaineer/${"a".repeat(4_100)}"]`,
  'env = { HOME = "/home/ann", PATH = "/home/ann/bin:/usr/bin" }',
  'env = { TOKEN = "${TOKEN}", EMPTY = "" }',
];

test("E2 an argument, a folder or a variable that is, lies in or lies above the home reaches it", async () => {
  for (const [keys, places] of REACHING) assert.deepEqual(await reached(keys), places, keys);
  const homes = ["/home/zo\u00eb/.mountaineer"];
  const decomposed = await reached('args = ["/home/zoe\u0308"]', {
    homes,
    configs: [],
    userHome: "/home/ann",
  });
  assert.ok(decomposed.includes("home"), "however its letters are composed");
});

test("E2 paths next to the home reach nothing", async () => {
  for (const keys of APART) assert.deepEqual(await reached(keys), [], keys);
});

test("E2 in the home itself a word is not a path, and a warning shows no argument but a folder", async () => {
  const given = await backend('args = ["--token", "word"]');
  assert.ok(given.connection.type === "stdio");
  const places = { ...PLACES, userHome: PLACE.home };
  const { connection } = given;
  const ofArguments = (...args: string[]) =>
    reachableByBackends({ ...given, connection: { ...connection, cwd: PLACE.home, args } }, places);
  assert.deepEqual(ofArguments("--token", "word"), []);
  assert.deepEqual(ofArguments(".")[0]?.targets, ALL);
  const { warnings } = await accepted('[backends.a]\ncommand = "x"\nargs = ["~/.mountaineer/hunter2"]\n');
  assert.ok(warnings.some(({ path }) => path === "backends.a.args[0]"));
  assert.doesNotMatch(JSON.stringify(warnings), /hunter2/);
});

test("E2 a configuration elsewhere is reached by its own path and by the folders above it", async () => {
  const places = { ...PLACES, configs: ["/srv/mountaineer/config.toml"] };
  assert.deepEqual(await reached('args = ["/srv"]', places), ["config"]);
  assert.deepEqual(await reached('args = ["/srv/mountaineer/config.toml"]', places), ["config"]);
  assert.deepEqual(await reached('args = ["/srv/mountaineer/other.toml"]', places), []);
});

test("E2 each spelling of the home counts as the home", async () => {
  const places = { ...PLACES, homes: [PLACE.home, "/data/mountaineer"] };
  assert.deepEqual(await reached('args = ["/data"]', places), ["home", "secrets"]);
});

test("E2 a server at an address reaches nothing here, and a disabled one does not run", async () => {
  const { config } = await accepted(
    '[backends.web]\nurl = "http://localhost/home/ann"\n[backends.off]\ncommand = "npx"\nargs = ["/home/ann"]\nenabled = false\n',
  );
  assert.deepEqual(accessWarnings(config.backends, PLACES), []);
});

test("E2 a reachable path is reported with the argument, folder or variable that leads to it", async () => {
  const given = await backend('args = ["-y", "~"]\ncwd = "/"\nenv = { ROOT = "/home" }');
  assertEach(reachableByBackends(given, PLACES), ({ through, path }) => [through, path], [
    [{ kind: "argument", index: 1 }, "/home/ann"],
    [{ kind: "cwd" }, "/"],
    [{ kind: "env", variable: "ROOT" }, "/home"],
  ]);
});

test("E2 whatever path is at, above or below the home is found, and no other", () => {
  const segment = fc.constantFrom("home", "ann", ".mountaineer", "bob", "volumes", "srv");
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 5 }), (segments) => {
      const path = `/${segments.join("/")}`;
      const home = ["home", "ann", ".mountaineer"];
      const isRelated = home.every((part, at) => at >= segments.length || segments[at] === part);
      assert.equal(pathsReached(path, PLACES).includes("home"), isRelated, path);
    }),
  );
});

test("E2 a backend that reaches something gets one warning, with the key and the fix", async () => {
  const { warnings } = await accepted(
    '[backends.files]\ncommand = "npx"\nargs = ["-y", "@modelcontextprotocol/server-filesystem", "/home/ann", "/"]\n',
    "/home/ann/.mountaineer/config.toml",
  );
  assert.deepEqual(warnings, [
    {
      path: "backends.files.args[2]",
      text: "through /home/ann the server can reach Mountaineer's folder, configuration and secrets",
      hint: "give it only the folders it needs, or a [backends.files.sandbox]; see docs/reference/security.md",
    },
  ]);
});
