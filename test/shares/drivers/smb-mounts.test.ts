// Which mounts may be taken for a share that is ours to look after, and what is told when one is not let go of.
import assert from "node:assert/strict";
import test, { describe, it } from "node:test";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { indexMounts, isReadable, routeOfSource } from "../../../src/shares/drivers/smb-mounts.ts";
import { runUnmountProgram } from "../../../src/shares/drivers/unmount-command.ts";
import { createMountTableLinux } from "../../../src/shares/mounts/mount-table-linux.ts";
import { parseMountInfo } from "../../../src/shares/mounts/mount-table-mountinfo.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { routeTo, shareSpec } from "../share-spec.ts";

const OURS = 1000;

function mount(type: string, options: string) {
  const line = `36 35 0:48 / /mnt/CORE rw,nosuid - ${type} //nas/CORE rw,${options}`;
  const [{ device: _, root: __, mountId, ...rest } = assert.fail()] = parseMountInfo(Buffer.from(line));
  return { ...rest, id: String(mountId) };
}

describe("a mount that another user made", () => {
  for (const [what, type, options, userId, readable] of [
    ["through FUSE", "fuse.rclone", "user_id=1001,group_id=1001", OURS, false],
    ["through FUSE as root", "fuse.rclone", "user_id=0,group_id=0", OURS, false],
    ["for everyone", "fuse.rclone", "user_id=0,group_id=0,allow_other", OURS, true],
    ["and is ours", "fuse.rclone", "user_id=1000,group_id=1000", OURS, true],
    ["seen by root", "fuse.rclone", "user_id=1001,group_id=1001", 0, true],
    ["in the kernel", "cifs", "uid=1001,addr=10.0.0.1", OURS, true],
  ] as const) {
    it(`${what} is ${readable ? "" : "not "}readable`, () => {
      assert.equal(isReadable(mount(type, options), userId), readable);
    });
  }
});

describe("a mount of the kernel's client that somebody else made", () => {
  const share = shareSpec({
    shareName: "My Share",
    driver: "cifs",
    routes: { tb: routeTo("10.10.10.1"), fallback: routeTo("nas.local") },
  });
  const addresses: Readonly<Record<string, readonly string[]>> = {
    "nas.local": ["192.168.1.9", "2001:db8::5", "fe80::1%eth0"],
    nas: ["192.168.1.9"],
  };
  const routeOf = async (source: string, options: string, root = "/", type = "cifs") => {
    const text = `36 35 0:48 ${root} /mnt/x rw,nosuid - ${type} ${source} rw,${options}\n`;
    const readTable = () => Promise.resolve(Buffer.from(text));
    const entries = await createMountTableLinux({ clock: createManualClock(), readTable }).read(0);
    const [mount] = indexMounts(entries).named(share.shareName);
    return mount === undefined ? "no root" : routeOfSource(share, mount, (host) => addresses[host] ?? []);
  };
  for (const [what, source, options, expected] of [
    ["by its address, without regard to case", "//10.10.10.1/my\\040SHARE", "addr=10.10.10.1", "tb"],
    ["by its name", "//NAS.local/My\\040Share", "addr=192.168.1.9", "fallback"],
    ["by another name of the same address", "//nas/My\\040Share", "vers=3.0", "fallback"],
    ["by a name that only the kernel knew", "//old-name/My\\040Share", "addr=192.168.1.9", "fallback"],
    [
      "by an IPv6 address at full length",
      "//x/My\\040Share",
      "addr=2001:0db8:0000:0000:0000:0000:0000:0005",
      "fallback",
    ],
    [
      "by a local IPv6 address with a zone",
      "//x/My\\040Share",
      "addr=fe80:0000:0000:0000:0000:0000:0000:0001%2",
      "fallback",
    ],
    ["as Windows spells it", "\\134\\13410.10.10.1\\134My\\040Share", "addr=10.10.10.1", "tb"],
    ["with an end slash", "//10.10.10.1/My\\040Share/", "addr=10.10.10.1", "tb"],
    ["on another port", "//10.10.10.1/My\\040Share", "addr=10.10.10.1,port=4450", null],
    ["on another server", "//10.10.10.7/My\\040Share", "addr=10.10.10.7", null],
    ["that is a folder of the share", "//10.10.10.1/My\\040Share/sub", "addr=10.10.10.1", "no root"],
    ["that is another share", "//10.10.10.1/Other", "addr=10.10.10.1", "no root"],
  ] as const) {
    it(`${what}: ${expected ?? "no route"}`, async () => {
      assert.equal(await routeOf(source.replaceAll("\\\\", "\\"), options), expected);
      assert.equal(await routeOf(source.replaceAll("\\\\", "\\"), options, "/", "smb3"), expected);
    });
  }

  it("a bound folder of it is not the share, although the table names the whole", async () => {
    assert.equal(await routeOf("//10.10.10.1/My\\040Share", "addr=10.10.10.1", "/sub"), "no root");
    assert.equal(await routeOf("//10.10.10.1/My\\040Share", "addr=10.10.10.1", "/"), "tb");
  });
});

const said = (script: string, { name, deadlineMs = 20_000 }: { name?: string; deadlineMs?: number } = {}) =>
  runUnmountProgram(
    { command: "/bin/sh", args: ["-c", script], ...(name === undefined ? {} : { name }) },
    { clock: systemClock, deadlineMs },
  );

test("one that ends well said nothing, whatever it wrote", async () => {
  assert.equal(await said("echo 'umount: unmounted' >&2"), "");
});

test("what it wrote is one line, of stderr before stdout", async () => {
  assert.equal(await said("echo out; printf ' a \\n\\n  b\\n' >&2; exit 1"), "a b");
  assert.equal(await said("echo out; exit 1"), "out");
});

test("its words are those of no language but English", async () => {
  assert.equal(await said("echo $LC_ALL; exit 1"), "C");
});

test("one that wrote nothing is told by its code or signal, under the caller's name for it", async () => {
  assert.equal(await said("exit 32"), "/bin/sh ended with 32");
  assert.equal(await said("exit 32", { name: "umount" }), "umount ended with 32");
  assert.equal(await said("kill -KILL $$", { name: "umount" }), "umount ended with SIGKILL");
});

test("one that hangs is told with its deadline in whole milliseconds", async () => {
  assert.equal(
    await said("exec sleep 600", { name: "umount", deadlineMs: 50.4 }),
    "umount did not end within 50 ms",
  );
});

test("one that is not there is told, not thrown", async () => {
  const missing = { command: "/nowhere/umount", args: [] };
  assert.match(await runUnmountProgram(missing, { clock: systemClock, deadlineMs: 20_000 }), /nowhere/);
});
