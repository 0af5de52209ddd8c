import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { mixedLine, unreadableAnswer } from "../../../../../src/gateway/backends/transports/odd-output.ts";
import {
  openStdioTransport,
  type StdioTransportOptions,
} from "../../../../../src/gateway/backends/transports/stdio/stdio-transport.ts";
import { Warden } from "../../../../../src/gateway/backends/transports/stdio/warden.ts";
import { noopLogger as logger } from "../../../../../src/runtime/log/log.ts";
import { TEXT_BOUNDS } from "../../../../../src/runtime/text/bounds.ts";
import { systemClock as clock } from "../../../../../src/runtime/time/clock.ts";
import { assertEach } from "../../../../support/assert-each.ts";
import { eventually } from "../../../../support/eventually.ts";
import { createManualClock, type ManualClock, settle } from "../../../../support/manual-clock.ts";
import { runOutOfFiles } from "../../../../support/out-of-files.ts";
import { pluck } from "../../../../support/pluck.ts";
import { temporaryFolder } from "../../../../support/temporary-folder.ts";
import { LINUX_ALONE } from "../../../../support/where.ts";
import { openRecorded, type RecordedLink } from "../link-recorder.ts";

/** A link to a program until the test ends. */
function run(
  t: TestContext,
  command: string,
  args: string[],
  more: Partial<StdioTransportOptions> = {},
): RecordedLink {
  const warden = new Warden({ clock, logger });
  const recorded = openRecorded(
    openStdioTransport({ command, args, env: {}, cwd: "/", warden, clock, ...more }),
  );
  t.after(async () => {
    await recorded.link.close();
    await warden[Symbol.asyncDispose]();
    // Else the next test counts its pipe: a warden may outlast the time that it gets, and its pipe closes after it.
    await eventually(() => warden.pid === null);
    await settle();
  });
  return recorded;
}

/** As `run`, with a clock that stands still until the test moves it: no deadline comes too soon for a slow machine. */
function runStill(
  t: TestContext,
  text: string,
  more: Partial<StdioTransportOptions> = {},
): { recorded: RecordedLink; manual: ManualClock } {
  const manual = createManualClock();
  const recorded = script(t, text, { ...more, clock: manual });
  // Before the link's own end, which waits for the clock.
  t.after(() => recorded.link.pid !== null && endGroup(recorded.link.pid));
  return { recorded, manual };
}

/** False when nothing is in it. */
function endGroup(group: number): boolean {
  try {
    return process.kill(-group, "SIGKILL");
  } catch {
    return false;
  }
}

const script = (t: TestContext, text: string, more: Partial<StdioTransportOptions> = {}): RecordedLink =>
  run(t, "sh", ["-c", text], more);

const program = (t: TestContext, text: string, more: Partial<StdioTransportOptions> = {}): RecordedLink =>
  run(t, process.execPath, ["--input-type=module", "-e", text], more);

test("each reason why a program does not start has its own message", async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  await writeFile(at("plain"), "#!/bin/sh\n");
  await writeFile(at("no-interpreter"), "#!/no/such/interpreter\n");
  await chmod(at("no-interpreter"), 0o755);
  const cases: [command: string, cwd: string, words: RegExp][] = [
    ["no-such-program", "/", /^cannot start no-such-program: it is not installed, or not on PATH$/],
    [at("missing"), "/", /it is not installed/],
    ["-v", "/", /it is not installed/],
    [at("plain"), "/", /it may not be executed$/],
    [folder, "/", /it is a folder$/],
    [at("no-interpreter"), "/", /the system cannot run it$/],
    ["sh", at("nowhere"), /its folder .*\/nowhere does not exist$/],
    ["sh", at("plain"), /\/plain is not a folder$/],
  ];
  for (const [command, cwd, words] of cases) {
    const failure = await run(t, command, [], { cwd }).untilClosed();
    assert.equal(failure.kind, "unreachable", command);
    assert.match(failure.message, words);
    assert.ok(failure.hint, command);
  }
});

test("a command line in the program's place is reported with the key for its arguments", async (t) => {
  for (const [command, hint] of [
    ["no-such-program -y files", /`args`/],
    ["no-such-program", /absolute path/],
  ] as const) {
    assert.match((await run(t, command, []).untilClosed()).hint ?? "", hint);
  }
});

test("without a free descriptor a program does not start, which is reported, and nothing else ends", async () => {
  const of = (file: string): string => new URL(`../../../../../src/${file}`, import.meta.url).href;
  const told = await runOutOfFiles(
    `import { openStdioTransport } from "${of("gateway/backends/transports/stdio/stdio-transport.ts")}";
     import { Warden } from "${of("gateway/backends/transports/stdio/warden.ts")}";
     import { systemClock as clock } from "${of("runtime/time/clock.ts")}";
     import { noopLogger as logger } from "${of("runtime/log/log.ts")}";`,
    `const warden = new Warden({ clock, logger });
     const open = openStdioTransport({ command: "cat", args: [], env: {}, cwd: "/", warden, clock });
     const failure = await new Promise((onClosed) =>
       open({ onMessage: () => null, onRequestFailed() {}, onOddity() {}, onLogLine() {}, onClosed }));
     console.log(failure.kind, failure.message);
     console.log(failure.hint);
     await warden[Symbol.asyncDispose]();
     console.log("lives");`,
  );
  const [failure, hint, end] = told.split("\n");
  assert.equal(failure, "unreachable cannot start cat: too many files are open");
  assert.match(hint ?? "", /ulimit -n/);
  assert.equal(end, "lives");
});

test("a program's own exit with 127 is not a failure to start", async (t) => {
  const failure = await script(t, "echo mine >&2; exit 127").untilClosed();
  assert.deepEqual([failure.kind, failure.message], ["closed", "ended with exit code 127: mine"]);
});

test("the program gets its arguments unchanged, its folder, its variables, and none of the daemon's", async (t) => {
  const folder = join(await temporaryFolder(t), "a folder $(x)");
  await mkdir(folder);
  process.env["MOUNTAINEER_TEST_SECRET"] = "leak";
  t.after(() => delete process.env["MOUNTAINEER_TEST_SECRET"]);
  const text = `console.log(JSON.stringify({ args: process.argv.slice(1), cwd: process.cwd(), env: process.env }));`;
  const args = ["$(touch x)", "a b", "", "*", "'\"", "ü", "-n"];
  const recorded = run(t, process.execPath, ["-e", text, "--", ...args], {
    cwd: folder,
    env: { OWN: "a\nb $HOME", PATH: "/usr/bin:/bin" },
  });
  await recorded.untilClosed();
  const told = JSON.parse(JSON.stringify(recorded.received[0]?.message));
  assert.deepEqual(told.args, args);
  assert.equal(told.cwd, folder);
  assert.equal(told.env.OWN, "a\nb $HOME");
  assert.equal(told.env.PATH, "/usr/bin:/bin");
  assert.equal(told.env.MOUNTAINEER_TEST_SECRET, undefined);
  assert.equal(told.env.OLDPWD, undefined);
});

test("the program has no descriptor of ours except its three", {
  skip: LINUX_ALONE,
}, async (t) => {
  const recorded = script(t, "cat; :");
  const { pid } = recorded.link;
  await eventually(async () => /\/cat$|sh$/.test(await readlink(`/proc/${pid}/exe`)));
  await eventually(() =>
    readlink(`/proc/${pid}/fd/3`).then(
      () => false,
      () => true,
    ),
  );
});

test("the program ignores only signals that it chose to", {
  skip: LINUX_ALONE,
}, async (t) => {
  const recorded = script(t, "grep SigIgn /proc/self/status >&2");
  await recorded.untilClosed();
  assert.deepEqual(recorded.logLines, ["SigIgn: 0000000000000000"]);
});

test("a variable that no shell could pass on is refused, not lost", async (t) => {
  const failure = await script(t, ":", { env: { "A.B": "x" } }).untilClosed();
  assert.match(failure.message, /"A\.B" cannot name an environment variable/);
});

test("all of a program's output is read before its end is reported, including an unfinished line", async (t) => {
  const recorded = program(
    t,
    `process.stdout.write(JSON.stringify({ n: 1, pad: "x".repeat(300_000) }) + "\\n" + JSON.stringify({ n: 2 }));
     process.stderr.write("one\\ntwo"); process.exitCode = 3;`,
  );
  const failure = await recorded.untilClosed();
  assertEach(recorded.received, ({ message }) => Reflect.get(Object(message), "n"), [1, 2]);
  assert.equal(failure.message, "ended with exit code 3: two");
  assert.deepEqual(recorded.logLines, ["one", "two"]);
});

test("output of a process that a program left behind is read before its end is reported, with standard error long closed", {
  skip: LINUX_ALONE,
}, async (t) => {
  const child = "setsid sh -c 'echo up; sleep 0.3; echo late' &";
  const { recorded } = runStill(t, `exec 2>&-; ${child} read -r go; exit 3`);
  // What is no JSON is a log line.
  await eventually(() => recorded.logLines.length === 1);
  recorded.link.send({ jsonrpc: "2.0", method: "go" });
  await recorded.untilClosed();
  assert.deepEqual(recorded.logLines, ["up", "late"]);
});

test("an end by a signal names it", async (t) => {
  const failure = await script(t, "kill -SEGV $$").untilClosed();
  assert.deepEqual(failure, { kind: "closed", message: "was ended by SIGSEGV", hint: null });
});

test("a flood of lines that are not JSON closes the transport, and the program with it", async (t) => {
  const { recorded } = runStill(t, "yes garbage");
  const failure = await recorded.untilClosed();
  assert.equal(failure.kind, "protocol");
  assert.match(failure.message, /is not MCP/);
  await recorded.link.close();
  assert.throws(() => process.kill(recorded.link.pid ?? 0, 0));
});

test("one message at a time is sent at once, several in a turn are sent together, and all arrive in order", async (t) => {
  const { link, received } = program(
    t,
    `import { createInterface } from "node:readline";
    for await (const line of createInterface({ input: process.stdin })) console.log(line);`,
  );
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  /** Whether each of these waited for the end of the turn that they are sent in. */
  const sent = async (...texts: readonly string[]): Promise<readonly boolean[]> => {
    const waited = texts.map((text) => {
      link.send({ jsonrpc: "2.0", method: "notifications/test", params: { text } });
      return link.backlogBytes > 0;
    });
    await turn();
    return waited;
  };
  assert.deepEqual(await sent("1"), [false]);
  assert.deepEqual(await sent("2"), [false]);
  assert.deepEqual(await sent("3", "4", "5"), [false, true, true]);
  assert.deepEqual(await sent("6", "7"), [true, true], "the turn before had several");
  assert.deepEqual(await sent("8"), [true], "the turn before had several");
  assert.deepEqual(await sent("9"), [false]);
  await sent("10", "11", "x".repeat(20_000), "12");
  await eventually(() => received.length === 13);
  const texts = received.map(({ message }) => (message as { params: { text: string } }).params.text);
  assert.deepEqual(
    texts.map((text) => text.slice(0, 2)),
    ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "xx", "12"],
  );
});

test("an endless line closes the transport as overloaded", async (t) => {
  const recorded = script(t, "tr '\\0' x </dev/zero", { limitBytes: 1_000_000 });
  const failure = await recorded.untilClosed();
  assert.equal(failure.kind, "overloaded");
});

test("log lines contain no control characters, no secrets, and are cut at 4 KiB", async (t) => {
  const recorded = program(
    t,
    `console.error("\\u001b[31mred\\u001b[0m\\u0007 key=s3cret/1"); console.error("x".repeat(10_000)); process.exit(1)`,
    { secrets: ["s3cret/1"] },
  );
  await recorded.untilClosed();
  assert.equal(recorded.logLines[0], "red\\x07 key=[redacted]");
  assert.equal(recorded.logLines[1], `${"x".repeat(4_096)}…`);
});

test("the failure's last line is also redacted", async (t) => {
  const failure = await script(t, "echo bad token s3cret >&2; exit 1", { secrets: ["s3cret"] }).untilClosed();
  assert.equal(failure.message, "ended with exit code 1: bad token [redacted]");
});

test("of a flood on stderr parts are read at intervals, and requests are answered throughout", async (t) => {
  const { recorded, manual } = runStill(t, "yes flood >&2 & exec cat");
  const isPaused = () => manual.pendingTimers === 1;
  await eventually(isPaused);
  for (let count = 0; count < 20; count++) {
    recorded.link.send({ jsonrpc: "2.0", id: count, result: {} });
    await eventually(() => recorded.received.length > count);
  }
  assert.equal(recorded.logLines.length, 2_000, "of one second");
  let pieces = 1;
  for (; recorded.logLines.length === 2_000; pieces++) {
    await manual.advance(5);
    await eventually(isPaused);
  }
  assert.ok(pieces <= 202, `${pieces} pieces in a second`);
  const dropped = Number(/^\((\d+) bytes of log were dropped/.exec(recorded.logLines[2_000] ?? "")?.[1]);
  assert.ok(dropped > 0 && dropped <= pieces * 64 * 1024, `${dropped} bytes in ${pieces} pieces`);
  assert.ok(recorded.logLines.length <= 4_001, `${recorded.logLines.length} lines`);
});

test("a program that never reads its input is overloaded, request for request, and never throws", async (t) => {
  const { recorded, manual } = runStill(t, "echo up >&2; sleep 600; :", { limitBytes: 200_000 });
  await eventually(() => recorded.logLines.length === 1);
  const pad = "x".repeat(50_000);
  for (let count = 0; count < 20; count++) {
    recorded.link.send({ jsonrpc: "2.0", id: count, method: "echo", params: { pad } });
  }
  recorded.link.send({ jsonrpc: "2.0", method: "notifications/cancelled" });
  assert.equal(recorded.failed.size, 0);
  assert.ok(recorded.link.backlogBytes > 200_000 && recorded.link.backlogBytes < 400_000);
  const failure = await eventually(() => recorded.failed.get(19));
  assert.equal(failure.kind, "overloaded");
  assert.match(failure.message, /does not read its input/);
  assert.ok(!recorded.failed.has(0));
  const closing = recorded.link.close();
  await manual.advance(1_000);
  await closing;
  assert.throws(() => process.kill(recorded.link.pid ?? 0, 0));
});

test("a program that closes its output and keeps running closes the transport, and its last lines are read", async (t) => {
  const recorded = script(t, `echo '{"n":1}'; exec >&-; sleep 600`);
  const failure = await recorded.untilClosed();
  assert.deepEqual(failure, { kind: "closed", message: "it has closed its standard output", hint: null });
  assert.deepEqual(pluck(recorded.received, "message"), [{ n: 1 }]);
});

test("a program that closes its input and keeps running closes the transport", async (t) => {
  const recorded = script(t, "exec <&-; echo up >&2; sleep 600");
  await eventually(() => recorded.logLines.length === 1);
  recorded.link.send({ jsonrpc: "2.0", id: 1, method: "echo" });
  recorded.link.send({ jsonrpc: "2.0", id: 2, method: "echo" });
  const failure = await recorded.untilClosed();
  assert.equal(failure.kind, "closed");
  assert.match(failure.message, /accepts no further input/);
});

test("sending to a program that just ended is not an error", async (t) => {
  const { recorded } = runStill(t, "exit 0");
  for (let count = 0; count < 100; count++) {
    recorded.link.send({ jsonrpc: "2.0", id: count, method: "echo", params: { pad: "x".repeat(10_000) } });
    if (count % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal((await recorded.untilClosed()).message, "ended with exit code 0");
});

test("a paused reader still gets all output from before the end", async (t) => {
  const recorded = program(
    t,
    `for (let n = 0; n < 3000; n++) process.stdout.write(JSON.stringify({ n, pad: "x".repeat(1000) }) + "\\n");`,
  );
  recorded.hold = () => (recorded.received.length % 500 === 0 ? clock.sleep(100) : null);
  await recorded.untilClosed();
  assert.equal(recorded.received.length, 3_000);
});

test("output of a process that a program left behind is read however long the reader is paused", {
  skip: LINUX_ALONE,
}, async (t) => {
  const go = join(await temporaryFolder(t), "go");
  await promisify(execFile)("mkfifo", [go]);
  const big = `head -c 300000 /dev/zero | tr "\\0" " "; printf "{\\"n\\":2}\\n{\\"n\\":3}\\n"`;
  const child = `setsid sh -c 'echo up >&2; read -r x <${go}; echo "{\\"n\\":1}"; ${big}' &`;
  const { recorded, manual } = runStill(t, `${child} read -r go; exit 3`);
  const { promise: isFree, resolve: letGo } = Promise.withResolvers<void>();
  recorded.hold = () => [null, isFree, settle()][recorded.received.length] ?? null;
  await eventually(() => recorded.logLines.length === 1);
  recorded.link.send({ jsonrpc: "2.0", method: "go" });
  await eventually(() => manual.pendingTimers === 1);
  await writeFile(go, "\n");
  await eventually(() => recorded.received.length === 1);
  for (let look = 0; look < 3; look++) await manual.advance(500);
  letGo();
  await recorded.untilClosed();
  assertEach(recorded.received, ({ message }) => Reflect.get(Object(message), "n"), [1, 2, 3]);
});

test("a program that closes its output is not ended while the reader is paused", async (t) => {
  const { recorded, manual } = runStill(t, `printf '{"n":1}\\n{"n":2}\\n'; exec >&-; sleep 600`);
  const { promise: isFree, resolve: letGo } = Promise.withResolvers<void>();
  recorded.hold = () => (recorded.received.length === 1 ? isFree : null);
  await eventually(() => recorded.received.length === 1);
  for (let look = 0; look < 3; look++) await manual.advance(1_000);
  letGo();
  await eventually(() => recorded.received.length === 2 && manual.pendingTimers > 0);
  await manual.advance(1_000);
  assert.match((await recorded.untilClosed()).message, /closed its standard output/);
});

test("a program that closes its output and then exits is reported as ended, although a child of it keeps a pipe open", {
  skip: LINUX_ALONE,
}, async (t) => {
  const child = "setsid sh -c 'echo $$ >&2; exec sleep 600' >&- &";
  const { recorded, manual } = runStill(t, `${child} exec >&-; read -r go; exit 4`);
  const runaway = await eventually(() => Number(recorded.logLines[0]));
  t.after(() => process.kill(runaway, "SIGKILL"));
  await eventually(() => manual.pendingTimers === 1);
  await manual.advance(900);
  recorded.link.send({ jsonrpc: "2.0", method: "go" });
  await eventually(() => manual.pendingTimers === 2);
  await manual.advance(500);
  assert.match((await recorded.untilClosed()).message, /exit code 4/);
});

test("close first closes the input: a server that ends with it gets no signal", async (t) => {
  const { recorded } = runStill(t, "trap 'echo signalled >&2' TERM; echo up >&2; cat; exit 0");
  await eventually(() => recorded.logLines.includes("up"));
  // The clock stands still: the second after which it would be signalled never ends.
  await recorded.link.close();
  assert.throws(() => process.kill(recorded.link.pid ?? 0, 0));
});

test("close first sends the messages of the same turn", async (t) => {
  const file = join(await temporaryFolder(t), "sent");
  const { recorded } = runStill(t, `cat >${file}`);
  for (const method of ["one", "two", "three"]) recorded.link.send({ jsonrpc: "2.0", method });
  await recorded.link.close();
  assert.match(await readFile(file, "utf8"), /one.*\n.*two.*\n.*three.*\n$/);
});

test("close keeps reading for a server that would wait at a full pipe, though the reader was paused", async (t) => {
  const { recorded } = runStill(
    t,
    `echo '{"n":1}'; head -c 2000000 /dev/zero; head -c 2000000 /dev/zero >&2; cat`,
  );
  recorded.hold = () => new Promise(() => {});
  await eventually(() => recorded.received.length === 1);
  // The clock stands still, so nothing but the end of its input ends it.
  await recorded.link.close();
});

test("close waits a second for a program that was killed, and then leaves it to the warden", async (t) => {
  const handles = () => process.getActiveResourcesInfo().filter((kind) => /Process|Pipe/.test(kind)).length;
  const before = handles();
  const { recorded, manual } = runStill(t, "printf %02000d 1; exec sleep 600", { limitBytes: 1_000 });
  // As if the kernel could not end it.
  const { mock: signals } = t.mock.method(process, "kill", () => true);
  await recorded.untilClosed();
  const closing = recorded.link.close();
  await manual.advance(1_000);
  await closing;
  signals.restore();
  // The pipe to the warden is all that is left.
  await eventually(() => handles() === before + 1);
  assert.ok(process.kill(recorded.link.pid ?? 0, 0));
});

test("nothing is reported after close, not even why the transport closed in the same turn", async (t) => {
  const { recorded } = runStill(t, `printf '{"n":1}\\n%02000d' 1; exec cat`, { limitBytes: 1_000 });
  recorded.hold = () => {
    queueMicrotask(() => void recorded.link.close());
    return null;
  };
  await eventually(() => recorded.received.length === 1);
  await recorded.link.close();
  assert.deepEqual(recorded.closed, []);
});

test("close ends a server that ignores both its input and SIGTERM, with all its children, after 3 s", async (t) => {
  const { recorded, manual } = runStill(
    t,
    "trap '' TERM; (trap '' TERM; sleep 600; sleep 600) & echo up >&2; sleep 600; sleep 600",
  );
  await eventually(() => recorded.logLines.includes("up"));
  const { pid } = recorded.link;
  assert.ok(pid !== null);
  const closing = recorded.link.close();
  await manual.advance(2_999);
  assert.ok(process.kill(pid, 0));
  await manual.advance(1);
  await closing;
  assert.throws(() => process.kill(pid, 0));
  await eventually(() => !endGroup(pid));
});

test("a server's child that keeps the pipes open delays neither the end nor close", {
  skip: LINUX_ALONE,
}, async (t) => {
  // It ends when it is told to: until its child has left the group, that would end with it.
  const child = "setsid sh -c 'echo $$ >&2; exec sleep 600' &";
  const { recorded, manual } = runStill(t, `echo '{"n":1}'; ${child} read -r go; exit 4`);
  const runaway = await eventually(() => Number(recorded.logLines[0]));
  t.after(() => process.kill(runaway, "SIGKILL"));
  recorded.link.send({ jsonrpc: "2.0", method: "go" });
  await eventually(() => recorded.received.length === 1 && manual.pendingTimers === 1);
  assert.deepEqual(recorded.closed, []);
  await manual.advance(500);
  assert.match((await recorded.untilClosed()).message, /exit code 4/);
  assert.equal(recorded.received.length, 1);
});

test("30 starts and ends leave no process, descriptor or timer", {
  skip: LINUX_ALONE,
}, async (t) => {
  const warden = new Warden({ clock, logger });
  t.after(() => warden[Symbol.asyncDispose]());
  const still = createManualClock();
  const open = openStdioTransport({ command: "cat", args: [], env: {}, cwd: "/", warden, clock: still });
  const { readdir } = await import("node:fs/promises");
  const descriptors = async (): Promise<number> => (await readdir("/proc/self/fd")).length;
  await openRecorded(open).link.close();
  const before = await descriptors();
  for (let round = 0; round < 3; round++) {
    const links = Array.from({ length: 10 }, () => openRecorded(open).link);
    await Promise.all(links.map((link) => link.close()));
    for (const { pid } of links) assert.throws(() => process.kill(pid ?? 0, 0));
  }
  await eventually(() => still.pendingTimers === 0);
  await eventually(async () => (await descriptors()) <= before);
});

test("D7 a program starts in a client's folder only where that is allowed, and nothing in the folder chooses it", async (t) => {
  const folder = await temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  for (const name of ["home/work/project", "home/ours/inside", "home/work-2", "elsewhere"])
    await mkdir(at(name), { recursive: true });
  await symlink(at("elsewhere"), at("home/work/link"));
  await symlink(at("home/work/project"), at("elsewhere/link"));
  await mkdir(at("home/work/dotfiles/ours"), { recursive: true });
  await writeFile(at("home/work/dotfiles/ours/linked.toml"), "");
  await symlink("../work/dotfiles/ours/linked.toml", at("home/ours/linked.toml"));
  const guarded = {
    homes: [at("home/ours")],
    configs: [at("home/work/config.toml"), at("home/ours/linked.toml")],
    userHome: at("home"),
  };
  const env = { PATH: `${at("home/.asdf/shims")}:node_modules/.bin:${process.env["PATH"]}` };
  const start = (cwd: string, allowed: readonly string[] | null, command = "sh", args = ["-c", "pwd"]) =>
    run(t, command, args, { cwd, env, inClientFolder: { allowed, guarded } });
  const refused: [cwd: string, allowed: string, words: RegExp][] = [
    ["home/work-2", "home/work", /is not in or below one of `\[trust\]\.client_folders`/],
    ["home/work/link", "home/work", /is not in or below/],
    ["home/work/missing", "home/work", /does not exist/],
    ["home", "home", /is your home folder, or lies above it/],
    ["", "", /is your home folder, or lies above it/],
    ["home/ours", "home", /is, holds or lies in a folder of Mountaineer/],
    ["home/ours/inside", "home", /is, holds or lies in a folder of Mountaineer/],
    ["home/work", "home/work", /is, holds or lies in a folder of Mountaineer/],
    ["home/work/dotfiles", "home/work", /is, holds or lies in a folder of Mountaineer/],
  ];
  for (const [cwd, allowed, words] of refused) {
    const failure = await start(at(cwd), [at(allowed)]).untilClosed();
    assert.match(failure.message, words, cwd);
    assert.ok(failure.hint, cwd);
  }
  assert.match((await start("/", ["/"]).untilClosed()).message, /your home folder, or lies above it/);

  const lines = async (...started: Parameters<typeof start>): Promise<readonly string[]> => {
    const recorded = start(...started);
    await recorded.untilClosed();
    return recorded.logLines;
  };
  const project = at("home/work/project");
  assert.deepEqual(await lines(project, [at("home/work")]), [project]);
  assert.deepEqual(await lines(at("elsewhere/link"), [at("home/work")]), [project], "where it really is");
  const words = [
    "-c",
    'printf "%s\\n" "$@"',
    "sh",
    "--root=${client:cwd}/a:${client:cwd}",
    "$(id) $HOME",
    "",
  ];
  assert.deepEqual(await lines(project, [project], "sh", words), [
    `--root=${project}/a:${project}`,
    "$(id) $HOME",
  ]);
  assert.deepEqual(await lines(at("home/ours/none"), null), [at("home/ours/none")], "made, and of no client");

  await writeFile(join(project, "server"), "#!/bin/sh\necho of the folder\n", { mode: 0o755 });
  assert.match(
    (await start(project, [project], "./server", []).untilClosed()).message,
    /it is not installed/,
  );
  assert.match(
    (await start(project, [project], "${client:cwd}/server", []).untilClosed()).message,
    /it is not installed/,
  );
  await mkdir(at("home/.asdf/shims"), { recursive: true });
  await mkdir(join(project, "node_modules/.bin"), { recursive: true });
  for (const name of [at("home/.asdf/shims/shimmed"), join(project, "node_modules/.bin/shimmed")])
    await writeFile(name, "#!/bin/sh\n", { mode: 0o755 });
  assert.match((await start(project, [project], "shimmed", []).untilClosed()).message, /it is not installed/);
  await writeFile(at("home/server"), '#!/bin/sh\necho "${PATH%%:*}"\n', { mode: 0o755 });
  assert.deepEqual(
    await lines(project, [project], at("home/server"), []),
    [at("home")],
    "what lies beside it",
  );
  // As npx runs a server: by npm's script shell.
  await writeFile(
    at("home/npx"),
    "#!/bin/sh\npwd\nnpm_lifecycle_event=postinstall $npm_config_script_shell -c pwd\n" +
      "npm_lifecycle_event=npx exec $npm_config_script_shell -c 'pwd; echo left $MOUNTAINEER_CLIENT_FOLDER$npm_config_script_shell'\n",
    { mode: 0o755 },
  );
  assert.deepEqual(await lines(project, [project], at("home/npx"), []), [
    at("home"),
    at("home"),
    project,
    "left",
  ]);
});

test("D9 E4 a line made to be read slowly is read at once", () => {
  const begun = '{"jsonrpc":"2.0","id":1,"bad":NaN,"text":"';
  for (const [piece, end] of [
    ['\\"', ""],
    ['\\"', "\\"],
    ['"', ""],
    ["{", ""],
    ['{"', ""],
    ["NaN-", ""],
  ] as const) {
    const line = begun + piece.repeat((TEXT_BOUNDS.oddLine.most - begun.length - 1) / piece.length) + end;
    const before = performance.now();
    assert.equal(unreadableAnswer(line), null);
    assert.equal(mixedLine(line), null);
    assert.ok(performance.now() - before < 5_000, piece);
  }
  assert.equal(unreadableAnswer(`${begun}a \\" quote"}`), 1);
});
