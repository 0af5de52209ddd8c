// The `config` commands as processes, with no daemon: they do it themselves.
import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { acquireHomeLock } from "../../../src/runtime/process/home-lock.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { ends } from "../../support/ends.ts";
import { pluck } from "../../support/pluck.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand } from "../command-line.ts";

const CONFIG = `# mine
[global]
check_interval_secs = 2   # twice

[[shares]]
name = "My Share"
thunderbolt_host = "10.0.0.2"
fallback_host = "nas.local"
`;

async function homeWith(t: TestContext, config: string | null = CONFIG, name = "config.toml") {
  const home = await temporaryFolder(t);
  const file = join(home, name);
  if (config !== null) await writeFile(file, config);
  const run = (...args: string[]) => runCommand(args, { home });
  /** Runs it, and it must end with 0 and say nothing on stderr. */
  const ok = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(...args);
    assert.deepEqual([code, stderr], [0, ""], args.join(" "));
    return stdout;
  };
  return {
    home,
    file,
    run,
    ok,
    json: async (...args: string[]) => JSON.parse(await ok(...args, "--json")),
    text: () => readFile(file, "utf8"),
  };
}

describe("config without a daemon", { concurrency: 3 }, () => {
  test("get prints the effective value of a key: the file's, else the default", async (t) => {
    const { ok, run, json } = await homeWith(t);
    assert.equal(await ok("config", "get", "global.check_interval_secs"), "2\n");
    assert.equal(await ok("config", "get", "lsof-recheck"), "true\n");
    assert.equal(await ok("config", "get", 'shares."My Share".fallback_host'), "nas.local\n");
    assert.equal(await ok("config", "get", "global.on_route_change"), "move\n");
    assert.deepEqual(await json("config", "get", "sync.debounce"), {
      key: "sync.debounce",
      source: "default",
      value: 1,
    });
    await ends(run("config", "get", "shares[0].password"), 1, "", /not set: guest/);
  });

  test("an invalid key, share or value ends with 2, suggests the name probably meant, and writes nothing", async (t) => {
    const { run, text, home } = await homeWith(t);
    const cases: [string[], RegExp][] = [
      [["get", "global.check_interval"], /did you mean `check_interval_secs`/],
      [["set", "check_interval_secs", "1"], /did you mean `global.check_interval_secs`/],
      [["get", "shares.Mine.driver"], /no share is called "Mine"/],
      [["set", "global.check_interval_secs", "soon"], /found string "soon", expected a number of seconds/],
      [["set", "global.check_interval_secs", "-1"], /found number -1/],
      [["set", "lsof-recheck", "maybe"], /true or false/],
      [["set", "lsof-recheck"], /missing required argument 'value'/],
      [["set", "lsof-recheck", "on", "off"], /too many arguments/],
      [["diff", "x"], /number of `mountaineer config history`/],
      [["rollback", "1"], /no entry 1/],
      [["gte"], /did you mean get/],
    ];
    await Promise.all(
      cases.map(async ([args, message]) => {
        const { code, stdout, stderr } = await run("config", ...args);
        assert.deepEqual([code, stdout], [2, ""], args.join(" "));
        assert.match(stderr, message);
        assert.doesNotMatch(stderr, /--share NAME/);
      }),
    );
    assert.equal(await text(), CONFIG);
    assert.ok(!(await readdir(home)).includes("history"));
  });

  test("set changes only its own bytes, prints the former value, and can be undone and redone", async (t) => {
    const { ok, text, json } = await homeWith(t);
    assert.match(
      await ok("config", "set", "global.check_interval_secs", "0.5"),
      /is 0\.5 \(it was 2\)\n.*no daemon runs/,
    );
    const changed = CONFIG.replace("= 2 ", "= 0.5 ");
    assert.equal(await text(), changed);
    assert.match(await ok("config", "set", "global.check_interval_secs", "0.5"), /is 0\.5 already/);
    assert.match(
      await ok("config", "diff"),
      /^-check_interval_secs = 2 {3}# twice\n\+check_interval_secs = 0\.5/m,
    );
    await ok("config", "rollback");
    assert.equal(await text(), CONFIG);
    await ok("config", "rollback");
    assert.equal(await text(), changed);
    const history = (await json("config", "history")) as Record<string, unknown>[];
    assert.deepEqual(pluck(history, "n", "source"), [
      [0, "rollback 1"],
      [1, "rollback 1"],
      [2, "cli"],
      [3, "file"],
    ]);
    assert.deepEqual(Object.keys(history[0] ?? {}), ["n", "time", "sha256", "source", "summary"]);
    assert.match(
      await ok("config", "history"),
      /^0 {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}[0-9a-f]{8} {2}rollback 1 {2}changed global.check_interval_secs$/m,
    );
  });

  test("the file's content before the first edit can be restored", async (t) => {
    const { ok, text, file } = await homeWith(t);
    await ok("config", "set", "lsof-recheck", "off");
    await writeFile(file, CONFIG.replace("# mine", "# mine, by hand"));
    await ok("config", "set", "auto-failback", "on");
    await ok("config", "rollback", "1");
    assert.equal(await text(), CONFIG.replace("# mine", "# mine, by hand"));
  });

  test("an empty file is not an entry of the history, and a change of comments only is reported as one", async (t) => {
    const { file, ok, text } = await homeWith(t, "");
    await ok("config", "set", "global.check_interval_secs", "2");
    assert.equal((await ok("config", "history")).split("\n").filter((line) => line !== "").length, 1);
    await writeFile(file, `# mine\n${await text()}`);
    await ok("config", "rollback", "0", "--yes");
    assert.match(await ok("config", "history"), /^0 .* rollback 0 +no changes$/m);
    // Nobody runs what was there last: the file may begin afresh.
    await rm(file);
    await ok("config", "set", "global.check_interval_secs", "3");
    assert.match(await text(), /check_interval_secs = 3/);
  });

  test("a missing home is created, for its owner only", async (t) => {
    const home = join(await temporaryFolder(t), "deep", "home");
    await ends(runCommand(["config", "set", "global.check_interval_secs", "2"], { home }), 0);
    assert.equal((await stat(home)).mode & 0o777, 0o700);
  });

  test("unset restores the default; unsetting an absent key is not an error", async (t) => {
    const { ok, text } = await homeWith(t);
    assert.match(await ok("config", "unset", "global.check_interval_secs"), /is 2 by default \(it was 2\)/);
    assert.doesNotMatch(await text(), /check_interval/);
    assert.match(await ok("config", "unset", "global.check_interval_secs"), /by default already/);
  });

  test("an edit that would make the file invalid ends with 3, reports each error with its position, and writes nothing", async (t) => {
    const { run, text } = await homeWith(t);
    await ends(run("config", "unset", "shares[0].name"), 3, "", /config\.toml:5:3: shares\[0\]\.name/);
    assert.equal(await text(), CONFIG);
    const json = await ends(run("config", "unset", "shares[0].name", "--json"), 3);
    const report = JSON.parse(json.stdout);
    assert.deepEqual([report.changed, report.reload, report.errors.length > 0], [false, null, true]);
  });

  test("set creates a private file where there is none", async (t) => {
    const { ok, text, file } = await homeWith(t, null);
    await ok("config", "set", "lsof-recheck", "off");
    assert.equal(await text(), "[global]\nlsof_recheck = false\n");
    assert.equal((await stat(file)).mode & 0o777, 0o600);
  });

  test("the file of --config is not created by a change: a missing file is an error, and init is the hint", async (t) => {
    const { home } = await homeWith(t, null);
    const missing = join(home, "elsewhere.toml");
    for (const args of [
      ["config", "set", "lsof-recheck", "off"],
      ["config", "unset", "lsof-recheck"],
      ["shares", "add", "--share", "A", "--tb-host", "127.0.0.2", "--fallback-host", "127.0.0.3"],
      ["alias", "add", "--name", "a", "--share", "A", "--target-subpath", "x"],
    ]) {
      const { stderr } = await ends(runCommand([...args, "--config", missing], { home }), 3);
      assert.match(
        stderr,
        /there is no file at .*elsewhere\.toml\n.*hint: .*mountaineer init --config/,
        args.join(" "),
      );
      await assert.rejects(stat(missing), { code: "ENOENT" });
    }
  });

  test("YAML is read and edited like TOML", async (t) => {
    const { ok, text } = await homeWith(t, "# mine\nglobal:\n  lsof_recheck: true # yes\n", "config.yaml");
    assert.equal(await ok("config", "get", "lsof-recheck"), "true\n");
    await ok("config", "set", "lsof-recheck", "off");
    assert.equal(await text(), "# mine\nglobal:\n  lsof_recheck: false # yes\n");
  });

  test("show prints the file byte for byte; --effective prints all effective values", async (t) => {
    const { ok, json, run } = await homeWith(t, `\ufeff${CONFIG}# \u202e\r\n`);
    assert.equal(await ok("config", "show"), `\ufeff${CONFIG}# \u202e\r\n`);
    const effective = await ok("config", "show", "--effective");
    assert.match(effective, /^check_interval_secs = 2$/m);
    assert.match(effective, /^lsof_recheck = true {2}# default$/m);
    const data = (await json("config", "show", "--effective")) as {
      global: object;
      shares: { wake: string }[];
    };
    assert.equal(data.shares[0]?.wake, "auto");
    const shown = (await json("config", "show")) as Record<string, unknown>;
    assert.deepEqual(Object.keys(shown), ["path", "format", "sha256", "text", "running_sha256"]);
    assert.equal(shown["running_sha256"], null);
    const { home } = await homeWith(t, null);
    await ends(runCommand(["config", "show"], { home }), 0, "", /not there yet/);
    assert.equal((await run("config", "show", "--efective")).code, 2);
  });

  test("validate reports every error of the file in use or of another, and ends with 3", async (t) => {
    const { home, ok, run } = await homeWith(t);
    assert.match(await ok("config", "validate"), /config\.toml is valid: 1 share$/m);
    await writeFile(join(home, "draft.yaml"), "global:\n  lsof_rechek: 1\n  check_interval_secs: soon\n");
    const wrong = await runCommand(["config", "validate", "draft.yaml"], { home, cwd: home });
    assert.deepEqual([wrong.code, wrong.stdout], [3, ""]);
    assert.match(wrong.stderr, /has 2 mistakes/);
    assert.match(wrong.stderr, /draft\.yaml:2:3: global\.lsof_rechek/);
    assert.match(wrong.stderr, /draft\.yaml:3:24: global\.check_interval_secs/);
    const json = await runCommand(["config", "validate", "draft.yaml", "--json"], { home, cwd: home });
    const report = JSON.parse(json.stdout);
    assert.deepEqual([json.code, report.ok, report.errors.length], [3, false, 2]);
    assert.deepEqual(Object.keys(report.errors[0]), [
      "file",
      "line",
      "column",
      "path",
      "found",
      "expected",
      "hint",
    ]);
    assert.equal((await run("config", "validate", "/nowhere/config.toml")).code, 3);
    assert.equal((await run("config", "validate", "/etc/hostname")).code, 3);
    assert.equal((await run("config", "validate", "a.toml", "b.toml")).code, 2);
  });

  test("path prints where the file is or would be; --config is another one", async (t) => {
    const { home, ok } = await homeWith(t, null);
    assert.equal(await ok("config", "path"), `${join(home, "config.toml")}\n`);
    assert.equal(await ok("config", "path", "--config", "/x/y.yaml"), "/x/y.yaml\n");
    await writeFile(join(home, "config.yml"), "");
    assert.equal(await ok("config", "path"), `${join(home, "config.yml")}\n`);
    await writeFile(join(home, "config.toml"), "");
    assert.equal((await runCommand(["config", "path"], { home })).code, 3);
  });

  test("schema is JSON Schema, without a home, a file or a daemon", async () => {
    const { stdout } = await ends(runCommand(["config", "schema"], { home: "/dev/null/home" }), 0);
    assert.equal(JSON.parse(stdout).$schema, "https://json-schema.org/draft/2020-12/schema");
  });

  test("commands that only show take no lock and write nothing", async (t) => {
    const { home, ok } = await homeWith(t);
    const lock = await acquireHomeLock(home, { command: "mount", waitMs: 0, clock: systemClock });
    t.after(() => lock[Symbol.asyncDispose]());
    const before = await readdir(home);
    for (const args of [["get", "lsof-recheck"], ["show"], ["validate"], ["path"]])
      await ok("config", ...args);
    await ok("config", "history", "--json").catch(() => {});
    assert.deepEqual(await readdir(home), before);
  });

  test("commands that change wait for another command's lock", async (t) => {
    const { home, ok, text } = await homeWith(t);
    const lock = await acquireHomeLock(home, { command: "mount", waitMs: 0, clock: systemClock });
    const setting = ok("config", "set", "lsof-recheck", "off");
    let isDone = false;
    setting.then(
      () => {
        isDone = true;
      },
      () => {},
    );
    // Long enough for it to come to the lock on any machine; were it not to wait, it would be done.
    await Promise.race([setting, systemClock.sleep(1_500)]);
    assert.equal(isDone, false);
    assert.equal(await text(), CONFIG);
    await lock[Symbol.asyncDispose]();
    await setting;
    assert.match(await text(), /lsof_recheck = false/);
  });

  test("a write-protected file is not touched, and a symlink stays one", async (t) => {
    const { home, ok } = await homeWith(t, null);
    const real = join(home, "real", "mine.toml");
    await mkdir(join(home, "real"));
    await writeFile(real, CONFIG);
    await symlink(real, join(home, "config.toml"));
    await chmod(real, 0o640);
    await ok("config", "set", "lsof-recheck", "off");
    assert.match(await readFile(real, "utf8"), /lsof_recheck = false/);
    assert.equal((await stat(real)).mode & 0o777, 0o640);
  });

  test("a broken file can be shown, diffed and rolled back over, and an edit names its errors", async (t) => {
    const { ok, run, file, text } = await homeWith(t);
    await ok("config", "set", "lsof-recheck", "off");
    const good = await text();
    await writeFile(file, `${good}\nnonsense\n`);
    assert.match(await ok("config", "show"), /nonsense/);
    assert.match(await ok("config", "diff", "0"), /^\+nonsense$/m);
    await ends(run("config", "set", "lsof-recheck", "on"), 3, null, /config\.toml:\d+:\d+:/);
    assert.equal((await run("config", "get", "lsof-recheck")).code, 3);
    await ok("config", "rollback", "0");
    assert.equal(await text(), good);
  });

  test("a diff for patch(1) is exact, and empty when nothing differs", async (t) => {
    const { ok, run, file } = await homeWith(t, "# \u202e\tx\r\n");
    await ok("config", "set", "lsof-recheck", "off");
    assert.match(await ok("config", "diff"), /^ # \u202e\tx\r\n/m);
    await ends(run("config", "diff", "0"), 0, "", /is the same as entry 0/);
    await writeFile(file, "");
    assert.match(await ok("config", "diff", "0"), /^@@ -1,\d+ \+0,0 @@/m);
  });

  test("reload without a daemon ends with 8; --dry-run shows what one would start with", async (t) => {
    const { run, ok, json, file } = await homeWith(t);
    const reload = await run("reload");
    assert.deepEqual([reload.code, reload.stdout], [8, ""]);
    assert.match(reload.stderr, /no daemon runs.*\n {2}hint: mountaineer up/);
    assert.match(
      reload.stderr,
      /drops sign-in, the daemon starts with the content of before,\s+and mountaineer reload/,
    );
    const dry = await ok("reload", "--dry-run");
    assert.match(dry, /would begin with:\n {4}start {2}My Share$/m);
    assert.doesNotMatch(dry, /set /);
    await writeFile(file, CONFIG.replace("= 2 ", "= 3 "));
    const report = (await json("reload", "--dry-run")) as Record<string, unknown>;
    assert.deepEqual(report["settings"], ["global.check_interval_secs"]);
    assert.deepEqual(report["shares"], { added: ["My Share"], removed: [], changed: [] });
    await writeFile(file, "[global]\nx = 1\ny = 2\n");
    await ends(run("reload", "--dry-run"), 3, null, /has 2 mistakes/);
  });
});

/** A server at one path, that keeps what it is asked. */
async function serveAt(t: TestContext, path: string, type: string) {
  const asked: string[] = [];
  const headers: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    headers.push(...Object.keys(request.headers));
    const isHere = request.url === path && (path !== "/sse") === (request.method === "POST");
    response.writeHead(isHere ? (path === "/mcp" ? 400 : 200) : 404, {
      "Content-Type": isHere ? type : "text/html",
    });
    response.end("{}");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, asked, headers };
}

test("F1 validate warns of everything that would stop a start, and contacts no server", async (t) => {
  const home = await temporaryFolder(t);
  const { url, port, asked } = await serveAt(t, "/mcp", "application/json");
  const file = join(home, "draft.toml");
  await writeFile(
    file,
    `[server]
port = ${port}
[backends.gone]
command = "no-such-program"
[backends.line]
command = "npx -y some-server"
[backends.unset]
command = "true"
env = { KEY = "\${NO_SUCH_VARIABLE}" }
[backends.bare]
url = "${url}"
[backends.off]
command = "no-such-program"
enabled = false
[[shares]]
name = "CORE"
thunderbolt_host = "10.0.0.2"
fallback_host = "192.168.1.20"
password = "\${NO_SUCH_PASSWORD}"
`,
  );
  const { stdout } = await ends(runCommand(["config", "validate", file, "--json"], { home }), 0);
  const { ok, warnings } = JSON.parse(stdout) as {
    ok: boolean;
    warnings: { path: string; text: string; hint: string }[];
  };
  assert.equal(ok, true);
  const told = warnings.map(({ path, text, hint }) => `${path}: ${text} | ${hint}`).join("\n");
  for (const expected of [
    /^backends\.gone: its program no-such-program is not found \| install it/m,
    /^backends\.line: its program .* is not found \| command is only the program/m,
    /^backends\.unset: .*NO_SUCH_VARIABLE/m,
    /^backends\.bare: its address has no path, .* \| mountaineer backends edit bare --url http:\S+\/mcp$/m,
    /^shares\.CORE: .*NO_SUCH_PASSWORD/m,
    /^server: .* listens at 127\.0\.0\.1:\d+ already/m,
  ])
    assert.match(told, expected);
  assert.doesNotMatch(told, /backends\.off/);
  assert.deepEqual(asked, []);
  const plain = await runCommand(["config", "validate", file], { home });
  assert.match(plain.stdout, /is valid: 1 share, 5 servers\n[\s\S]*▲ backends\.gone: its program/);
});

test("F1 backends add keeps an address without a path if a server answers there, and prints no remark", async (t) => {
  const home = await temporaryFolder(t);
  const { url } = await serveAt(t, "/", "application/json");
  const { code, stderr } = await runCommand(["backends", "add", "x", "--url", url, "--wait", "0"], { home });
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /that is added/);
});

for (const [path, type] of [
  ["/mcp", "application/json"],
  ["/sse", "text/event-stream"],
] as const)
  test(`F1 backends add completes an address without a path with ${path} if a server answers there, and sends it no header`, async (t) => {
    const home = await temporaryFolder(t);
    const { url, asked, headers } = await serveAt(t, path, type);
    await ends(
      runCommand(["backends", "add", "x", "--url", url, "--header", "X-Region: eu", "--wait", "0"], { home }),
      0,
      null,
      new RegExp(`has no path, and a server answers at ${url}${path}: that is added`),
    );
    await ends(runCommand(["config", "get", "backends.x.url"], { home }), 0, new RegExp(`${url}${path}`));
    assert.equal(asked[0], "POST /");
    assert.ok(!headers.includes("x-region") && !headers.includes("authorization"));
  });

test("shares swap exchanges the two addresses in one edit, with their interfaces, and keeps the rest of the file", async (t) => {
  const own = await homeWith(t);
  assert.match(await own.ok("shares", "swap", "My Share"), /nas\.local is preferred now/);
  assert.equal(
    await own.text(),
    CONFIG.replace('"10.0.0.2"', '"x"').replace('"nas.local"', '"10.0.0.2"').replace('"x"', '"nas.local"'),
  );
  const box = `[nas.BOX]
thunderbolt_host = "10.0.0.2" # the cable
thunderbolt_interface = "tb0"
fallback_host = "10.0.1.2:1445"

[[shares]]
name = "Photos"
nas = "BOX"
`;
  const onNas = await homeWith(t, box);
  await ends(onNas.run("shares", "swap", "Photos"), 2, null, /mountaineer shares swap --nas BOX/);
  assert.equal((await onNas.run("shares", "swap", "--nas", "BIX")).code, 2);
  assert.equal(await onNas.text(), box);
  await onNas.ok("shares", "swap", "--nas", "BOX");
  const text = await onNas.text();
  assert.match(text, /^thunderbolt_host = "10\.0\.1\.2:1445" # the cable$/m);
  assert.match(text, /^fallback_host = "10\.0\.0\.2"$/m);
  assert.match(text, /^fallback_interface = "tb0"$/m);
  assert.doesNotMatch(text, /thunderbolt_interface/);
});
