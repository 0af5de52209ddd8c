// Programs in a sandbox, by the real bubblewrap: what they see, what they may write, and that they end.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readdir, readFile, realpath, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join, resolve } from "node:path";
import { type TestContext, test } from "node:test";
import type { SandboxConfig } from "../../../../../src/config/snapshot.ts";
import {
  type ProgramSandbox,
  sandboxArguments,
  sandboxFailure,
} from "../../../../../src/gateway/backends/transports/stdio/sandbox.ts";
import { openStdioTransport } from "../../../../../src/gateway/backends/transports/stdio/stdio-transport.ts";
import { Warden } from "../../../../../src/gateway/backends/transports/stdio/warden.ts";
import { noopLogger as logger } from "../../../../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../../../../src/runtime/time/clock.ts";
import { LIGHT_SERVER } from "../../../../mcp/fixture-programs.ts";
import { eventually } from "../../../../support/eventually.ts";
import { missingForSandbox } from "../../../../support/sandbox.ts";
import { temporaryFolder } from "../../../../support/temporary-folder.ts";
import { openRecorded, type RecordedLink } from "../link-recorder.ts";

const withBubblewrap = { skip: missingForSandbox() ?? false };

/** A user's home folder with Mountaineer's in it. */
async function scene(t: TestContext) {
  const warden = new Warden({ clock, logger });
  const links: RecordedLink[] = [];
  t.after(async () => {
    for (const { link } of links) await link.close();
    await warden[Symbol.asyncDispose]();
  });
  const userHome = await temporaryFolder(t);
  await chmod(userHome, 0o755);
  const home = join(userHome, ".mountaineer");
  await mkdir(join(userHome, "Documents"));
  await mkdir(home);
  await writeFile(join(userHome, "private.txt"), "private");
  await writeFile(join(userHome, "Documents", "letter.txt"), "letter");
  await writeFile(join(home, "secrets.json"), "secret");
  const guarded = { homes: [home], configs: [join(home, "config.toml")], userHome };
  const sandbox = (change: Partial<SandboxConfig> = {}): ProgramSandbox => ({
    config: { kind: "bubblewrap", read: [], write: [], network: false, ...change },
    guarded,
  });
  const start = (command: string, args: string[], change?: Partial<SandboxConfig>, cwd = "/") => {
    const env = { HOME: userHome };
    const options = { command, args, env, cwd, warden, clock, sandbox: sandbox(change) };
    const recorded = openRecorded(openStdioTransport(options));
    links.push(recorded);
    return recorded;
  };
  return {
    userHome,
    home,
    sandbox,
    start,
    /** What a shell in the sandbox writes to stderr, line by line, and then `done`. */
    async say(script: string, change?: Partial<SandboxConfig>): Promise<readonly string[]> {
      const recorded = start("sh", ["-c", `exec 1>&2; ${script}\necho done; cat >/dev/null`], change);
      await eventually(() => recorded.logLines.includes("done"));
      return recorded.logLines.filter((line) => line !== "done");
    },
  };
}

test(
  "E2 a sandboxed program sees only the listed paths, and nothing of the home",
  withBubblewrap,
  async (t) => {
    const { userHome, home, say } = await scene(t);
    const look = `cat ${userHome}/private.txt ${home}/secrets.json 2>/dev/null || echo closed; ls -A ${userHome} | tr '\\n' ' '`;
    assert.deepEqual(await say(look), ["closed"]);
    const read = { read: [join(userHome, "Documents")] };
    assert.deepEqual(await say(`${look}; echo; cat ${userHome}/Documents/letter.txt; echo`, read), [
      "closed",
      "Documents ",
      "letter",
    ]);
  },
);

test("E2 naming the whole home shows it without Mountaineer's own folder", withBubblewrap, async (t) => {
  const { userHome, home, say } = await scene(t);
  for (const change of [
    { read: [userHome] },
    { write: [userHome] },
    { read: ["/"] },
    { write: [dirname(userHome)] },
  ]) {
    const shown = await say(`cat ${userHome}/private.txt; echo; ls -A ${home}; echo empty`, change);
    // Above the home folder, that is hidden as ever.
    const isHidden = !Object.values(change).flat().includes(userHome);
    assert.deepEqual(shown.at(-1), "empty");
    assert.ok(!shown.some((line) => line.includes("secrets")), shown.join());
    assert.equal(shown[0] === "private", !isHidden, shown.join());
  }
  assert.equal(await readFile(join(home, "secrets.json"), "utf8"), "secret");
});

test("E2 a home and a configuration among the system's folders are hidden as well", () => {
  const config = { kind: "bubblewrap", read: [], write: [], network: false } as const;
  const guarded = { homes: ["/opt/mountaineer"], configs: ["/etc/mountaineer.toml"], userHome: "/home/ann" };
  const made = sandboxArguments({ config, guarded }, "/");
  assert.ok(!("kind" in made), JSON.stringify(made));
  const text = made.join(" ");
  const [shown, hidden] = ["--ro-bind-try /opt /opt", "--tmpfs /opt/mountaineer"].map((one) =>
    text.indexOf(one),
  );
  assert.ok(shown !== undefined && hidden !== undefined && shown !== -1 && shown < hidden, text);
  assert.match(text, /--ro-bind \/dev\/null \/etc\/mountaineer\.toml/);
});

test("E2 a sandbox has its own /proc, even where the system's is listed", withBubblewrap, async (t) => {
  const { say } = await scene(t);
  const outside = `test -e /proc/${process.pid}/status && echo seen || echo hidden; test -e /proc/self/status && echo own`;
  for (const change of [{ read: ["/proc"] }, { write: ["/proc", `/proc/${process.pid}`] }, { read: ["/"] }])
    assert.deepEqual(await say(outside, change), ["hidden", "own"]);
});

test(
  "E2 a link in the place of a listed folder shows nothing of Mountaineer's own",
  withBubblewrap,
  async (t) => {
    const { userHome, home, start, say } = await scene(t);
    const named = join(userHome, "Documents");
    await symlink(named, join(userHome, "fine"));
    assert.deepEqual(await say(`cat ${userHome}/fine/letter.txt; echo`, { read: [join(userHome, "fine")] }), [
      "letter",
    ]);
    const inner = join(home, "history");
    await mkdir(inner);
    for (const [index, target] of [home, userHome, "/", inner].entries()) {
      const path = join(userHome, `link${index}`);
      await symlink(target, path);
      const change = { [index % 2 === 0 ? "read" : "write"]: [path] };
      const { message } = await start("cat", [], change).untilClosed();
      assert.match(message, /leads to what is hidden from it: Mountaineer's own/, target);
    }
  },
);

test("E2 a link in the place of a listed folder leads a program nowhere", withBubblewrap, async (t) => {
  const { userHome, home, say, start, sandbox } = await scene(t);
  const work = join(userHome, "work");
  const inner = join(work, "deep", "inner");
  await mkdir(inner, { recursive: true });
  const change = { write: [work], read: [inner] };
  const look = `ls -A ${inner} | tr '\\n' ' '; cat ${home}/secrets.json 2>/dev/null || echo closed`;
  assert.deepEqual(await say(look, change), ["closed"]);
  const swap = `cd ${work} && mv deep was && mkdir deep && ln -s ../.. deep/inner && echo swapped`;
  assert.deepEqual(await say(swap, change), ["swapped"]);
  const next = await start("sh", ["-c", `${look}; echo started`], change).untilClosed();
  assert.match(next.message, /deep\/inner leads elsewhere, and its sandbox is to show it/);
  // Where it is swapped while bubblewrap looks, the home is hidden all the same.
  const raced = sandboxArguments(sandbox(change), "/");
  assert.ok(!("kind" in raced));
  const found = spawnSync("bwrap", [...raced, "sh", "-c", look], { encoding: "utf8" });
  assert.ok(found.stdout.endsWith("closed\n"), found.stdout + found.stderr);
});

test("E2 it writes only to allowed paths; its /tmp is its own", withBubblewrap, async (t) => {
  const { userHome, say } = await scene(t);
  const documents = join(userHome, "Documents");
  const tries = ["/usr/x", "/etc/x", `${documents}/x`, `${userHome}/x`, "/tmp/x-of-the-sandbox"];
  const script = tries
    .map((path) => `if (echo x >${path}) 2>/dev/null; then echo yes; else echo no; fi`)
    .join("; ");
  assert.deepEqual(await say(script, { read: [documents] }), ["no", "no", "no", "yes", "yes"]);
  assert.deepEqual(await say(script, { write: [documents] }), ["no", "no", "yes", "yes", "yes"]);
  // In its own home folder and /tmp it wrote into what went with it.
  assert.deepEqual((await readdir(userHome)).sort(), [".mountaineer", "Documents", "private.txt"]);
  assert.deepEqual((await readdir(documents)).sort(), ["letter.txt", "x"]);
  assert.ok(!(await readdir("/tmp")).includes("x-of-the-sandbox"));
});

test("E2 it reaches no network, not even this machine, unless that is allowed", withBubblewrap, async (t) => {
  const { start } = await scene(t);
  const server = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const text = `import { connect } from "node:net";
const socket = connect(${address.port}, "127.0.0.1");
socket.on("connect", () => console.error("connected"));
socket.on("error", ({ code }) => console.error(code));
process.stdin.resume();`;
  const read = [dirname(dirname(process.execPath))];
  const args = ["--input-type=module", "-e", text];
  const closed = start(process.execPath, args, { read });
  await eventually(() => closed.logLines.some((line) => /ECONNREFUSED|ENETUNREACH/.test(line)));
  const open = start(process.execPath, args, { read, network: true });
  await eventually(() => open.logLines.includes("connected"));
});

test("E2 it sees no process but its own", withBubblewrap, async (t) => {
  const { say } = await scene(t);
  const [count] = await say("ls /proc | grep -c '^[0-9]'");
  assert.ok(Number(count) < 10, String(count));
});

test("E2 a real server works in it", withBubblewrap, async (t) => {
  const { start } = await scene(t);
  // The server's modules stand all over the checkout.
  const checkout = resolve(import.meta.dirname, "../../../../..");
  const modules = await realpath(join(checkout, "node_modules"));
  const real = [checkout, modules, dirname(dirname(process.execPath))];
  const recorded = start(process.execPath, [LIGHT_SERVER], { read: real });
  assert.match(JSON.stringify(await recorded.initialize()), /"serverInfo"/);
  await recorded.link.close();
});

test(
  "E2 an obstacle to its start is reported, and it is never started without a sandbox",
  withBubblewrap,
  async (t) => {
    const { start, sandbox, userHome } = await scene(t);
    const gone = await start("no-such-program", []).untilClosed();
    assert.match(gone.message, /no-such-program is not installed, or its sandbox does not show it/);
    const unshown = await start("sh", [], { read: [join(userHome, "nothing")] }).untilClosed();
    assert.match(unshown.message, /nothing, which its sandbox is to show, does not exist/);
    const option = await start("--version", []).untilClosed();
    assert.match(option.message, /cannot start --version/);

    const { PATH } = process.env;
    process.env["PATH"] = "/nonexistent";
    t.after(() => {
      process.env["PATH"] = PATH;
    });
    const without = await start("/bin/sh", ["-c", "echo started >&2"]).untilClosed();
    assert.match(without.message, /bubblewrap, which its sandbox needs, is not installed/);
    process.env["PATH"] = PATH;

    const elsewhere = { ...sandbox({ read: ["/srv"] }) };
    const wrapped = sandboxArguments(
      { ...elsewhere, guarded: { ...elsewhere.guarded, configs: ["/srv/mountaineer/config.toml"] } },
      "/",
    );
    assert.ok("kind" in wrapped);
    assert.match(wrapped.message, /would show Mountaineer's configuration, through \/srv/);
  },
);

test("E2 a command that bubblewrap would read as an option is not a program", async (t) => {
  const { start } = await scene(t);
  for (const command of ["--bind", ""])
    assert.match((await start(command, []).untilClosed()).message, /^cannot start .*: it is not installed$/u);
});

test("E2 bubblewrap's message on a system that refuses it has a hint", () => {
  for (const said of [
    "No permissions to create new namespace, likely because the kernel does not allow non-privileged user namespaces.",
    "setting up uid map: Permission denied",
    "Creating new namespace failed: Operation not permitted",
    "loopback: Failed RTM_NEWADDR: Operation not permitted",
  ]) {
    const [reason = "", hint = ""] = sandboxFailure(`bwrap: ${said}`, "server") ?? [];
    assert.match(reason, /lets only root/);
    assert.match(hint, /docs\/reference\/security\.md/);
  }
  assert.equal(sandboxFailure("Error: of the server itself", "server"), null);
});

test("E2 nothing of it survives a kill -9 of the daemon", withBubblewrap, async (t) => {
  const parent = join(import.meta.dirname, "../../programs/link-parent.ts");
  // One in the group, and one that left it.
  const script = "sleep 600.25 & setsid sleep 600.25 & echo up >&2; wait";
  const child = spawn(process.execPath, [parent, "2", "sh", "-c", script], {
    env: { ...process.env, SANDBOXED: "1" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  let told = "";
  child.stdout.on("data", (piece: Buffer) => {
    told += piece;
  });
  await eventually(() => told.includes("\n"));
  await eventually(async () => (await sleepers()) === 4);
  child.kill("SIGKILL");
  await eventually(async () => (await sleepers()) === 0);
});

async function sleepers(): Promise<number> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")),
  );
  return lines.filter((line) => line === "sleep\x00600.25\x00").length;
}
