// What status and doctor say of servers and logins that are not as the configuration has it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { missingForSmb } from "../../src/demo/stage/smb-available.ts";
import { endMounts, liveHome, QUICK_SYNC, untilShareOf } from "../live/live-home.ts";
import { eventually } from "../support/eventually.ts";

const run = promisify(execFile);

interface Odd {
  /** The share's name on the server. */
  readonly there?: string;
  readonly settings?: readonly string[];
  readonly username?: string;
  /** What `status` says, as code and text of a condition, or as the last error. null: it is mounted. */
  readonly status: readonly [code: string, text: RegExp] | null;
  readonly doctor: readonly [code: string, text: RegExp];
}

const NFC = "B\u00fcro";
const NFD = "Bu\u0308ro";
const GUESTS = ["map to guest = Bad User", `guest account = ${process.getuid?.() === 0 ? "root" : "nobody"}`];
const AS_GUEST = /refuses the login of rooot: it does not know this user.*guest.*rooot|as a guest only/;

const CASES: readonly (readonly [string, Odd])[] = [
  [
    "A17 a mistyped user who would silently be a guest",
    {
      settings: [...GUESTS, "guest ok = yes"],
      username: "rooot",
      status: ["login_refused", AS_GUEST],
      doctor: ["login_refused", /does not know this user.*as a guest only/],
    },
  ],
  [
    "A17 the intended guest, with a password all the same,",
    {
      settings: [...GUESTS, "guest ok = yes"],
      username: "guest",
      status: null,
      doctor: ["credentials", /lets guest into/],
    },
  ],
  [
    "A14 an unknown user whom the share does not admit",
    {
      settings: [...GUESTS, "valid users = root"],
      username: "rooot",
      status: ["login_refused", AS_GUEST],
      doctor: ["login_refused", /does not know this user.*as a guest only/],
    },
  ],
  [
    "A2 a server that speaks SMB 1 only",
    {
      settings: ["server min protocol = NT1", "server max protocol = NT1"],
      status: ["smb1_only:tb", /speaks SMB 1 only.*Enable SMB 2 or newer/],
      doctor: ["smb1_only:tb", /speaks SMB 1 only.*Enable SMB 2/],
    },
  ],
  ...(
    [
      [NFC, NFD, "NFC is asked for"],
      [NFD, NFC, "NFD is asked for"],
    ] as const
  ).map(([asked, there, how]): readonly [string, Odd] => [
    `A16 a share whose name has another Unicode form there: ${how}`,
    {
      there,
      settings: [asked],
      status: ["last_error", new RegExp(`other Unicode form: share_name = "${escaped(there)}"`)],
      doctor: ["no_such_share", new RegExp(`"${escaped(asked)}", but "${escaped(there)}".*share_name =`)],
    },
  ]),
];

function escaped(name: string): string {
  return name === NFC ? "B\\\\u00fcro" : "Bu\\\\u0308ro";
}

async function play(t: TestContext, odd: Odd): Promise<void> {
  const { there = `CORE-${process.pid.toString(36)}`, settings = [], status, doctor } = odd;
  const isForm = odd.there !== undefined;
  const asked = isForm ? (settings[0] ?? "") : there;
  const nas = await startPlainRig({ shares: [there], settings: isForm ? [] : settings });
  const env = { MOUNTAINEER_LOG: "debug", NAS_PASSWORD: nas.password };
  const home = await liveHome(t, { env, before: () => nas[Symbol.asyncDispose]() });
  await home.writeConfig(
    [
      ...["[global]", `shares_root = "${join(home.folder, "Shares")}"`, "[sync]", QUICK_SYNC],
      ...["[[shares]]", 'name = "CORE"', `share_name = "${asked}"`],
      `thunderbolt_host = "${nas.tbHost}:${nas.tbPort}"`,
      ...[`username = "${odd.username ?? nas.username}"`, 'password = "${NAS_PASSWORD}"', ""],
    ].join("\n"),
  );
  const monitor = await home.start();
  try {
    if (status === null) {
      await untilShareOf(home, "CORE", "mounted", (one) => one.mount_state === "mounted" && one.mount_alive);
    } else {
      const [wanted, text] = status;
      const share = await untilShareOf(home, "CORE", wanted, ({ conditions, last_error }) =>
        wanted === "last_error" ? last_error !== null : conditions.some(({ code }) => code === wanted),
      );
      assert.equal(share.mount_state, "unmounted");
      const told = share.conditions.find(({ code }) => code === wanted);
      assert.match(told === undefined ? (share.last_error ?? "") : `${told.title} ${told.hint}`, text);
    }
    const examined = await home.cli(["doctor", "--json"]);
    const { findings } = JSON.parse(examined.stdout) as { findings: Record<string, string>[] };
    const found = findings.filter(({ code }) => code === doctor[0]);
    assert.match(found.map(({ text, hint }) => `${text} ${hint}`).join("\n"), doctor[1], examined.stdout);
  } finally {
    await endMounts(home, ["CORE"], [monitor]);
  }
}

/** An alias over a folder whose names have these Unicode forms on the server, and others in the configuration. */
async function playAlias(t: TestContext, there: string, asked: string): Promise<void> {
  const share = `CORE-${process.pid.toString(36)}`;
  const nas = await startPlainRig({ shares: [share] });
  const env = { MOUNTAINEER_LOG: "debug", NAS_PASSWORD: nas.password };
  const home = await liveHome(t, { env, before: () => nas[Symbol.asyncDispose]() });
  await mkdir(join(nas.exportPath(share), there), { recursive: true });
  await writeFile(join(nas.exportPath(share), there, "note"), "it is there");
  await home.writeConfig(
    [
      ...["[global]", `shares_root = "${join(home.folder, "Shares")}"`, "[sync]", QUICK_SYNC],
      ...["[[shares]]", 'name = "CORE"', `share_name = "${share}"`],
      `thunderbolt_host = "${nas.tbHost}:${nas.tbPort}"`,
      ...[`username = "${nas.username}"`, 'password = "${NAS_PASSWORD}"'],
      ...["[[aliases]]", 'name = "DOCS"', 'share = "CORE"', `target_subpath = "${asked}"`, ""],
    ].join("\n"),
  );
  const monitor = await home.start();
  try {
    await untilShareOf(home, "CORE", "mounted", (one) => one.mount_state === "mounted" && one.mount_alive);
    const link = join(home.folder, "Shares", "Links", "DOCS");
    // A process of its own reads, as the test's would hang with a mount.
    const read = () => run("cat", [join(link, "note")], { timeout: 10_000, cwd: "/" });
    const { stdout } = await eventually(read);
    assert.equal(stdout, "it is there");
    assert.equal(await readlink(link), join(home.folder, "Shares", "CORE", there));
    const { aliases } = JSON.parse((await home.cli(["status", "--json"])).stdout);
    assert.deepEqual([aliases[0].link, aliases[0].target], ["right", await readlink(link)]);
    // What is not there any more keeps its link as it is.
    await home.cli(["unmount", "--share", "CORE"]);
    await untilShareOf(home, "CORE", "unmounted", (one) => one.mount_state === "unmounted");
    await monitor.stop();
    await home.start();
    await home.cli(["reconcile"]);
    assert.equal(await readlink(link), join(home.folder, "Shares", "CORE", there));
  } finally {
    await endMounts(home, ["CORE"], [monitor]);
  }
}

describe("odd servers", { skip: (await missingForSmb("/nowhere")) ?? false, timeout: 1_000_000 }, () => {
  for (const [there, asked] of [
    [NFD, NFC],
    [NFC, NFD],
    [`${NFD}/x/${NFC}`, `${NFC}/x/${NFC}`],
  ] as const)
    test(`Paths an alias leads to a folder whose name has another Unicode form there: ${escape(there)}`, (t) =>
      playAlias(t, there, asked));
  for (const [title, odd] of CASES) test(`${title} is reported as such`, (t) => play(t, odd));
});
