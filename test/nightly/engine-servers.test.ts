// The engine with each kind of SMB server: a mount reads and writes the right bytes, signed and encrypted as its server
// wants it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { missingForPlainRig, type PlainRig, startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { runCommand } from "../../src/runtime/process/child-process.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const ENGINE = resolve(import.meta.dirname, "../../rclone/rclone");
const MISSING = existsSync(ENGINE) ? missingForPlainRig() : "no engine is built here (npm run engine)";
const WITHIN_MS = 30_000;
/** Of several requests, the last of which is not full. */
const BYTES = 5 * 1024 * 1024 + 7;

/** As `smbstatus` tells it; `-`: none. */
interface Session {
  readonly dialect: string;
  readonly signing: string;
  readonly encryption: string;
}

interface Server {
  readonly name: string;
  readonly settings: readonly string[];
  readonly as?: "guest";
  readonly session: Session;
}

const CMAC = "AES-128-CMAC";
const GMAC = "AES-128-GMAC";
const HMAC = "HMAC-SHA256";
const DIALECTS: Readonly<Record<string, string>> = {
  SMB2_02: HMAC,
  SMB2_10: HMAC,
  SMB3_00: CMAC,
  SMB3_02: CMAC,
  SMB3_11: GMAC,
};
const SIGNED_FULLY = "server signing = mandatory";
const ENCRYPTIONS: Readonly<Record<string, string>> = { SMB3_00: "AES-128-CCM", SMB3_11: "AES-128-GCM" };

const SERVERS: readonly Server[] = [
  ...Object.entries(DIALECTS).flatMap(([dialect, algorithm]) =>
    ["disabled", "auto", "mandatory"].map((signing) => ({
      name: `at most ${dialect}, signing ${signing}`,
      settings: [
        "server min protocol = SMB2_02",
        `server max protocol = ${dialect}`,
        `server signing = ${signing}`,
      ],
      // The logon's answer and the connection to a share are signed wherever there is a key.
      session: {
        dialect,
        signing: `${algorithm} ${signing === "mandatory" ? "full" : "partial"}`,
        encryption: "-",
      },
    })),
  ),
  ...[GMAC, CMAC, HMAC].map((algorithm) => ({
    name: `signing by ${algorithm} alone`,
    settings: [SIGNED_FULLY, `server smb3 signing algorithms = ${algorithm}`],
    session: { dialect: "SMB3_11", signing: `${algorithm} full`, encryption: "-" },
  })),
  ...Object.entries(ENCRYPTIONS).flatMap(([dialect, cipher]) =>
    ["off", "desired", "required"].map((encrypt) => ({
      name: `at most ${dialect}, encryption ${encrypt}`,
      settings: [`server max protocol = ${dialect}`, `server smb encrypt = ${encrypt}`, SIGNED_FULLY],
      session: {
        dialect,
        signing: `${DIALECTS[dialect]} full`,
        encryption: encrypt === "off" ? "-" : `${cipher} full`,
      },
    })),
  ),
  {
    name: "a guest",
    settings: ["map to guest = bad user", "guest ok = yes"],
    as: "guest",
    session: { dialect: "SMB3_11", signing: "-", encryption: "-" },
  },
];

describe("the engine and SMB servers", { skip: MISSING ?? false, timeout: 600_000 }, () => {
  for (const { name, settings, as, session } of SERVERS)
    test(`A12 ${name}: ${describeSession(session)}`, async (t) => {
      await using rig = await startPlainRig({ shares: ["CORE"], settings });
      const path = await mounted(t, rig, as === "guest");
      const [ours, theirs] = [randomBytes(BYTES), randomBytes(BYTES)];
      await writeFile(join(rig.exportPath("CORE"), "theirs"), theirs);
      assert.ok(theirs.equals(await readFile(join(path, "theirs"))), "read otherwise");
      await writeFile(join(path, "ours"), ours);
      await eventually(async () => ours.equals(await readFile(join(rig.exportPath("CORE"), "ours"))));
      assert.deepEqual(await sessionOf(rig), session);
    });
});

function describeSession({ dialect, signing, encryption }: Session): string {
  return `${dialect}, signed ${signing}, encrypted ${encryption}`;
}

/** Resolves with the mount's path; it ends with the test. */
async function mounted(t: TestContext, rig: PlainRig, asGuest: boolean): Promise<string> {
  const ends: (() => Promise<unknown>)[] = [];
  t.after(() => Promise.all(ends.map((end) => end())));
  const folder = await temporaryFolder(t);
  const [path, config, log] = ["mount", "rclone.conf", "log"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await mkdir(path);
  const limits = { clock: systemClock, deadlineMs: WITHIN_MS };
  const { stdout } = await runCommand(ENGINE, ["obscure", "-"], { ...limits, stdin: rig.password });
  const account = asGuest ? ["user = nobody-here"] : [`user = ${rig.username}`, `pass = ${stdout.trim()}`];
  const lines = ["[share]", "type = smb", "host = 127.0.0.1", `port = ${rig.serverPort}`, ...account, ""];
  await writeFile(config, lines.join("\n"), { mode: 0o600 });
  const child = spawn(
    ENGINE,
    [
      ...["mount", "share:CORE", path, "--config", config, "--log-file", log, "--low-level-retries", "1"],
      ...["--cache-dir", join(folder, "cache"), "--vfs-cache-mode", "writes", "--vfs-write-back", "0s"],
    ],
    { stdio: "ignore" },
  );
  const ended = once(child, "exit");
  ends.push(async () => {
    child.kill("SIGTERM");
    await ended;
  });
  await eventually(
    async () => (await readFile("/proc/self/mountinfo", "utf8")).includes(` ${path} `),
    WITHIN_MS,
  );
  return path;
}

/** The session of the engine, whose connection it keeps for a while. */
async function sessionOf({ configPath }: PlainRig): Promise<Session> {
  const { stdout } = await runCommand("smbstatus", ["-s", configPath, "--json", "--processes"], {
    clock: systemClock,
    deadlineMs: WITHIN_MS,
  });
  const { sessions } = JSON.parse(stdout) as { sessions: Record<string, ToldSession> };
  const [first] = Object.values(sessions);
  assert.ok(first, "no session");
  const told = ({ cipher, degree }: Told): string => (degree === "none" ? "-" : `${cipher} ${degree}`);
  return {
    dialect: first.session_dialect,
    signing: told(first.signing),
    encryption: told(first.encryption),
  };
}

interface Told {
  readonly cipher: string;
  readonly degree: string;
}

interface ToldSession {
  readonly session_dialect: string;
  readonly signing: Told;
  readonly encryption: Told;
}
