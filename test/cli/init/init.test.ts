import assert from "node:assert/strict";
import { mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { firstStart } from "../../../src/cli/init/first-start.ts";
import {
  backendBlock,
  EXAMPLES,
  foundBlocks,
  openingText,
  shareBlocks,
} from "../../../src/cli/init/init-text.ts";
import { newShares } from "../../../src/cli/init/more-shares.ts";
import { connectionOf, splitArgs } from "../../../src/config/edit/new-backend.ts";
import { freeNasName, shareNameOf } from "../../../src/config/edit/new-share.ts";
import { withBlocks } from "../../../src/config/edit/text-blocks.ts";
import { findHomeContext } from "../../../src/config/home-context.ts";
import { parseConfig } from "../../../src/config/read/load.ts";
import { createMountProgram } from "../../../src/mount-program/mount-program.ts";
import { ends } from "../../support/ends.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand as run, runCommand } from "../command-line.ts";

const PLACE = { home: "/h/m", userHome: "/h", userName: "ann", defaultMountRoot: "/h/m/volumes" };

const SHARE = ["--share", "CORE", "--tb-host", "10.10.10.1", "--fallback-host", "nas.local"];

test("the written file loads, whatever names it has", async () => {
  const share = {
    name: 'my "best" share\\é',
    nas: null,
    tbHost: "10.0.0.1:4450",
    fallbackHost: "nas.local",
    username: "OFFICE\\ann",
    shareName: "core files",
    password: "secret:nas",
    onlyOn: ["gateway:aa:bb:cc:dd:ee:ff", "subnet:10.0.0.0/24"],
  };
  const found = { host: "nas", share: 'a"b', user: null, path: "/mnt/x\ny", by: "fstab" } as const;
  const text = withBlocks(openingText("file:///r"), [
    ...shareBlocks([share, { ...share, nas: "home", name: "MEDIA", shareName: null }]),
    backendBlock({ name: "files", connection: { command: "npx", args: ["-y", 'a "b" \\c'] } }),
    backendBlock({ name: "web", connection: { url: "https://example.org/mcp" } }),
    ...foundBlocks("", [found]),
  ]);
  const loaded = await parseConfig(Buffer.from(text), "/h/m/config.toml", PLACE);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const { shares, backends } = loaded.snapshot.config;
  assert.deepEqual(
    [shares[0]?.name, shares[0]?.username, shares[0]?.shareName],
    [share.name, share.username, "core files"],
  );
  assert.deepEqual(shares[0]?.onlyOn, [...share.onlyOn, "proved"]);
  assert.deepEqual(backends[0]?.connection.type === "stdio" && backends[0].connection.args, [
    "-y",
    'a "b" \\c',
  ]);
  const { name: _, shareName: _first, ...first } = shares[0] ?? assert.fail();
  const { name: _second, shareName: _other, ...second } = shares[1] ?? assert.fail();
  assert.deepEqual(second, first, "hosts, login and networks are those of its NAS");
  assert.equal(shares.length, 2, "what was found is a comment");
  assert.deepEqual(foundBlocks(text, [found]), [], "and stands there once");
});

test("found shares of one server and user become one NAS, which is valid once uncommented", async () => {
  const found = (host: string, share: string, user: string | null) =>
    ({ host, share, user, path: `/mnt/${share}`, by: "kernel" }) as const;
  const blocks = foundBlocks(
    "",
    [found("nas.local", "core", "ann"), found("10.0.0.5", "other", null), found("nas.local", "media", "ann")],
    (name) => name === "nas",
  );
  assert.equal(blocks.length, 2);
  const text = blocks.join("\n").replaceAll(/^#(?! )/gm, "");
  const loaded = await parseConfig(Buffer.from(text), "/h/m/config.toml", PLACE);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  assert.deepEqual(loaded.snapshot.config.nas, { "nas-2": ["core", "media"], "nas-3": ["other"] });
  assert.equal(text.match(/fallback_host = "nas\.local"/g)?.length, 1);
});

test("a NAS is called by its own name, or by its address, and never like another one", () => {
  const named = (text: string, ...taken: string[]) => freeNasName(text, (name) => taken.includes(name));
  assert.deepEqual(
    ["CORE", "nas.local", "10.0.0.5", "fe80::1", "Ann's NAS", "café", "", "x".repeat(80)].map((text) =>
      named(text),
    ),
    ["CORE", "nas", "nas", "fe80-1", "Ann-s-NAS", "caf-", "nas", "x".repeat(60)],
  );
  assert.equal(named("nas.local", "nas", "nas-2"), "nas-3");
});

test("a command line is split as a shell would, and nothing in it is run or replaced", () => {
  assert.deepEqual(splitArgs("npx -y pkg /tmp"), ["npx", "-y", "pkg", "/tmp"]);
  assert.deepEqual(splitArgs(`a 'b c' "d \\"e\\" \\n" f\\ g '' $HOME ~ "x"'y'`), [
    "a",
    "b c",
    'd "e" \\n',
    "f g",
    "",
    "$HOME",
    "~",
    "xy",
  ]);
  assert.deepEqual(splitArgs("   "), []);
  assert.throws(() => splitArgs("a 'b"), { code: "usage" });
  assert.deepEqual(connectionOf("https://x.example/mcp"), { url: "https://x.example/mcp" });
  assert.throws(() => connectionOf(" "), { code: "usage" });
});

test("the unedited examples are valid once uncommented", async () => {
  const loaded = await parseConfig(Buffer.from(EXAMPLES.replaceAll(/^#/gm, "")), "/h/m/config.toml", PLACE);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  assert.deepEqual([loaded.snapshot.config.shares.length, loaded.snapshot.config.backends.length], [1, 1]);
});

test("the file has the requested settings, and shows where every option belongs; the end names the next commands", async (t) => {
  const folder = await temporaryFolder(t);
  const home = join(folder, "home");
  const shares = await run(["init", ...SHARE, "--config", join(folder, "shares.toml")], { home });
  const isProgramHere = (await createMountProgram(home).find()) !== null;
  assert.equal(shares.stdout.includes("now get mountaineer-fs"), !isProgramHere, shares.stdout);
  const path = join(folder, "my own.toml");
  const args = ["init", "--config", path, "--backend", "files", "--command", "sh -c true"];
  const { stdout } = await ends(run(args, { home }), 0);
  const [schema, , reference = "", ...rest] = (await readFile(path, "utf8")).split("\n");
  assert.equal(schema, "#:schema ./config.schema.json");
  // Shares that this machine happens to have mounted follow as comments.
  const settings = rest.filter((line) => line !== "" && !line.startsWith("#"));
  assert.deepEqual(settings, [
    "[sync]",
    'detection = "inotify"',
    "debounce = 0.1",
    "[incoming_auth]",
    'type = "local"',
    'token = "secret:gateway-token"',
    "[backends.files]",
    'command = "sh"',
    'args = ["-c", "true"]',
  ]);
  const page = await readFile(new URL(/file:\/\/\S+$/.exec(reference)?.[0] ?? ""), "utf8");
  assert.match(page, /check_interval_secs/);
  const named = `--config '${path}'`;
  const lines = stdout.split("\n").slice(1, -1);
  assert.deepEqual(lines, [
    `  next: mountaineer doctor ${named} checks it, then mountaineer up ${named} keeps it up`,
    `  connect an agent: http://127.0.0.1:9000/mcp, or the command mountaineer mcp ${named}`,
    `        in Claude Code: claude mcp add mountaineer -- mountaineer mcp ${named}`,
    `        servers that your clients have already: mountaineer import ${named} takes them over`,
    `        in Claude Desktop, Cursor, VS Code and others: mountaineer connect NAME ${named}`,
    "  over HTTP with the token that is stored as secret:gateway-token:",
    "        claude mcp add --transport http mountaineer http://127.0.0.1:9000/mcp --header 'Authorization: Bearer TOKEN'",
    "        (mountaineer secret set gateway-token gives it a value that you know)",
  ]);
  const again = await run(args, { home });
  assert.match(again.stderr, /hint: mountaineer init --add --config '.*my own\.toml' adds to it/);
  await ends(run(["config", "validate", "--config", path], { home }), 0);
});

test("without a terminal it names the missing options, writes the given ones, and overwrites nothing", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  await ends(run(["init"], { home }), 2, "", /nothing was written[\s\S]*init --share NAME/);
  const path = join(home, "config.toml");
  await assert.rejects(stat(path));
  const added = await run(["init", ...SHARE, "--username", "ann", "--password", "secret:nas", "--json"], {
    home,
  });
  assert.equal(added.code, 0, added.stderr);
  const report = JSON.parse(added.stdout);
  assert.deepEqual(
    [report.path, report.created, report.changed, report.shares, report.backends],
    [path, true, true, ["CORE"], []],
  );
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.ok((await readdir(home)).includes("config.schema.json"));
  assert.match(
    await readFile(path, "utf8"),
    /\n\[nas\.nas\]\nthunderbolt_host = "10\.10\.10\.1"\nfallback_host = "nas\.local"\nusername = "ann"\npassword = "secret:nas"\n\n\[\[shares\]\]\nname = "CORE"\nnas = "nas"\n$/,
  );
  const before = await readFile(path, "utf8");
  const refused = await run(["init", "--backend", "files", "--command", "sh -c 'a b'"], { home });
  assert.deepEqual([refused.code, refused.stdout], [9, ""]);
  assert.match(refused.stderr, /is there already[\s\S]*init --add/);
  assert.equal((await run(["init"], { home })).code, 9);
  assert.equal(await readFile(path, "utf8"), before);
  const more = await run(["init", "--add", "--backend", "files", "--command", "sh -c 'a b'"], {
    home,
  });
  assert.equal(more.code, 0, more.stderr);
  assert.match(more.stdout, /is changed: files/);
  assert.ok(
    (await readFile(path, "utf8")).endsWith('\n[backends.files]\ncommand = "sh"\nargs = ["-c", "a b"]\n'),
  );
  const twice = await run(["init", "--add", "--backend", "files", "--command", "sh"], { home });
  assert.deepEqual([twice.code, /server files is configured already/.test(twice.stderr)], [2, true]);
  await ends(run(["config", "rollback", "--yes"], { home }), 0);
  assert.equal(await readFile(path, "utf8"), before);
});

test("input that makes no valid configuration, or is incomplete, writes nothing", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [["--share", "Links", "--tb-host", "a", "--fallback-host", "b"], 3, /Links/],
    [["--share", "CORE", "--tb-host", "smb://x", "--fallback-host", "b"], 3, /smb:/],
    [[...SHARE, "--password", "hidden word"], 3, /secret:NAME/],
    [["--share", "CORE"], 2, /--fallback-host, or --tb-host, or both/],
    [["--tb-host", "a"], 2, /--share names/],
    [["--backend", "a"], 2, /either --command or --url/],
    [["--backend", "a", "--command", "b", "--url", "https://c"], 2, /either --command or --url/],
    [["--command", "b"], 2, /--backend names/],
  ];
  for (const [args, code, why] of cases) {
    const ended = await run(["init", ...args], { home });
    assert.equal(ended.code, code, `${args.join(" ")}: ${ended.stderr}`);
    assert.match(ended.stderr, why);
    if (code === 3) assert.match(ended.stderr, /would have a mistake; nothing was written/);
    assert.doesNotMatch(ended.stderr, /config\.toml:\d/, "a file that is not there has no lines");
    assert.doesNotMatch(ended.stderr, /hidden word/);
  }
  await assert.rejects(stat(join(home, "config.toml")));
  const yaml = await run(["--config", join(home, "c.yaml"), "init"], { home });
  assert.deepEqual([yaml.code, /in TOML[\s\S]*ends in \.toml/.test(yaml.stderr)], [2, true]);
});

test("C3 it adds to a configuration in YAML as to one in TOML, and every byte of it stays", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  await mkdir(home, { mode: 0o700 });
  const path = join(home, "config.yaml");
  const before = `# mine
global:
  check_interval_secs: 3   # calm
shares:
  - name: ARCHIVE
    thunderbolt_host: 10.0.0.1
    fallback_host: nas   # cellar

# the end
`;
  await writeFile(path, before, { mode: 0o600 });
  const refused = await run(["init", ...SHARE], { home });
  assert.deepEqual([refused.code, await readFile(path, "utf8")], [9, before], refused.stderr);
  const backend = ["--backend", "files", "--command", "sh -c 'a b'"];
  const added = await run(["init", "--add", ...SHARE, ...backend], { home });
  assert.equal(added.code, 0, added.stderr);
  assert.match(added.stdout, /config\.yaml is changed: CORE, files/);
  const nas = "nas:\n  nas:\n    thunderbolt_host: 10.10.10.1\n    fallback_host: nas.local\n";
  const share = "  - name: CORE\n    nas: nas\n";
  const token = "incoming_auth:\n  type: local\n  token: secret:gateway-token\n";
  const [head, tail] = before.split("\n\n");
  assert.equal(
    await readFile(path, "utf8"),
    `${head}\n${share}\n${tail}\n${token}\n${nas}\nbackends:\n  files:\n    command: sh\n    args: ["-c", a b]\n`,
  );
  await ends(run(["init", "--add", ...SHARE], { home }), 2, null, /share CORE is configured already/);
  await writeFile(path, "# nothing yet\n");
  await ends(run(["init", ...SHARE], { home }), 0);
  assert.equal(await readFile(path, "utf8"), `# nothing yet\n\n${nas}\nshares:\n${share}`);
});

test("F3 one address is enough; an error names the given option, and no line of an unwritten file", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const wrong = await run(["init", "--share", "CORE", "--fallback-host", "smb://nas"], { home });
  assert.equal(wrong.code, 3);
  assert.match(wrong.stderr, /nas\.smb-nas\.fallback_host: found string "smb:\/\/nas", expected a host/);
  assert.doesNotMatch(wrong.stderr, /\.toml:\d/);
  await assert.rejects(stat(join(home, "config.toml")));
  await ends(run(["init", "--share", "CORE", "--fallback-host", "nas.local"], { home }), 0);
  assert.match(
    await readFile(join(home, "config.toml"), "utf8"),
    /fallback_host = "nas\.local"\n\n\[\[shares\]\]\nname = "CORE"\nnas = "nas"\n$/,
  );
});

test("where the configuration is a dangling link, every command says so", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  await mkdir(home, { mode: 0o700 });
  await symlink(join(home, "moved.toml"), join(home, "config.toml"));
  for (const args of [["init", ...SHARE], ["monitor"], ["status"]]) {
    const ended = await run(args, { home });
    assert.equal(ended.code, 3, `${args.join(" ")}: ${ended.stderr}`);
    assert.match(ended.stderr, /is a link to \S+moved\.toml, which is not there[\s\S]*remove the link/);
  }
  await assert.rejects(stat(join(home, "moved.toml")));
});

// The parts of `init`: what a daemon begins with, more shares of a NAS, names, the token.
test("the plan of a daemon names shares, backends, middleware, and the settings that are not defaults", async (t) => {
  const home = await temporaryFolder(t);
  const text = [
    "[sync]",
    "debounce = 0.5",
    "[server]",
    "port = 9100",
    "[backends.files]",
    'command = "x"',
    "[[shares]]",
    'name = "CORE"',
    'thunderbolt_host = "10.0.0.2"',
    'fallback_host = "10.0.0.3"',
    "",
  ].join("\n");
  const report = await firstStart({
    daemon: null,
    homeContext: findHomeContext({ HOME: home, MOUNTAINEER_HOME: home }),
    path: join(home, "config.toml"),
    format: "toml",
    read: async () => Buffer.from(text),
    call: () => Promise.reject(new Error("nothing is asked")),
  });
  assert.deepEqual(report.errors, []);
  assert.deepEqual(
    [report.settings, report.shares.added, report.backends.added, report.middleware, report.summary],
    [["sync.debounce", "server.port"], ["CORE"], ["files"], [], "1 share, 1 server to start"],
  );
});

test("a name that another NAS's share has is asked for again, and so is that of a share just chosen", async () => {
  const taken = ["photos"];
  const answers = ["media", "photos-2"];
  const told: string[] = [];
  const person = {
    prompt: () => Promise.resolve(answers.shift() ?? assert.fail("one question too many")),
    print: (line: string) => void told.push(line),
  };
  const shares = await newShares(person, { username: "ann" }, ["media", "photos"], (all) => {
    const names = [...taken, ...all.map(({ name }) => name)];
    return Promise.resolve(new Set(names).size < names.length ? "it is taken" : null);
  });
  assert.deepEqual(shares, [
    { username: "ann", name: "media", share_name: "media" },
    { username: "ann", name: "photos-2", share_name: "photos" },
  ]);
  assert.deepEqual(told, ["  photos: it is taken", "  media: it is taken"]);
});

type Found = Parameters<typeof shareNameOf>[0];

test("G1 a found share keeps its name, where a folder may have it", () => {
  // Nothing else of it counts.
  const named = (share: string): string => shareNameOf({ share } as Found);
  assert.deepEqual(["CORE", " Photos ", "a/b", "cafe\u0301"].map(named), ["CORE", "Photos", "a-b", "café"]);
  const ours = ["", ".", "..", "Links", "links"];
  assert.deepEqual(
    ours.map(named),
    ours.map((name) => `share-${name}`),
  );
  assert.equal(named("linksys"), "linksys");
});

// The token that `init` makes for clients over HTTP, with the real program.
const runIn = (home: string, args: readonly string[]) => runCommand(args, { home });
const BACKEND = ["--backend", "files", "--command", "sh"];

async function keptTokens(home: string): Promise<readonly string[]> {
  const { stdout } = await runIn(home, ["secret", "list", "--json"]);
  const { secrets } = JSON.parse(stdout);
  return secrets.map(({ name, kept }: { readonly name: string; readonly kept: string }) => `${name} ${kept}`);
}

test("E1 the first server gets a token that is stored, named, and in no output of a script", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const made = await ends(runIn(home, ["init", ...BACKEND, "--json"]), 0);
  assert.equal(JSON.parse(made.stdout).token, "secret:gateway-token");
  assert.deepEqual(await keptTokens(home), ["gateway-token file"]);
  const config = await readFile(join(home, "config.toml"), "utf8");
  assert.match(config, /\[incoming_auth\]\ntype = "local"\ntoken = "secret:gateway-token"\n/);
  const kept = await readFile(join(home, "secrets.json"), "utf8");
  const [token = ""] = /[\w-]{43}/.exec(kept) ?? [];
  assert.equal(Buffer.from(token, "base64url").length, 32);
  assert.ok(!`${made.stdout}${made.stderr}${config}`.includes(token));
  // Begun anew, the token that agents have already goes on.
  await writeFile(join(home, "config.toml"), "");
  await ends(runIn(home, ["init", ...BACKEND]), 0);
  assert.equal(await readFile(join(home, "secrets.json"), "utf8"), kept);
});

test("E1 no client of a gateway without a token is locked out as a side effect", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  await ends(runIn(home, ["init", ...BACKEND, "--no-token"]), 0);
  const path = join(home, "config.toml");
  assert.doesNotMatch(await readFile(path, "utf8"), /incoming_auth/);
  await ends(runIn(home, ["init", "--add", "--backend", "more", "--command", "sh"]), 0);
  assert.doesNotMatch(await readFile(path, "utf8"), /incoming_auth/);
  await ends(runIn(home, ["init", "--add", "--token"]), 0, /secret:gateway-token/);
  assert.match(await readFile(path, "utf8"), /\[incoming_auth\]/);
  const twice = await runIn(home, ["init", "--add", "--token"]);
  assert.deepEqual([twice.code, /says already who may come in/.test(twice.stderr)], [2, true]);
  assert.match(twice.stderr, /hint: mountaineer secret set gateway-token gives the token a value/);
});

test("E1 backends add makes the token with the first server only, not with the next one", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const path = join(home, "config.toml");
  const first = await runIn(home, ["backends", "add", "files", "--disabled", "--", "sh"]);
  assert.equal(first.code, 0, first.stderr);
  assert.match(
    await readFile(path, "utf8"),
    /\[incoming_auth\]\ntype = "local"\ntoken = "secret:gateway-token"\n/,
  );
  assert.deepEqual(await keptTokens(home), ["gateway-token file"]);
  assert.match(first.stdout, /Agents come in over HTTP with the token/);
  const [token = ""] = /[\w-]{43}/.exec(await readFile(join(home, "secrets.json"), "utf8")) ?? [];
  assert.ok(token !== "" && !`${first.stdout}${first.stderr}`.includes(token));
  const next = await ends(runIn(home, ["backends", "add", "more", "--disabled", "--", "sh"]), 0);
  assert.doesNotMatch(next.stdout, /token/);
  const other = join(await temporaryFolder(t), "home");
  await ends(runIn(other, ["backends", "add", "files", "--disabled", "--no-token", "--", "sh"]), 0);
  assert.doesNotMatch(await readFile(join(other, "config.toml"), "utf8"), /^\[incoming_auth\]/m);
});
