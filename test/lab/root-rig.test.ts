// The root rig keeps what it promises: both routes serve, and each cut looks as a real one does.
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

  test("both routes serve the same export", async () => {
    await writeFile(path.join(rig.exportPath("CORE"), "kept.txt"), "kept");
    assert.match(await list(rig.tbHost, "CORE"), /kept\.txt/);
    assert.match(await list(rig.fallbackHost, "CORE"), /kept\.txt/);
    assert.doesNotMatch(await list(rig.tbHost, "MEDIA"), /kept\.txt/);
  });

  test("a wrong password is refused", async () => {
    await assert.rejects(list(rig.tbHost, "CORE", "wrong"), { stdout: /NT_STATUS_LOGON_FAILURE/ });
  });

  test("the workstation reaches nothing but the server", async () => {
    assert.equal(await rig.connect("192.0.2.1", ANSWERS_MS), "ENETUNREACH");
  });

  const refusedAtOnce = /^(ENETUNREACH|EHOSTUNREACH)$/;
  const cuts = [
    { name: "own link down", make: () => rig.cut.ownLinkDown(), expected: refusedAtOnce, waitMs: ANSWERS_MS },
    { name: "far link down", make: () => rig.cut.farLinkDown(), expected: /^timeout$/, waitMs: 800 },
    { name: "silence", make: () => rig.cut.silence(), expected: /^timeout$/, waitMs: 800 },
    { name: "reject", make: () => rig.cut.reject(), expected: /^ECONNREFUSED$/, waitMs: ANSWERS_MS },
  ];
  for (const { name, make, expected, waitMs } of cuts) {
    test(`${name}: a connect over tb ends as a real cut's does, the fallback stays, restoring brings tb back`, async () => {
      const restore = await make();
      assert.match(await rig.connect(rig.tbHost, waitMs), expected);
      assert.equal(await rig.connect(rig.fallbackHost, ANSWERS_MS), "connect");
      await restore();
      await restore();
      assert.equal(await rig.connect(rig.tbHost, ANSWERS_MS), "connect");
    });
  }

  test("carrier lost: the interface stays up without a carrier, and comes back", async () => {
    const carrier = async (): Promise<string> => {
      const [file = "", ...prefix] = rig.enter;
      return (await promisify(execFile)(file, [...prefix, "ip", "-o", "link", "show", "tb0"])).stdout;
    };
    const restore = await rig.cut.carrierLost();
    assert.match(await carrier(), /NO-CARRIER.*,UP/);
    assert.equal(await rig.connect(rig.fallbackHost, ANSWERS_MS), "connect");
    await restore();
    assert.match(await carrier(), /LOWER_UP/);
    assert.equal(await rig.connect(rig.tbHost, ANSWERS_MS), "connect");
  });

  test("a cut can be made on the fallback, and restoreAll undoes what is left", async () => {
    await rig.cut.ownLinkDown("fallback");
    await rig.cut.silence("tb");
    assert.match(await rig.connect(rig.fallbackHost, ANSWERS_MS), refusedAtOnce);
    assert.equal(await rig.connect(rig.tbHost, 500), "timeout");
    await rig.restoreAll();
    assert.equal(await rig.connect(rig.fallbackHost, ANSWERS_MS), "connect");
    assert.equal(await rig.connect(rig.tbHost, ANSWERS_MS), "connect");
  });

  test("smbd gone on one address refuses there, serves on the other, and comes back", async () => {
    await rig.killServerOn("tb");
    assert.equal(await rig.connect(rig.tbHost, ANSWERS_MS), "ECONNREFUSED");
    assert.match(await list(rig.fallbackHost, "CORE"), /blocks/);
    await rig.startServerOn("tb");
    assert.match(await list(rig.tbHost, "CORE"), /blocks/);
  });

  test("a frozen server accepts TCP and says nothing", async () => {
    const thaw = rig.freezeServerOn("tb");
    assert.equal(await rig.connect(rig.tbHost, ANSWERS_MS), "connect");
    const [file = "", ...prefix] = rig.enter;
    const args = [...prefix, "timeout", "1", "smbclient", "-N", `//${rig.tbHost}/CORE`, "-c", "ls"];
    await assert.rejects(promisify(execFile)(file, args), { code: 124 });
    thaw();
    assert.match(await list(rig.tbHost, "CORE"), /blocks/);
  });

  test("flapping takes the carrier away and gives it back, each time, and ends with the link up", async () => {
    const changes = async (): Promise<number> => {
      const [file = "", ...prefix] = rig.enter;
      const args = [...prefix, "ip", "-s", "-s", "link", "show", "tb0"];
      const { stdout } = await promisify(execFile)(file, args);
      // The last figure under the errors of what is sent.
      return Number(/TX errors:.*\n\s*([\d ]+)/.exec(stdout)?.[1]?.trim().split(/ +/).at(-1));
    };
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
