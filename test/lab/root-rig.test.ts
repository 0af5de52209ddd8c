// The root rig keeps what it promises: both routes serve, and nothing is left. That each cut looks as a real one does is
// seen in failover.test.ts.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { missingForRootRig, type RootRig, startRootRig } from "../rig/root-rig.ts";
import { ANSWERS_MS } from "../support/eventually.ts";

const missing = missingForRootRig();

describe("root rig", { skip: missing ?? false }, () => {
  let rig: RootRig;
  before(async () => {
    rig = await startRootRig({ shares: ["CORE", "MEDIA"] });
  });
  after(() => rig[Symbol.asyncDispose]());

  const list = async (host: string, share: string, password = rig.password): Promise<string> => {
    const [file = "", ...prefix] = rig.enter;
    const auth = path.join(rig.folder, "auth");
    await writeFile(auth, `username=${rig.username}\npassword=${password}\n`, { mode: 0o600 });
    const args = [...prefix, "smbclient", `//${host}/${share}`, "-A", auth, "-c", "ls"];
    return (await promisify(execFile)(file, args, { timeout: 120_000 })).stdout;
  };

  test("both routes serve the same export, a wrong password is refused, and the workstation reaches nothing else", async () => {
    await writeFile(path.join(rig.exportPath("CORE"), "kept.txt"), "kept");
    for (const host of [rig.tbHost, rig.fallbackHost]) assert.match(await list(host, "CORE"), /kept\.txt/);
    assert.doesNotMatch(await list(rig.tbHost, "MEDIA"), /kept\.txt/);
    await assert.rejects(list(rig.tbHost, "CORE", "wrong"), { stdout: /NT_STATUS_LOGON_FAILURE/ });
    assert.equal(await rig.connect("192.0.2.1", ANSWERS_MS), "ENETUNREACH");
  });

  const answers = async (): Promise<readonly string[]> =>
    Promise.all([rig.tbHost, rig.fallbackHost].map((host) => rig.connect(host, ANSWERS_MS)));
  test("a cable that is pulled leaves the interface up without a carrier; flapping removes and restores it each time; restoreAll undoes the rest", async () => {
    const [file = "", ...prefix] = rig.enter;
    const link = async (): Promise<string> =>
      (await promisify(execFile)(file, [...prefix, "ip", "-s", "-s", "link", "show", "tb0"])).stdout;
    // The last figure under the errors of what is sent.
    const changes = async (): Promise<number> =>
      Number(
        /TX errors:.*\n\s*([\d ]+)/
          .exec(await link())?.[1]
          ?.trim()
          .split(/ +/)
          .at(-1),
      );
    await rig.cut.carrierLost();
    await rig.cut.ownLinkDown("fallback");
    assert.match(await link(), /NO-CARRIER.*,UP/);
    assert.match(await rig.connect(rig.fallbackHost, ANSWERS_MS), /^(ENETUNREACH|EHOSTUNREACH)$/);
    await rig.restoreAll();
    assert.match(await link(), /LOWER_UP/);
    assert.deepEqual(await answers(), ["connect", "connect"]);
    const before = await changes();
    await rig.flap(20, 1);
    assert.equal((await changes()) - before, 40);
    assert.equal(await rig.connect(rig.tbHost, ANSWERS_MS), "connect");
  });

  test("disposal ends servers, namespaces, mounts and the folder, even after a failure", async () => {
    await using other = await startRootRig();
    const point = path.join(other.folder, "still mounted here");
    await mkdir(point);
    await promisify(execFile)("mount", ["-t", "tmpfs", "none", point]);
    await other.cut.silence();
    const namespace = path.basename(other.enter[1] ?? "");
    assert.ok((await readdir("/run/netns")).includes(namespace));
    await other[Symbol.asyncDispose]();
    assert.ok(!(await readdir("/run/netns")).includes(namespace));
    assert.doesNotMatch(
      await readFile("/proc/self/mountinfo", "utf8"),
      new RegExp(path.basename(other.folder)),
    );
    await assert.rejects(readdir(other.folder), { code: "ENOENT" });
    assert.equal(await rig.connect(rig.tbHost, ANSWERS_MS), "connect");
  });
});
