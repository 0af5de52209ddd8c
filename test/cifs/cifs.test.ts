// The Linux kernel's own SMB client, in a guest that has one: Debian 12 under QEMU, with a NAS on two routes inside.
// The guest plays `guest/suite.ts` and says a verdict for each test here. MOUNTAINEER_CIFS=all plays all of it;
// MOUNTAINEER_CIFS_KERNEL=bookworm-backports takes the newer kernel.
import assert from "node:assert/strict";
import { accessSync, constants } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { pluck } from "../support/pluck.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { type GuestMachine, startGuest } from "./guest-machine.ts";
import { guestImage, KERNEL_SUITES } from "./image.ts";
import { makePayload } from "./payload.ts";

const all = process.env["MOUNTAINEER_CIFS"] === "all";
const kernel = KERNEL_SUITES.find((one) => one === process.env["MOUNTAINEER_CIFS_KERNEL"]) ?? "bookworm";
/** One part of the suite alone, for those who work on it. */
const chapters = (process.env["MOUNTAINEER_CIFS_CHAPTERS"] ?? "").split(",").filter((one) => one !== "");

const IMAGE_MS = 600_000;
/** On a machine that has nothing else to do, the slice takes two minutes, and all of it ten. */
const LIMIT_MS = all ? 1_500_000 : 300_000;
const TOOLS = ["qemu-system-x86_64", "debootstrap", "mke2fs", "dpkg-deb", "apt-get"];

const missing = whatIsMissing();

function whatIsMissing(): string | null {
  if (process.platform !== "linux" || process.arch !== "x64") return "needs Linux on x86_64";
  if (process.getuid?.() !== 0) return "needs root to build the guest";
  const folders = [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/sbin"];
  const lacking = TOOLS.filter((tool) => !folders.some((folder) => isProgram(path.join(folder, tool))));
  return lacking.length === 0 ? null : `needs ${lacking.join(", ")}`;
}

/** Whether this product has `relay`: then what is mounted for each route has to say so. */
async function knowsCarry(): Promise<boolean> {
  const schema = path.resolve(import.meta.dirname, "../../docs/reference/config.schema.json");
  return (await readFile(schema, "utf8")).includes('"relay"');
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

describe("cifs in a guest with a kernel that has it", { skip: missing ?? false }, () => {
  let guest: GuestMachine | undefined;
  const ending: (() => unknown)[] = [];
  const tell = (line: string): void => void process.stderr.write(`${line}\n`);

  before(
    async () => {
      // Not with this hook's own `after`, which runs when the hook has ended.
      const folder = await temporaryFolder({ after: (end) => void ending.push(end) });
      const image = await guestImage(kernel, tell, AbortSignal.timeout(IMAGE_MS));
      const payload = await makePayload(folder);
      guest = await startGuest({
        image,
        payload,
        folder,
        suite: [all ? "all" : "slice", (await knowsCarry()) ? "carry" : "plain", ...chapters],
        limitMs: LIMIT_MS,
        tell,
      });
    },
    { timeout: IMAGE_MS + 240_000 },
  );
  after(async () => {
    await guest?.[Symbol.asyncDispose]();
    for (const end of ending) await end();
  });

  const running = (): GuestMachine => {
    assert.ok(guest !== undefined, "no guest runs");
    return guest;
  };
  /** The guest says it in its own time; whatever comes first is asked for first. */
  const says = (id: string) => async (t: TestContext) => {
    const { ok, text, tookMs } = await running().verdict(id);
    t.diagnostic(`${(tookMs / 1000).toFixed(1)} s: ${text}`);
    assert.ok(ok, text);
  };

  test(
    "A10 relayed, it is mounted once, through a port of this machine, and shown as its preferred host's",
    says("carried.mounted"),
  );
  test(
    "A10, A11 through four moves reads are right, nothing acknowledged is lost, at most one error a move",
    says("carried.moves"),
  );
  test("A10 eight seconds without a route are a pause", says("carried.held"));
  test(
    "A10 a move gives a lock up until its owner touches the file again, as the documentation says",
    says("carried.locks"),
  );
  if (all) {
    test("A10, A11 through twenty moves the same", says("carried.many"));
    test(
      "A10 unwritten data in memory without a route blocks programs that wait for it, and arrives in the end",
      says("carried.waiting-pages"),
    );
    test("A10 75 seconds without a route cost two errors at most", says("carried.long"));
  }
  test("A10 a relayed mount is released by a plain unmount", says("carried.unmounted"));
  if (all) {
    test("A10 as a user one line of fstab is enough", says("user.one-line"));
    test(
      "A10, A11 as a user through four moves reads are right, and nothing acknowledged is lost",
      says("user.moves"),
    );
    test(
      "A11 SQLite with `nobrl`: through four moves the database is whole, with every committed row",
      says("user.sqlite"),
    );
    test("A10 a user's relayed mount is released by that user", says("user.unmounted"));
    test(
      "A10 as a user with a line for each route a share cannot fail over: one relayed line is the solution",
      says("user.two-lines"),
    );
  }

  test("A2 as root the kernel's client mounts over tb, and status shows it", says("root.mounted"));
  test("A9 a wrong password, a wrong share and a missing server are distinguished", says("root.wrong"));
  test("What to mount: its own link goes down, and the share fails over", says("root.link"));
  test(
    "A7 an open file is TB Ready and blocks `unmount`; once closed, the share fails back",
    says("root.busy"),
  );
  test("What to mount: the server dies, the mount is kept, and answers when it returns", says("root.server"));
  test(
    "A11 silence in the middle of work: all data that fsync acknowledged is on the server",
    says("root.fsynced"),
  );
  test("Recovery: the route is back, nothing is open, and the share fails back", says("root.recovery"));
  if (all) test("By hand: with both routes silent a forced unmount succeeds", says("root.both-silent"));

  test("the guest prints nothing that no test here asks for", async () => {
    const rest = await running().rest();
    assert.deepEqual(pluck(rest, "id"), []);
  });
});
