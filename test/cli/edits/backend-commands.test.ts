// `mountaineer backends add|edit|remove|enable|disable`, with a real monitor, and without one.
import assert from "node:assert/strict";
import { appendFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { addBackend } from "../../../src/cli/edits/backend-change.ts";
import { BACKEND_OPTIONS, readBackendOptions } from "../../../src/cli/input/backend-options.ts";
import { givenOf } from "../../../src/cli/input/command.ts";
import { LIGHT_SERVER } from "../../mcp/fixture-programs.ts";
import { ends } from "../../support/ends.ts";
import { freePort } from "../../support/free-port.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { contextOf } from "../command-context.ts";
import { runCommand, type Served, serveHere } from "../command-line.ts";

async function startRig(t: TestContext, { monitor = true, backends = "" } = {}) {
  let served: Served | null = null;
  // Before the folder: what runs in it ends first.
  t.after(() => served?.stop());
  const home = await temporaryFolder(t);
  const file = join(home, "config.toml");
  await writeFile(file, `# mine\n[server]\nport = ${await freePort()} # here\n${backends}`);
  if (monitor) served = await serveHere({ home });
  return {
    home,
    /** `line`: words without spaces; `more`: words of any kind. */
    run: (line: string, ...more: string[]) => runCommand([...line.split(" "), ...more], { home }),
    text: () => readFile(file, "utf8"),
  };
}

const SERVER = [process.execPath, LIGHT_SERVER];

test("E2 backends add writes the typed options, keeps everything else, and reports the result", async (t) => {
  const { run, text } = await startRig(t);
  const before = await text();
  const added = await run("backends add files -e LIGHT_PREFIX=a_ --group work --", ...SERVER);
  assert.equal(added.code, 0, added.stderr);
  assert.match(added.stdout, /^✓ files {2}is added\n✓ files {2}is ready: \d+ tools/);
  const after = await text();
  assert.ok(after.startsWith(before));
  assert.match(after, /\[backends\.files\]\ncommand = "[^"]+"\nargs = \["[^"]+"\]\ngroup = "work"\n/);
  assert.match(after, /LIGHT_PREFIX = "a_"/);

  const again = await run("backends add files -- other");
  assert.equal(again.code, 2);
  assert.match(again.stderr, /there is a server called files[\s\S]*backends edit files/);

  await ends(run("backends add twin -e LIGHT_PREFIX=a_ --", ...SERVER), 0, /twin {2}is ready: \d\d+ tools/);
  assert.match((await run("tools list")).stdout, /twin_a_echo/);
  assert.equal((await run("backends remove twin")).code, 0);

  const edited = await run("backends edit files --set timeouts.call=120 --env LIGHT_PREFIX=b_ --json");
  assert.equal(edited.code, 0, edited.stderr);
  const report = JSON.parse(edited.stdout);
  assert.deepEqual(
    [report.name, report.changed, report.runs, report.backend.phase],
    ["files", true, true, "Ready"],
  );
  assert.match((await run("tools list")).stdout, /^b_/m);
  assert.match(await text(), /call = 120/);

  const disabled = await ends(run("backends disable files"), 0);
  assert.match(disabled.stdout, /^\S+ files {2}is disabled\n$/, "once");
  await ends(run("backends enable files"), 0, /files {2}is enabled\n✓ files {2}is ready/);

  await ends(run("backends remove files"), 0, "✓ files  is removed\n");
  assert.doesNotMatch(await text(), /backends/);
  assert.match(await text(), /^# mine\n\[server\]\nport = \d+ # here\n/);
});

test("F1 a value that import left out is named, and nothing is enabled until it is given", async (t) => {
  const backends = `[backends.git]
command = "server"
args = ["--token=(hidden)", "plain"]
enabled = false
[backends.git.env]
MODE = "(hidden)"
[backends.web]
url = "http://localhost:1/mcp?key=(hidden)"
enabled = false
`;
  const { run, text } = await startRig(t, { monitor: false, backends });
  const before = await text();
  const git = await run("backends enable git");
  assert.equal(git.code, 2);
  assert.match(
    git.stderr,
    /backends\.git\.args\[0\], backends\.git\.env\.MODE[\s\S]*backends edit git --env/,
  );
  assert.match((await run("backends enable web")).stderr, /backends\.web\.url, which says \(hidden\)/);
  assert.equal((await run("backends disable git")).code, 0, "a disabled one may stay as it is");
  assert.equal(await text(), before);
  await ends(run("backends edit git --env MODE=plain -- server plain"), 0);
  assert.equal((await run("backends enable git")).code, 0);
  const off = await run("backends disable git");
  assert.match(off.stdout, /git {2}is disabled/, "whatever another one is");
});

test("E2 a backend that does not start is saved, and the reason is reported", async (t) => {
  const { run, text } = await startRig(t);
  const added = await run("backends add gone -- no-such-program");
  assert.equal(added.code, 1);
  assert.match(added.stdout, /gone {2}is Failed[\s\S]*cannot start no-such-program: it is not installed/);
  assert.match(await text(), /command = "no-such-program"/);
  await ends(run("backends add slow --wait 0 -- sleep 60"), 0, "✓ slow  is added\n");
});

test("E2 a value that looks like a secret is refused without a terminal, with the text to type", async (t) => {
  const { run, text } = await startRig(t, { monitor: false });
  const before = await text();
  const variable = await run("backends add git --env GITHUB_TOKEN=ghp_hunter2hunter2 -- server");
  assert.equal(variable.code, 2);
  assert.match(
    variable.stderr,
    /mountaineer secret set git-github-token, then --env GITHUB_TOKEN=secret:git-github-token/,
  );
  const header = await ends(
    run("backends add web http://localhost:1/ -H", "Authorization: Bearer ghp_hunter2hunter2"),
    2,
    null,
    /secret set web-authorization, then --header 'Authorization: Bearer \$\{secret:web-auth/,
  );
  const argument = await run("backends add arg -- server --token ghp_hunter2hunter2");
  assert.equal(argument.code, 2);
  assert.match(argument.stderr, /an argument seems to hold a secret \(backends\.arg\.args\[1\]\)/);
  for (const { stdout, stderr } of [variable, header, argument])
    assert.doesNotMatch(stdout + stderr, /hunter2/);
  assert.equal(await text(), before);
});

test("F1 without a daemon, a program that is not found is saved and named", async (t) => {
  const { run, text } = await startRig(t, { monitor: false });
  const added = await run("backends add files -- no-such-program --port 1");
  assert.equal(added.code, 0);
  assert.match(added.stderr, /files cannot start: its program no-such-program is not found/);
  assert.match(await text(), /command = "no-such-program"/);
  await ends(run("backends edit files -- sh -c true"), 0, null, "");
});

test("E2 at a terminal, a yes stores each value that looks like a secret under its own name", async (t) => {
  const { home, text } = await startRig(t, { monitor: false });
  const typed = (words: readonly string[], env: Record<string, string> = {}) => ({
    ...readBackendOptions(givenOf(BACKEND_OPTIONS, {}, []), words),
    env: new Map(Object.entries(env)),
  });
  const add = async (
    name: string,
    one: ReturnType<typeof typed>,
    answer: string,
    before = async () => {},
  ) => {
    const prompt = async (): Promise<string> => {
      await before();
      return answer;
    };
    const context = contextOf(home, { command: "backends add", prompt });
    return addBackend(context, name, one, { waitMs: 0, allowLiteral: false, token: null });
  };
  const values = { API_TOKEN: "ghp_hunter2hunter2", api_token: "ghp_hunter3hunter3" };
  await add("kept", typed(["server"], values), "");
  const kept = await text();
  assert.match(
    kept,
    /API_TOKEN = "\$\{secret:kept-api-token\}"\napi_token = "\$\{secret:kept-api-token-2\}"/,
  );
  assert.doesNotMatch(kept, /hunter/);
  await add("open", typed(["server"], values), "n");
  assert.match(await text(), /API_TOKEN = "ghp_hunter2hunter2"/);
  const argument = typed(["server", "--token", "ghp_hunter4hunter4"]);
  await assert.rejects(add("arg", argument, ""), { code: "usage", message: /nothing was written/ });
  assert.doesNotMatch(await text(), /hunter4/);
  const twin = () => appendFile(join(home, "config.toml"), '[backends.arg]\ncommand = "mine"\n');
  await assert.rejects(add("arg", argument, "y", twin), { message: /there is a server called arg/ });
  await add("arg-2", argument, "y");
  assert.match(await text(), /hunter4/);
});

test("E2 a build digest in the path of an existing program is not a secret, and elsewhere it is", async (t) => {
  const { run, text, home } = await startRig(t, { monitor: false });
  const digest = "35010a7b583850f6";
  const folder = join(home, "dist", digest);
  await mkdir(folder, { recursive: true });
  const add = (name: string, ...words: string[]) =>
    run("backends add", name, "--disabled", "--", "server", ...words);
  for (const [index, path] of [folder, join(folder, "main.js"), `/nowhere/${digest}/main.js`].entries()) {
    await ends(add(`built-${index}`, path), 0);
    assert.ok((await text()).includes(path));
  }
  for (const words of [[digest], [`/nowhere/${digest}`], ["--token", folder]]) {
    const refused = await add("refused", ...words);
    assert.equal(refused.code, 2, words.join(" "));
  }
});

test("E2 references, addresses and allowed literals are written unchanged, even without a daemon", async (t) => {
  const { run, text, home } = await startRig(t, { monitor: false });
  const one = await run("backends add web --url http://localhost:1/mcp --header", "X-Key: secret:web");
  assert.deepEqual([one.code, one.stderr], [0, ""]);
  assert.match(one.stdout, /web {2}is added/);
  assert.match((await run("config history")).stdout, /^0 .* cli +added server web; changed incoming_auth$/m);
  const words = [
    "backends",
    "add",
    "p",
    "--disabled",
    "--cwd",
    "sub",
    "-e",
    "A",
    "-e",
    "B=${C}",
    "--allow-literal",
  ];
  const program = ["-e", "TOKEN=written-out", "--", "server", "-y", "--flag"];
  await ends(runCommand([...words, ...program], { home, cwd: "/" }), 0);
  const after = await text();
  assert.match(after, /\[backends\.web\]\nurl = "http:\/\/localhost:1\/mcp"\n/);
  assert.match(after, /X-Key = "secret:web"/);
  assert.match(after, /command = "server"\nargs = \["-y", "--flag"\]\ncwd = "\/sub"\nenabled = false\n/);
  assert.match(after, /A = "\$\{A\}"\nB = "\$\{C\}"\nTOKEN = "written-out"/);
  // A program takes the place of the address, headers and all.
  await ends(run("backends edit web -- server"), 0);
  assert.doesNotMatch(await text(), /localhost|X-Key/);
  // An address takes the place of a program, with its folder, if it has one, and its variables.
  assert.equal((await run("backends add q --disabled -- server")).code, 0);
  for (const name of ["p", "q"]) {
    await ends(run("backends edit", name, "--url", "http://localhost:1/mcp"), 0);
    assert.match(await text(), new RegExp(`\\[backends\\.${name}\\]\nenabled = false\nurl = "http`));
  }
  assert.equal((await runCommand(["config", "validate"], { home })).code, 0);
});

test("E2 a typing error is reported, and nothing is written", async (t) => {
  const { run, text } = await startRig(t, { monitor: false, backends: '[backends.files]\ncommand = "x"\n' });
  const before = await text();
  const cases: readonly (readonly [args: readonly string[], words: RegExp])[] = [
    [["add", "1st", "--", "x"], /cannot name a server/],
    [["add", "a"], /neither was given/],
    [["add", "a", "--url", "http://x/", "--", "y"], /both were given/],
    [["add", "a", "--transport", "sse", "--url", "http://x/"], /--transport sse is not known/],
    [["add", "a", "-H", "nothing", "--url", "http://x/"], /--header 'Name: value'/],
    [["add", "a", "--set", "timeouts.call=never", "--", "x"], /timeouts\.call/],
    [["add", "a", "npx", "-y", "x"], /come after --/],
    [["edit", "file", "--group", "g"], /no server named "file"[\s\S]*did you mean files/],
    [["edit", "files"], /no change was given/],
    [["remove", "other"], /no server named "other"/],
    [["enable", "other"], /no server named "other"/],
    [["enable", "files", "--wait", "soon"], /number of seconds/],
  ];
  for (const [args, words] of cases) {
    const { code, stderr } = await run("backends", ...args);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, words, args.join(" "));
  }
  assert.equal(await text(), before);
});
