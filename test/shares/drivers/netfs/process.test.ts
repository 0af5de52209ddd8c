// The call into NetFS and the process that makes it, over the double: what is handed over, and how it ends.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { loadKoffi } from "../../../../src/network/native/core-foundation-darwin.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import {
  loadNetfs,
  type NetfsAnswer,
  type NetfsRequest,
} from "../../../../src/shares/drivers/netfs/binding.ts";
import { mountByNetfs } from "../../../../src/shares/drivers/netfs/process.ts";
import { buildDouble, doublesUnavailable } from "../../../doubles/build-double.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { LINUX_ALONE, NOT_ON_A_MAC } from "../../../support/where.ts";

const skip = (await doublesUnavailable()) ?? false;
const REQUEST: NetfsRequest = {
  url: "smb://ann@nas.local/core",
  folder: null,
  username: "ann",
  password: "secret ß",
  guest: false,
};

const PATIENT = { clock: systemClock, deadlineMs: 60_000, signal: new AbortController().signal };

describe("NetFS over the double", { skip }, async () => {
  if (skip !== false) return;
  const path = await buildDouble("core-foundation.c", "netfs.c");
  const libraries = { coreFoundation: path, netfs: path, system: path };
  const library = (await loadKoffi()).load(path);
  const noted: () => string = library.func("const char *double_noted()");
  const counts = (): number[] => [
    library.func("int double_alive()")(),
    library.func("int double_faults()")(),
  ];
  const call = await loadNetfs(libraries);
  const mount = async (request: NetfsRequest): Promise<NetfsAnswer> => {
    // What is awaited from another thread keeps no process alive.
    const alive = setInterval(() => {}, 60_000);
    try {
      return await call(request).answer;
    } finally {
      clearInterval(alive);
    }
  };

  const inProcess = (env: Record<string, string>, more: Partial<Parameters<typeof mountByNetfs>[1]> = {}) =>
    mountByNetfs(REQUEST, { ...PATIENT, libraries, env, ...more });

  it("passes the URL, user and password, and never lets a dialog open or a mount be hard", async () => {
    assert.deepEqual(await mount(REQUEST), { status: 0, mountPoints: ["/Volumes/core"] });
    assert.deepEqual(noted().trim().split("\n"), [
      "url=smb://ann@nas.local/core",
      "folder=NULL",
      "user=ann",
      "password=secret ß",
      "open.UIOption=NoUI",
      "mount.SoftMount=true",
    ]);
  });

  it("an answered request cannot be cancelled: it no longer exists", async () => {
    const alive = setInterval(() => {}, 60_000);
    const running = call(REQUEST);
    await running.answer;
    clearInterval(alive);
    assert.equal(await running.cancel(), false);
  });

  it("without a password passes neither, so that the Keychain is asked", async () => {
    await mount({ ...REQUEST, password: null });
    assert.match(noted(), /^user=NULL\npassword=NULL$/m);
  });

  it("marks a guest, and mounts a folder of ours on itself", async () => {
    await mount({ ...REQUEST, username: null, password: null, guest: true, folder: "/home/ann/Größe x" });
    assert.match(noted(), /^folder=\/home\/ann\/Größe x$/m);
    assert.match(noted(), /^open\.Guest=true$/m);
    assert.match(noted(), /^mount\.MountAtMountDir=true$/m);
  });

  it("a server on this machine's own address is allowed", async () => {
    for (const url of [
      "smb://ann@127.0.0.1:50445/core",
      "smb://localhost/core",
      "smb://ann@[::1]:50445/core",
    ]) {
      await mount({ ...REQUEST, url });
      assert.match(noted(), /^open\.AllowLoopback=true$/m, url);
    }
    for (const url of [
      "smb://ann@nas.local/127.0.0.1",
      "smb://localhost@nas/core",
      "smb://localhost.lan/core",
    ]) {
      await mount({ ...REQUEST, url });
      assert.doesNotMatch(noted(), /AllowLoopback/, url);
    }
  });

  it("an invalid URL is refused with a message, and no call leaves memory behind", async () => {
    assert.throws(() => call({ ...REQUEST, url: "smb://nas/a b" }), /no URL/);
    for (let count = 0; count < 300; count++) await mount(REQUEST);
    // The last call-back's list is released by the thread that called.
    await eventually(() => counts()[0] === 0, 30_000);
    assert.deepEqual(counts(), [0, 0]);
  });

  it("the process returns status and mount points", async () => {
    const [kind, mountPoints] = ["called", ["/Volumes/core"]];
    assert.deepEqual(await inProcess({}), { kind, status: 0, mountPoints });
    assert.deepEqual(await inProcess({ DOUBLE_STATUS: "80" }), { kind, status: 80, mountPoints: [] });
    assert.deepEqual(await inProcess({ DOUBLE_STATUS: "17" }), { kind, status: 17, mountPoints });
    const negative = await inProcess({ DOUBLE_STATUS: "-1073741275" });
    assert.equal(negative.kind === "called" ? negative.status : null, -1_073_741_275);
    const refused = await inProcess({ DOUBLE_REFUSES: "22" });
    assert.deepEqual(refused, { kind, status: 22, mountPoints: [] }, "what macOS refuses at once");
  });

  it("a call that hangs is cancelled at its deadline, not killed", { timeout: 60_000 }, async (t) => {
    const journal = join(await temporaryFolder(t), "journal");
    const clock = createManualClock();
    const asked = inProcess({ DOUBLE_HANG: "1", DOUBLE_JOURNAL: journal }, { clock, deadlineMs: 20_000 });
    const told = async (): Promise<string> => readFile(journal, "utf8").catch(() => "");
    await eventually(async () => (await told()) === `begin ${REQUEST.url}\n`, 30_000);
    // Only the deadline passes; the time after which it would be killed does not.
    await clock.advance(18_500);
    assert.deepEqual(await asked, { kind: "timed_out", text: "macOS did not mount it within 20 s" });
    assert.equal(await told(), `begin ${REQUEST.url}\ncancel ${REQUEST.url}\n`);
  });

  it("a cancel that waits for the call-back is waited for on another thread", {
    timeout: 60_000,
  }, async (t) => {
    const journal = join(await temporaryFolder(t), "journal");
    const clock = createManualClock();
    const asked = inProcess(
      { DOUBLE_HANG: "1", DOUBLE_CANCEL_CALLS_BACK: "1", DOUBLE_JOURNAL: journal },
      { clock, deadlineMs: 20_000 },
    );
    await eventually(async () => (await readFile(journal, "utf8").catch(() => "")) !== "", 30_000);
    await clock.advance(18_500);
    assert.equal((await asked).kind, "timed_out");
    const order = ["begin", "cancel", "end", "cancelled"].map((what) => `${what} ${REQUEST.url}\n`);
    assert.equal(await readFile(journal, "utf8"), order.join(""));
  });

  it("a call that cannot even be cancelled is killed in the end", { timeout: 60_000 }, async (t) => {
    const journal = join(await temporaryFolder(t), "journal");
    const clock = createManualClock();
    const asked = inProcess(
      { DOUBLE_HANG: "1", DOUBLE_DEAF: "1", DOUBLE_JOURNAL: journal },
      { clock, deadlineMs: 20_000 },
    );
    await eventually(async () => (await readFile(journal, "utf8").catch(() => "")) !== "", 30_000);
    await clock.advance(18_500);
    await clock.advance(1_500);
    assert.equal((await asked).kind, "timed_out");
  });

  it("a call that is cancelled rejects, one that crashes is a failure", async () => {
    const controller = new AbortController();
    const asked = inProcess({ DOUBLE_HANG: "1" }, { signal: controller.signal });
    setImmediate(() => controller.abort());
    await assert.rejects(asked, { code: "aborted" });
    const crashed = await inProcess({ DOUBLE_CRASH: "1" });
    assert.ok(crashed.kind === "failed" && /SIGABRT/.test(crashed.text));
  });

  it("the password is in no argument and no environment of the process", { skip: LINUX_ALONE }, async () => {
    let seen = "";
    const seenEnough = new AbortController();
    const asked = inProcess({ DOUBLE_HANG: "1" }, { signal: seenEnough.signal });
    const children = (): string[] =>
      readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8")
        .trim()
        .split(" ")
        .filter(Boolean);
    while (seen === "") {
      for (const pid of children()) {
        try {
          const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
          if (command.includes("netfs-child")) seen = command + readFileSync(`/proc/${pid}/environ`, "utf8");
        } catch {}
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    seenEnough.abort();
    await assert.rejects(asked, { code: "aborted" });
    assert.ok(!seen.includes("secret"));
  });
});

it("where NetFS is missing, the process says so", { skip: skip || NOT_ON_A_MAC }, async () => {
  assert.equal((await mountByNetfs(REQUEST, PATIENT)).kind, "unavailable");
});
