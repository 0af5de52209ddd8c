import assert from "node:assert/strict";
import test from "node:test";
import { type SubjectContext, shareSubjects } from "../../../src/daemon/compose/share-subjects.ts";
import type { MountDriver } from "../../../src/shares/drivers/mount-driver.ts";
import { assertEach } from "../../support/assert-each.ts";
import { configOf, smbShare } from "../samples.ts";
import { UNASKED_DRIVER } from "../shares.ts";

const rclone = UNASKED_DRIVER;
const local: MountDriver = { ...UNASKED_DRIVER, name: "local" };
const netfs: MountDriver = { ...UNASKED_DRIVER, name: "netfs" };
const cifs: MountDriver = { ...UNASKED_DRIVER, name: "cifs" };

function context(changes: Partial<SubjectContext> = {}): { context: SubjectContext; redacted: string[] } {
  const redacted: string[] = [];
  const redact = (secret: string): void => void redacted.push(secret);
  return {
    context: {
      environment: {},
      drivers: { rclone, local, netfs, cifs },
      redact,
      intervalMs: null,
      ...changes,
    },
    redacted,
  };
}

test("a share is mounted below mount_root and linked below shares_root, by its name", async () => {
  const config = await configOf(
    `[global]\nshares_root = "~/Links/"\nmount_root = "/mnt/nas"\n${smbShare("CORE", ['share_name = "core$"'])}`,
  );
  const [subject] = shareSubjects(config, context().context);
  assert.equal(subject?.spec.mountPath, "/mnt/nas/CORE");
  assert.equal(subject?.spec.stablePath, "/home/ada/Links/CORE");
  assert.equal(subject?.spec.shareName, "core$");
  assert.equal(subject?.driver, rclone);
});

test("each share has its driver, and all the policy of the file", async () => {
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
    ["CORE", "rclone", "rclone"],
    ["DISK", "local", "local"],
  ]);
  for (const { policy } of subjects) {
    assert.deepEqual(policy, {
      checkIntervalMs: 3000,
      connectTimeoutMs: 900,
      mountHangMs: 7000,
      carry: "auto",
      outagePatienceMs: 60_000,
      autoFailback: true,
      stableMs: 11_000,
      lsofRecheck: false,
    });
  }
});

test("what the command line says of the interval beats the file", async () => {
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

test("a variable that is not set is named, and is no password; an empty one is one", async () => {
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

test("in /Volumes macOS names what it mounts: a share stands there by the server's name", async () => {
  const path = async (root: string, driver: string): Promise<string | undefined> => {
    const config = await configOf(
      `[global]\nmount_root = "${root}"\n${smbShare("CORE", ['share_name = "core data"', `driver = "${driver}"`])}`,
    );
    return shareSubjects(config, context().context)[0]?.spec.mountPath;
  };
  assert.equal(await path("/Volumes", "netfs"), "/Volumes/core data");
  assert.equal(await path("/Volumes", "rclone"), "/Volumes/CORE");
  assert.equal(await path("/home/ann/volumes", "netfs"), "/home/ann/volumes/CORE");
});
