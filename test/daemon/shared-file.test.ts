// One configuration file in a git checkout, which several machines read through a link: real services, real git.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { findProgram } from "../../src/runtime/process/find-program.ts";
import { runCommand } from "../cli/command-line.ts";
import { ends } from "../support/ends.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { createServiceRig, type RunningService } from "./service-rig.ts";

const gitFile = await findProgram("git", (process.env["PATH"] ?? "").split(":"));
const needsGit = { skip: gitFile === null ? "git is not installed" : false };

async function git(folder: string, ...args: readonly string[]): Promise<void> {
  const who = ["-c", "user.name=ann", "-c", "user.email=ann@example.com", "-c", "pull.rebase=false"];
  await promisify(execFile)("git", ["-C", folder, ...who, ...args]);
}

/** A repository with the text, and a person's clone of it. */
async function repository(t: TestContext, text: string) {
  const folder = await temporaryFolder(t);
  const [origin, desk] = [join(folder, "origin"), join(folder, "desk")];
  await mkdir(origin);
  await git(origin, "init", "--quiet", "--bare", "--initial-branch=main");
  await git(folder, "clone", "--quiet", origin, desk);
  const push = async (next: string): Promise<void> => {
    await writeFile(join(desk, "config.toml"), next, { mode: 0o600 });
    await git(desk, "add", "config.toml");
    await git(desk, "commit", "--quiet", "--message", "change");
    await git(desk, "push", "--quiet", "origin", "HEAD:main");
  };
  await push(text);
  return { origin, push };
}

/** A machine whose configuration file is a link into its own clone. */
async function machine(t: TestContext, origin: string) {
  const rig = await createServiceRig(t);
  const clone = join(rig.folder, "clone");
  await git(rig.folder, "clone", "--quiet", "--branch", "main", origin, clone);
  await symlink(join(clone, "config.toml"), rig.configFile);
  const pull = (): Promise<void> => git(clone, "pull", "--quiet", "origin", "main");
  return { clone, pull, home: rig.home, running: await rig.start() };
}

function backendsOf({ service }: RunningService): readonly string[] {
  return (service.control.status().backends ?? []).map(({ name }) => name);
}

const settings = (port: number): string =>
  `[sync]\npoll_interval = 0.05\ndebounce = 0.05\n[server]\nport = ${port}\n`;
const remote = (name: string): string => `[backends.${name}]\nurl = "http://127.0.0.1:9/${name}"\n`;

test("B5 two machines read one checkout: each applies a commit when it pulls it", needsGit, async (t) => {
  const text = settings(await freePort());
  const { origin, push } = await repository(t, text);
  const [one, other] = [await machine(t, origin), await machine(t, origin)];
  await push(text + remote("common"));
  await one.pull();
  await eventually(() => backendsOf(one.running).join() === "common");
  assert.deepEqual(backendsOf(other.running), [], "the other machine has not pulled it");
  await other.pull();
  await eventually(() => backendsOf(other.running).join() === "common");
});

test('E2 with approve = "all" a pulled commit waits, and what ran keeps running', needsGit, async (t) => {
  const share = (host: string): string => `[[shares]]\nname = "CORE"\nfallback_host = "${host}"\n`;
  const port = await freePort();
  const trust = '[trust]\napprove = "all"\n';
  const { origin, push } = await repository(t, trust + settings(port) + remote("web") + share("127.0.0.1"));
  const { running, pull } = await machine(t, origin);
  const program = `[backends.program]\ncommand = "${process.execPath}"\n`;
  const web = remote("web").replace("/web", "/evil");
  await push(
    `${trust}${settings(port)}public_url = "https://evil.example"\n${web}${share("127.0.0.2")}${program}`,
  );
  await pull();
  const { control } = running.service;
  const waiting = await eventually(() => {
    const ids = control.approvals().waiting.map(({ id }) => id);
    return ids.length > 0 && ids;
  });
  // The keys of `[server]` wait with those of who may sign in.
  assert.deepEqual(waiting.toSorted(), ["backends.program", "backends.web", "incoming_auth", "shares.CORE"]);
  const held = (control.status().backends ?? []).find(({ name }) => name === "program");
  assert.deepEqual([held?.pid ?? null, held?.instances ?? 0], [null, 0]);
  assert.match(control.status().gateway?.url ?? "", new RegExp(`:${port}/`));
});

test(
  "B6 a pull that leaves conflict marks is rejected at their line, and what ran keeps running",
  needsGit,
  async (t) => {
    const text = settings(await freePort());
    const { origin, push } = await repository(t, text + remote("web"));
    const { running, clone, pull } = await machine(t, origin);
    await writeFile(join(clone, "config.toml"), text + remote("mine"));
    await eventually(() => backendsOf(running).join() === "mine");
    await git(clone, "commit", "--quiet", "--all", "--message", "mine");
    await push(text + remote("theirs"));
    await assert.rejects(pull());
    const lines = (await readFile(join(clone, "config.toml"), "utf8")).split("\n");
    const marked = lines.findIndex((line) => line.startsWith("<<<<<<<")) + 1;
    const found = await eventually(() => running.service.control.sync().last_error);
    assert.ok(found.reason.includes(`config.toml:${marked}:`), found.reason);
    assert.deepEqual(backendsOf(running), ["mine"]);
  },
);

test("`config set` reports that it changed a file in a git work tree", needsGit, async (t) => {
  const { origin } = await repository(t, "[global]\ncheck_interval_secs = 2\n");
  const folder = await temporaryFolder(t);
  const [home, clone] = [join(folder, "home"), join(folder, "clone")];
  await git(folder, "clone", "--quiet", "--branch", "main", origin, clone);
  await mkdir(home, { mode: 0o700 });
  await symlink(join(clone, "config.toml"), join(home, "config.toml"));
  const set = () => runCommand(["config", "set", "global.check_interval_secs", "3"], { home });
  await ends(set(), 0, new RegExp(`is 3 \\(it was 2\\), in the git work tree .*${clone}: commit it there\n`));
  assert.doesNotMatch((await set()).stdout, /work tree/, "nothing was changed");
  assert.match(await readFile(join(clone, "config.toml"), "utf8"), /= 3/);
});
