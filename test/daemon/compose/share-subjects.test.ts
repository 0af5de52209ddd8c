import assert from "node:assert/strict";
import { mkdir, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type SubjectContext, shareSubjects } from "../../../src/daemon/compose/share-subjects.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import type { MountDriver } from "../../../src/shares/drivers/mount-driver.ts";
import { createStableLinks } from "../../../src/shares/links/stable-links.ts";
import type { Prober } from "../../../src/shares/prober/prober.ts";
import { assertEach } from "../../support/assert-each.ts";
import { fileProber } from "../../support/file-prober.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { configOf, smbShare } from "../samples.ts";
import { specOf, UNASKED_DRIVER } from "../shares.ts";

const local: MountDriver = { ...UNASKED_DRIVER, name: "local" };
const netfs: MountDriver = { ...UNASKED_DRIVER, name: "netfs" };
const fs: MountDriver = UNASKED_DRIVER;

function context(changes: Partial<SubjectContext> = {}): { context: SubjectContext; redacted: string[] } {
  const redacted: string[] = [];
  const redact = (secret: string): void => void redacted.push(secret);
  return {
    context: {
      environment: {},
      drivers: { fs, local, netfs },
      redact,
      intervalMs: null,
      ...changes,
    },
    redacted,
  };
}

test("a share is mounted below mount_root and linked below shares_root, by its name", async () => {
  const config = await configOf(
    `[global]\nshares_root = "~/Links/"\nmount_root = "/mnt/nas"\n${smbShare("CORE", ['share_name = "core$"', 'locks = "local"'])}`,
  );
  const [subject] = shareSubjects(config, context().context);
  assert.equal(subject?.spec.mountPath, "/mnt/nas/CORE");
  assert.equal(subject?.spec.stablePath, "/home/ada/Links/CORE");
  assert.equal(subject?.spec.shareName, "core$");
  assert.equal(subject?.spec.locks, "local");
  assert.equal(subject?.driver, fs);
});

test("each share has its driver, and the file's whole policy", async () => {
  const folders = 'thunderbolt_path = "/a"\nfallback_path = "/b"\n';
  const config = await configOf(
    [
      "[global]",
      "check_interval_secs = 3",
      "connect_timeout_ms = 900",
      "mount_hang_secs = 7",
      "auto_failback = true",
      "auto_failback_stable_secs = 11",
      "lsof_recheck = false",
      smbShare("CORE"),
      `[[shares]]\nname = "DISK"\n${folders}`,
    ].join("\n"),
  );
  const subjects = shareSubjects(config, context().context);
  assertEach(subjects, ({ spec, driver }) => [spec.name, spec.driver, driver.name], [
    ["CORE", "fs", "fs"],
    ["DISK", "local", "local"],
  ]);
  for (const { policy } of subjects) {
    assert.deepEqual(policy, {
      checkIntervalMs: 3000,
      connectTimeoutMs: 900,
      mountHangMs: 7000,
      onRouteChange: "move",
      wake: "auto",
      onlyOn: [],
      outagePatienceMs: 300_000,
      autoFailback: true,
      stableMs: 11_000,
      lsofRecheck: false,
    });
  }
});

test("the interval of the command line overrides the file's", async () => {
  const config = await configOf(`[global]\ncheck_interval_secs = 3\n${smbShare("CORE")}`);
  const [subject] = shareSubjects(config, context({ intervalMs: 250 }).context);
  assert.equal(subject?.policy.checkIntervalMs, 250);
});

test("a password is taken from the environment and kept out of every log line", async () => {
  const config = await configOf(smbShare("CORE", ['username = "ada"', 'password = "${NAS_PASSWORD}"']));
  const { context: given, redacted } = context({ environment: { NAS_PASSWORD: "hunter two" } });
  const [subject] = shareSubjects(config, given);
  assert.deepEqual([subject?.spec.password, subject?.spec.missingVariable], ["hunter two", null]);
  assert.deepEqual(redacted, ["hunter two"]);
});

test("an unset variable is named, and is not a password; an empty one is", async () => {
  const config = await configOf(
    `${smbShare("CORE", ['password = "${UNSET}"'])}${smbShare("MEDIA", ['password = "${EMPTY}"'])}${smbShare("GUEST")}`,
  );
  const subjects = shareSubjects(config, context({ environment: { EMPTY: "" } }).context);
  assertEach(subjects, ({ spec }) => [spec.name, spec.password, spec.missingVariable], [
    ["CORE", null, "UNSET"],
    ["MEDIA", "", null],
    ["GUEST", null, null],
  ]);
});

test("no share, no subject", async () => {
  assert.deepEqual(shareSubjects(await configOf(""), context().context), []);
});

test("in /Volumes macOS names the mounts: a share is mounted there under the server's name", async () => {
  const path = async (root: string, driver: "fs" | "netfs"): Promise<string | undefined> => {
    const config = await configOf(
      `[global]\nmount_root = "${root}"\n${smbShare("CORE", ['share_name = "core data"'])}`,
    );
    const shares = config.shares.map((share) => ({ ...share, driver }));
    return shareSubjects({ ...config, shares }, context().context)[0]?.spec.mountPath;
  };
  assert.equal(await path("/Volumes", "netfs"), "/Volumes/core data");
  assert.equal(await path("/Volumes", "fs"), "/Volumes/CORE");
  assert.equal(await path("/home/ann/volumes", "netfs"), "/home/ann/volumes/CORE");
});

// Its clock stands still: however busy the machine is, no look is late.
const proberOfFile = fileProber({ clock: createManualClock(), logger: noopLogger });

async function scene(t: TestContext) {
  const prober = proberOfFile();
  const folder = await temporaryFolder(t);
  let looks = 0;
  const counting: Prober = {
    ...prober,
    readLink(path, waitMs) {
      looks += 1;
      return prober.readLink(path, waitMs);
    },
  };
  const clock = createManualClock();
  const spec = specOf({
    mountPath: join(folder, "volumes", "CORE"),
    stablePath: join(folder, "Shares", "CORE"),
  });
  const { ensure, ensureNow, check } = createStableLinks(clock, counting);
  return {
    folder,
    clock,
    spec,
    ensure,
    ensureNow,
    look: check,
    link: () => readlink(spec.stablePath),
    looks: () => looks,
  };
}

test("a correct link is rechecked only after two seconds, then repaired", async (t) => {
  const { spec, ensure, link, looks, clock } = await scene(t);
  await ensure(spec, spec.mountPath);
  await rm(spec.stablePath);
  assert.equal(ensure(spec, spec.mountPath), null, "at once, without a promise");
  assert.equal(looks(), 1);
  await clock.advance(2_000);
  assert.equal(await ensure(spec, spec.mountPath), null);
  assert.equal(await link(), spec.mountPath);
});

test("a changed target is applied at once: the link follows an adopted mount, and returns", async (t) => {
  const { folder, spec, ensure, link } = await scene(t);
  await ensure(spec, spec.mountPath);
  const adopted = join(folder, "media", "core");
  assert.equal(await ensure(spec, adopted), null);
  assert.equal(await link(), adopted);
  assert.equal(await ensure(spec, spec.mountPath), null);
  assert.equal(await link(), spec.mountPath);
});

test("A6 after a change of the mount path the old link is still ours", async (t) => {
  const { folder, spec, ensure, link } = await scene(t);
  await ensure(spec, spec.mountPath);
  const moved = { ...spec, mountPath: join(folder, "elsewhere", "CORE") };
  assert.equal(await ensure(moved, moved.mountPath), null);
  assert.equal(await link(), moved.mountPath);
});

test("A6 after a change of the link's own path there is a new one, and the old one stays", async (t) => {
  const { folder, spec, ensure, link } = await scene(t);
  await ensure(spec, spec.mountPath);
  const moved = { ...spec, stablePath: join(folder, "Other", "CORE") };
  assert.equal(await ensure(moved, moved.mountPath), null);
  assert.equal(await readlink(moved.stablePath), spec.mountPath);
  assert.equal(await link(), spec.mountPath);
});

for (const [what, make] of [
  ["a file", (path: string) => writeFile(path, "mine")],
  ["a folder", (path: string) => mkdir(path)],
  ["a link to something else", (path: string) => symlink("/etc", path)],
] as const) {
  test(`${what} in its place blocks it, is named and unchanged, and is checked each time`, async (t) => {
    const { folder, spec, ensure, looks } = await scene(t);
    await mkdir(join(folder, "Shares"));
    await make(spec.stablePath);
    for (const look of [1, 2]) {
      assert.match((await ensure(spec, spec.mountPath))?.by ?? "", /Shares\/CORE is a/);
      assert.equal(looks(), look);
    }
    await rm(spec.stablePath, { recursive: true });
    assert.equal(await ensure(spec, spec.mountPath), null);
  });
}

test("a person's request checks and repairs the link at once", async (t) => {
  const { spec, ensure, ensureNow, link } = await scene(t);
  await ensure(spec, spec.mountPath);
  await rm(spec.stablePath);
  assert.equal(await ensureNow(spec, spec.mountPath), null);
  assert.equal(await link(), spec.mountPath);
});

test("a check reports faults and changes nothing", async (t) => {
  const { folder, spec, ensure, look, link } = await scene(t);
  assert.equal(await look(spec, null), null, "nothing is mounted, and nothing is in the way");
  assert.equal((await look(spec, spec.mountPath))?.by, `${spec.stablePath} is missing`);
  await assert.rejects(link(), { code: "ENOENT" });
  await ensure(spec, spec.mountPath);
  assert.equal(await look(spec, spec.mountPath), null);
  const adopted = join(folder, "media", "core");
  assert.equal((await look(spec, adopted))?.by, `${spec.stablePath} is a link to ${spec.mountPath}`);
  await rm(spec.stablePath);
  await writeFile(spec.stablePath, "mine");
  for (const mountedAt of [null, spec.mountPath]) {
    assert.equal((await look(spec, mountedAt))?.by, `${spec.stablePath} is a file`);
  }
});
