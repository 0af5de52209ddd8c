import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { FleetReport } from "../../../src/api/contract/fleet.ts";
import { needsNats } from "../../fleet/nats-rig.ts";
import { prepareOwnServer } from "../../fleet/own-server.ts";
import { createTestHome, type TestHome } from "../../support/daemon.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { startCommand } from "../command-line.ts";

const WITHIN_MS = 60_000;
const TOOLS = join(import.meta.dirname, "../../docs/programs/tools-server.mjs");
const SEED = /SU[A-Z2-7]{56}/;

async function reported({ cli }: TestHome): Promise<FleetReport> {
  return JSON.parse((await ends(cli(["fleet", "status", "--json"]), 0)).stdout);
}

const sees = (home: TestHome, other: string) =>
  eventually(async () => {
    const { machines } = await reported(home);
    return machines.some(({ name, presence }) => name === other && presence === "here");
  }, WITHIN_MS);

test(
  "G1 two machines form a fleet in the three steps of the docs; no secret leaves either",
  needsNats,
  async (t) => {
    const folder = await temporaryFolder(t);
    const server = await prepareOwnServer(t, {
      host: "127.0.0.1",
      port: await freePort(),
      folder: join(folder, "server"),
    });
    const token = randomBytes(24).toString("hex");
    const machine = async (name: string, more: string): Promise<TestHome> => {
      const home = join(folder, name);
      await mkdir(join(home, "fleet"), { recursive: true });
      await copyFile(server.ca, join(home, "fleet/ca.pem"));
      const fleet = `[fleet]\nname = "${name}"\nservers = ["${server.url}"]\ncredentials = "secret:fleet"\ntls_ca = "${home}/fleet/ca.pem"\n`;
      return createTestHome({ home, config: `[server]\nport = ${await freePort()}\n${fleet}${more}` });
    };
    const tools = `[backends.tools]\ncommand = "${process.execPath}"\nargs = ["${TOOLS}"]\nenv = { TOKEN = "secret:token" }\n`;
    const nas = await machine("nas", `export = ["*"]\n${tools}`);
    const laptop = await machine("laptop", 'import = ["nas"]\n');
    await startCommand(["secret", "set", "token"], { home: nas.home, input: `${token}\n` }).ended;
    await using _one = await nas.startMonitor();
    await using _two = await laptop.startMonitor();

    const keyOf = async (home: TestHome) => {
      const { stdout, stderr } = await ends(home.cli(["fleet", "key"]), 0);
      assert.match(stderr, /authorization\.users/);
      const again = await ends(home.cli(["fleet", "key", "--json"]), 0);
      const { line, made } = JSON.parse(again.stdout);
      assert.deepEqual([`${line}\n`, made], [stdout, false], "a stored key stays");
      return stdout.trim();
    };
    const lines = [await keyOf(nas), await keyOf(laptop)];
    await server.admit(lines);
    await sees(nas, "laptop");
    await sees(laptop, "nas");
    await ends(nas.cli(["fleet", "status", "moon"]), 2, null, /no machine of the fleet is called moon/);
    await eventually(async () => {
      const called = await laptop.cli(["call", "nas_echo", '{"message": "heard-across"}']);
      return called.code === 0 && called.stdout.includes("heard-across");
    }, WITHIN_MS);

    const log = await server.log();
    for (const seen of ["heard-across", "instance", "backends"]) assert.ok(log.includes(seen), seen);
    for (const never of ["shares_root", "places", "busy"])
      assert.doesNotMatch(log, new RegExp(`${never}\\\\?":`), never);
    for (const bytes of [Buffer.from(token), Buffer.from(token, "hex")])
      for (const form of ["latin1", "hex", "base64url", "base64"] as const)
        assert.ok(!log.includes(bytes.toString(form).replace(/.?=+$/, "")), form);
    assert.doesNotMatch(log, SEED);
    for (const { home } of [nas, laptop]) {
      assert.match(await readFile(join(home, "secrets.json"), "utf8"), SEED);
      for (const file of ["config.toml", "mountaineer.log"])
        assert.doesNotMatch(await readFile(join(home, file), "utf8"), SEED, file);
    }

    await server.kill();
    await eventually(async () => (await reported(laptop)).link.state === "away", WITHIN_MS);
    server.start();
    // What it saw before may still be shown, and a server that has only just been started would end with a reload.
    await eventually(async () => (await reported(laptop)).link.state === "connected", WITHIN_MS);
    await sees(laptop, "nas");

    // A machine without its line, and one with a new key, are out at once.
    await server.admit(lines.slice(0, 1));
    await eventually(async () => (await reported(laptop)).link.state === "away", WITHIN_MS);
    await ends(laptop.cli(["secret", "remove", "fleet"]), 0);
    const next = await keyOf(laptop);
    assert.ok(!lines.includes(next));
    await server.admit([...lines.slice(0, 1), next]);
    await sees(laptop, "nas");
  },
);

test("G1 fleet key makes a key only for a [fleet] whose credentials name a secret, and changes no other secret", async (t) => {
  const home = await createTestHome({ home: await temporaryFolder(t), config: "" });
  const key = () => home.cli(["fleet", "key"]);
  await ends(key(), 1, null, /in no fleet.*three steps/s);
  const fleet = (credentials: string) =>
    home.writeConfig(
      `[fleet]\nname = "laptop"\nservers = ["tls://nas.local"]\ncredentials = "${credentials}"\n`,
    );
  for (const other of [`\${KEY}`, `\${file:/etc/key}`]) {
    await fleet(other);
    await ends(key(), 2, null, /names no secret of this home/);
  }
  await fleet("secret:fleet");
  await startCommand(["secret", "set", "fleet"], { home: home.home, input: "hunter2\n" }).ended;
  const { stdout, stderr } = await ends(key(), 2, null, /not the seed of an nkey; nothing was changed/);
  assert.doesNotMatch(stdout + stderr, /hunter2/);
});
