import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmod, readdir, readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { readFleet } from "../../../src/fleet/enrollment/fleet-folder.ts";
import { findServerProgram, runningServer } from "../../../src/fleet/enrollment/server-process.ts";
import { rawOfSeed } from "../../../src/fleet/keys/nkey.ts";
import { endServer, LACKS_SERVER } from "../../fleet/enrollment/homes.ts";
import { createTestHome, type TestHome } from "../../support/daemon.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { type Scope, temporaryFolder } from "../../support/temporary-folder.ts";
import { NO_TERMINAL, openTerminal } from "../../tui/terminal.ts";
import { COMMAND, environmentOf, type Running, startCommand } from "../command-line.ts";

const REAL = { skip: LACKS_SERVER };
const STARTS_MS = 60_000;

async function homes(t: Scope): Promise<readonly [TestHome, TestHome]> {
  let folder = "";
  t.after(() => endServer(join(folder, "nas")));
  folder = await temporaryFolder(t);
  return [
    await createTestHome({ home: join(folder, "nas"), config: "# mine\n[global]\nlsof_recheck = true\n" }),
    await createTestHome({ home: join(folder, "laptop"), config: "# mine\n[global]\nlsof_recheck = true\n" }),
  ];
}

interface Invitation {
  readonly code: string;
  readonly running: Running;
}

/** `mountaineer fleet init` or `invite`, up to its code. */
async function inviting(t: Scope, { home }: TestHome, ...args: readonly string[]): Promise<Invitation> {
  const running = startCommand(["fleet", ...args], { home });
  t.after(() => running.child.kill("SIGKILL"));
  const code = await eventually(() => {
    assert.equal(running.child.exitCode, null, running.stderr());
    return /mf1_[\w-]+/.exec(running.stdout())?.[0];
  }, STARTS_MS);
  return { code, running };
}

async function began(t: Scope, nas: TestHome): Promise<Invitation> {
  return inviting(t, nas, "init", "--name", "nas", "--listen", `127.0.0.1:${await freePort()}`);
}

async function members({ home }: TestHome): Promise<readonly string[]> {
  return ((await readFleet(home))?.members ?? []).map(({ name }) => name);
}

test(
  "G1 two daemons: one starts a fleet, the other joins, and each sees the other; its server is kept running",
  REAL,
  async (t) => {
    const [nas, laptop] = await homes(t);
    await using _one = await nas.startMonitor();
    await using _two = await laptop.startMonitor();
    const { code, running } = await began(t, nas);
    const joined = await ends(laptop.cli(["fleet", "join", "--name", "laptop", "--json", code]), 0);
    assert.equal(JSON.parse(joined.stdout).name, "laptop");
    assert.equal((await running.ended).code, 0);
    assert.match(running.stdout(), /laptop has joined/);
    const sees = async (home: TestHome, other: string): Promise<boolean> => {
      const { stdout } = await home.cli(["fleet", "status", "--json"]);
      const { machines } = JSON.parse(stdout) as { machines: { name: string; presence: string }[] };
      return machines.some(({ name, presence }) => name === other && presence === "here");
    };
    await eventually(() => sees(nas, "laptop"), STARTS_MS);
    await eventually(() => sees(laptop, "nas"), STARTS_MS);
    await ends(nas.cli(["fleet", "status", "moon"]), 2, null, /no machine of the fleet is called moon/);

    const server = await runningServer(nas.home);
    assert.ok(server);
    process.kill(server.pid, "SIGKILL");
    const next = await eventually(async () => {
      const now = await runningServer(nas.home);
      return now !== null && now.pid !== server.pid;
    }, STARTS_MS);
    assert.ok(next);
    await eventually(() => sees(laptop, "nas"), STARTS_MS);

    // No key is anywhere but among the secrets.
    const seed = /SU[A-Z2-7]{56}/;
    for (const home of [nas, laptop]) {
      assert.match(await readFile(join(home.home, "secrets.json"), "utf8"), seed);
      for (const file of ["config.toml", "mountaineer.log"]) {
        assert.doesNotMatch(await readFile(join(home.home, file), "utf8"), seed, file);
      }
      assert.match(await readFile(home.configFile, "utf8"), /^# mine\n(.*\n)*\[fleet\]/);
      const waiting = (await home.status()).global.conditions.filter(
        (one) => one.code === "waiting_for_approval",
      );
      assert.deepEqual(waiting, []);
    }

    await ends(nas.cli(["fleet", "remove", "laptop"]), 0);
    await eventually(async () => {
      const { stdout } = await laptop.cli(["fleet", "status", "--json"]);
      return JSON.parse(stdout).link.state === "away";
    }, STARTS_MS);
    for (const [home, name] of [
      [laptop, "laptop"],
      [nas, "nas"],
    ] as const) {
      await ends(home.cli(["fleet", "leave"]), 0, new RegExp(`${name} has left the fleet`));
      assert.equal(await readFile(home.configFile, "utf8"), "# mine\n[global]\nlsof_recheck = true\n");
      assert.doesNotMatch(await readFile(join(home.home, "secrets.json"), "utf8"), seed);
    }
    assert.equal(await runningServer(nas.home), null);
  },
);

test(
  "G1 a join that is killed at any instant leaves a member or none, and can be repeated",
  REAL,
  async (t) => {
    const [nas, laptop] = await homes(t);
    const first = await began(t, nas);
    first.running.child.kill("SIGINT");
    assert.equal((await first.running.ended).code, 130);
    const text = (path: string): Promise<string> => readFile(join(laptop.home, path), "utf8").catch(() => "");
    const instants: readonly [string, (open: Invitation) => Promise<boolean> | boolean][] = [
      ["the address is kept", async () => (await text("fleet/member.json")) !== ""],
      ["its key is kept", async () => /SU[A-Z2-7]{56}/.test(await text("secrets.json"))],
      ["it is a member", async () => (await members(nas)).includes("laptop")],
      ["it was answered", ({ running }) => running.stdout().includes("has joined")],
      ["its file is written", async () => (await text("config.toml")).includes("[fleet]")],
    ];
    for (const [what, isThere] of instants) {
      const open = await inviting(t, nas, "invite");
      const joining = startCommand(["fleet", "join", "--name", "laptop"], {
        home: laptop.home,
        input: `${open.code}\n`,
      });
      await eventually(() => joining.child.exitCode !== null || isThere(open), STARTS_MS, 1);
      joining.child.kill("SIGKILL");
      if (joining.child.exitCode === null && joining.child.signalCode === null)
        await once(joining.child, "exit");
      const valid = await laptop.cli(["config", "validate"]);
      assert.equal(valid.code, 0, `${what}: ${valid.stderr}`);
      const again = await laptop.cli(["fleet", "join", "--name", "laptop", open.code]);
      const isIn = again.code === 2 && /in a fleet already/.test(again.stderr);
      assert.ok(again.code === 0 || isIn, `${what}: ${again.stderr}`);
      assert.equal((await open.running.ended).code, 0, what);
      assert.deepEqual(await members(nas), ["nas", "laptop"], what);
      assert.match(await text("config.toml"), /credentials = "secret:fleet-key"/, what);
      assert.equal((await laptop.cli(["fleet", "leave"])).code, 0, what);
      assert.equal((await nas.cli(["fleet", "remove", "laptop"])).code, 0, what);
    }
  },
);

test("G1 at a terminal a code is asked for and not shown", { skip: NO_TERMINAL }, async (t) => {
  const home = await temporaryFolder(t);
  const command = [...COMMAND, "fleet", "join"].map((word) => `'${word}'`).join(" ");
  await using terminal = await openTerminal({
    columns: 100,
    rows: 12,
    command,
    env: environmentOf({ home }),
  });
  await terminal.until("Code (not shown):");
  await terminal.press("mf1_", "wrong", "Enter");
  const lines = await terminal.until("not a fleet's code");
  assert.doesNotMatch(lines.join("\n"), /mf1_|wrong/);
});

test("G1 an init that is killed at any instant can be repeated", REAL, async (t) => {
  const [nas] = await homes(t);
  const args = ["fleet", "init", "--no-invite", "--name", "nas", "--listen", `127.0.0.1:${await freePort()}`];
  const text = (path: string): Promise<string> => readFile(join(nas.home, path), "utf8").catch(() => "");
  const instants: readonly (() => Promise<boolean> | boolean)[] = [
    async () => (await text("fleet/member.json")) !== "",
    async () => (await text("secrets.json")).includes("fleet-operator"),
    async () => (await text("fleet-server/server-key.pem")) !== "",
    async () => (await text("fleet-server/fleet.json")) !== "",
    async () => (await text("fleet-server/process.json")) !== "",
  ];
  for (const isThere of instants) {
    const { child } = startCommand(args, { home: nas.home });
    await eventually(() => child.exitCode !== null || isThere(), STARTS_MS, 1);
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
  const again = await nas.cli(args.slice(0));
  assert.ok(again.code === 0 || /in a fleet already/.test(again.stderr), again.stderr);
  assert.deepEqual(await members(nas), ["nas"]);
  const { code, running } = await inviting(t, nas, "invite", "--json");
  assert.match(code, /^mf1_/);
  running.child.kill("SIGTERM");
  await running.ended;
  assert.deepEqual((await readFleet(nas.home))?.invitations, []);
});

test("G1 an invitation that is killed is worthless, and the next one removes it", REAL, async (t) => {
  const [nas, laptop] = await homes(t);
  const first = await began(t, nas);
  first.running.child.kill("SIGKILL");
  await first.running.ended;
  const refused = await laptop.cli(["fleet", "join", "--name", "laptop", first.code]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /no machine waits for this code now; nothing was changed/);
  assert.doesNotMatch(refused.stderr, /mf1_/);
  assert.equal(await readFile(laptop.configFile, "utf8"), "# mine\n[global]\nlsof_recheck = true\n");
});

test(
  "G1 an init whose port is taken uses another one, and a second init points to the invitation",
  REAL,
  async (t) => {
    const [nas] = await homes(t);
    const taken = createServer((socket) => socket.end("220 mail\r\n"));
    t.after(() => taken.close());
    await once(taken.listen(0, "127.0.0.1"), "listening");
    const init = (port: number): ReturnType<TestHome["cli"]> =>
      nas.cli(["fleet", "init", "--no-invite", "--name", "nas", "--listen", `127.0.0.1:${port}`]);
    const { port } = taken.address() as AddressInfo;
    await ends(init(port), 1, null, /something else listens.*--listen HOST:PORT/s);
    const free = await freePort();
    await ends(init(free), 0);
    assert.equal((await readFleet(nas.home))?.address, `127.0.0.1:${free}`);
    assert.deepEqual(await members(nas), ["nas"]);
    await ends(init(free), 2, null, /in a fleet already.*mountaineer fleet invite/s);
  },
);

test("G1 where there is no fleet, each command says so and changes nothing", REAL, async (t) => {
  const [nas] = await homes(t);
  const before = await readFile(nas.configFile, "utf8");
  for (const [args, code, says] of [
    [["invite"], 2, /does not have the fleet's server/],
    [["remove", "laptop"], 2, /does not have the fleet's server/],
    [["join", "mf1_AAAA"], 2, /not a fleet's code/],
    [["init", "--listen", "0.0.0.0:4222"], 2, /--listen takes HOST:PORT/],
    [["init", "--name", "a b"], 2, /letters, digits/],
    [["leave"], 0, /^$/],
  ] as const) {
    const ran = await nas.cli(["fleet", ...args]);
    assert.equal(ran.code, code, `${args.join(" ")}: ${ran.stderr}`);
    assert.match(ran.stderr, says);
  }
  assert.equal(await readFile(nas.configFile, "utf8"), before);
});

const WITHIN_MS = 60_000;
const TOOLS = join(import.meta.dirname, "../../docs/programs/tools-server.mjs");

/** All ways in which a key or a text could stand in a message. */
function spellings(secret: string): readonly string[] {
  const raw = rawOfSeed(secret) ?? (/^[\w-]{43}$/.test(secret) ? Buffer.from(secret, "base64url") : null);
  const bytes = [Buffer.from(secret), ...(raw === null ? [] : [raw])];
  const inner = bytes.flatMap((one) => [
    one.toString("base64"),
    one.toString("base64url"),
    one.toString("hex"),
  ]);
  // The padding depends on what follows.
  return [secret, ...inner.map((text) => text.replace(/.?=+$/, ""))];
}

async function filesUnder(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}

test("G1 the files of a fleet, and all messages of its life, contain no secret", {
  skip: LACKS_SERVER,
}, async (t) => {
  let folder = "";
  t.after(() => endServer(join(folder, "nas")));
  folder = await temporaryFolder(t);
  const real = await findServerProgram(process.env["PATH"] ?? "");
  // The server writes down every message, with its subject and content.
  await writeFile(join(folder, "nats-server"), `#!/bin/sh\nexec '${real}' -V "$@"\n`);
  await chmod(join(folder, "nats-server"), 0o755);
  const env = { PATH: `${folder}:${process.env["PATH"] ?? ""}` };
  const token = randomBytes(24).toString("hex");
  const tools = `[backends.tools]\ncommand = "${process.execPath}"\nargs = ["${TOOLS}"]\nenv = { TOKEN = "secret:token" }\n`;
  const home = async (name: string, config: string): Promise<TestHome> =>
    createTestHome({
      home: join(folder, name),
      env,
      config: `[server]\nport = ${await freePort()}\n${config}`,
    });
  const [nas, laptop] = [await home("nas", tools), await home("laptop", "")];
  const typed = async (of: TestHome, words: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await of.cli(words);
    assert.equal(code, 0, `${words.join(" ")}: ${stderr}`);
    return stdout;
  };
  const secrets = new Set<string>([token]);
  const note = async (): Promise<void> => {
    for (const which of [nas, laptop]) {
      const text = await readFile(join(which.home, "secrets.json"), "utf8").catch(() => "");
      for (const [, value = ""] of text.matchAll(/"value": ?"([^"]+)"/g)) secrets.add(value);
    }
  };
  const kept = startCommand(["secret", "set", "token"], { home: nas.home, env, input: `${token}\n` });
  assert.equal((await kept.ended).code, 0);
  await using _one = await nas.startMonitor();
  await using _two = await laptop.startMonitor();

  const address = `127.0.0.1:${await freePort()}`;
  const begun = startCommand(["fleet", "init", "--name", "nas", "--listen", address], {
    home: nas.home,
    env,
  });
  t.after(() => begun.child.kill("SIGKILL"));
  const code = await eventually(() => /mf1_[\w-]+/.exec(begun.stdout())?.[0], WITHIN_MS);
  secrets.add(code);
  secrets.add(Buffer.from(code.slice(4), "base64url").subarray(0, 16).toString("hex"));
  await typed(laptop, ["fleet", "join", "--name", "laptop", code]);
  assert.equal((await begun.ended).code, 0);
  await note();
  await Promise.all([
    typed(nas, ["config", "set", "fleet.export", '["tools"]']),
    typed(laptop, ["config", "set", "fleet.import", '["nas"]']),
  ]);
  await eventually(async () => {
    const called = await laptop.cli(["call", "nas_echo", '{"message": "heard-across"}']);
    return called.code === 0 && called.stdout.includes("heard-across");
  }, WITHIN_MS);

  assert.ok(secrets.size >= 5, String(secrets.size));
  const server = join(nas.home, "fleet-server");
  const files = (await filesUnder(server)).filter((file) => !file.endsWith("server-key.pem"));
  const texts = await Promise.all(
    files.map(async (file) => [file, (await readFile(file)).toString("latin1")] as const),
  );
  const log = texts.find(([file]) => file.endsWith("nats-server.log"))?.[1] ?? "";
  // All of it was written down, and none of it set aside.
  assert.equal(files.filter((file) => file.includes("nats-server.log")).length, 1);
  for (const seen of ["heard-across", "mountaineer.join."]) assert.ok(log.includes(seen), seen);
  const members = (name: string): boolean => new RegExp(`${name}\\\\?":`).test(log);
  assert.ok(members("instance") && members("backends"), "offers are in the log");
  for (const name of ["shares_root", "places", "busy"]) assert.ok(!members(name), name);
  for (const secret of secrets) {
    for (const spelling of spellings(secret)) {
      const found = texts.find(([, text]) => text.includes(spelling))?.[0];
      assert.equal(found, undefined, `a secret (${secret.slice(0, 3)}…) stands in ${found}`);
    }
  }
});
