// One thing to install: made of this checkout, played where there is no Node. A slice plays it on this machine with Node hidden;
// MOUNTAINEER_BUNDLE=all plays it in bare roots of Debian 12 and 13. `npm run release -- rehearse` compares what two clones make.
import assert from "node:assert/strict";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { run } from "../../scripts/mount/run.ts";
import { bareRoot } from "../../scripts/release/bare-root.ts";
import { startPlainRig } from "../../src/demo/stage/plain-rig.ts";
import { missingForSmb } from "../../src/demo/stage/smb-available.ts";
import { freePort } from "../support/free-port.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const STORY = path.join(import.meta.dirname, "programs/bundle-story.sh");
const all = process.env["MOUNTAINEER_BUNDLE"] === "all";
const missing = process.getuid?.() === 0 ? ((await missingForSmb("/nowhere")) ?? false) : "needs root";

describe("one thing to install", { skip: missing, timeout: all ? 3_600_000 : 1_200_000 }, () => {
  let output = "";
  let files = { first: "", next: "" };

  before(async () => {
    output = await mkdtemp(path.join(tmpdir(), "mountaineer-test-"));
    const make = async (version: string): Promise<string> => {
      await singleFile(path.join(output, version), version);
      return path.join(output, version, `mountaineer-${version}-linux-${process.arch}.run`);
    };
    files = { first: await make("0.1.0"), next: await make("0.2.0") };
  });

  after(() => rm(output, { recursive: true, force: true }));

  for (const root of all ? ["bookworm", "trixie"] : ["/"]) {
    test(`F3 shows the demo, mounts a share, upgrades under a session, and leaves nothing (${root})`, async (t) => {
      const work = await temporaryFolder(t);
      await using nas = await startPlainRig({ shares: ["CORE"] });
      await writeFile(path.join(nas.exportPath("CORE"), "kept.txt"), "kept\n");
      await symlink(nas.exportPath("CORE"), path.join(work, "exported"));
      await copyFile(
        path.join(ROOT, "test/docs/programs/tools-server.mjs"),
        path.join(work, "tools-server.mjs"),
      );
      const home = path.join(work, "home");
      await mkdir(home);
      await writeFile(path.join(work, "password"), nas.password);
      await writeFile(
        path.join(work, "config.toml"),
        `[[shares]]
name = "CORE"
thunderbolt_host = "${nas.tbHost}:${nas.tbPort}"
fallback_host = "${nas.fallbackHost}:${nas.fallbackPort}"
username = "${nas.username}"
password = "secret:nas"

[backends.tools]
command = "${home}/.local/share/mountaineer/current/dist/node"
args = ["${work}/tools-server.mjs"]

[server]
port = ${await freePort()}
`,
      );
      const place = root === "/" ? "/" : await bareRoot(root, ["fuse3"]);
      const said = await run("unshare", [
        ...["--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-euc", ENTER, "sh", place, home],
        ...[output, path.dirname(nas.exportPath("CORE")), work, STORY, files.first, files.next],
      ]);
      assert.match(said, /== done\n$/);
      assert.deepEqual((await readdir(nas.exportPath("CORE"))).sort(), ["kept.txt", "new.txt"]);
      assert.equal(await readFile(path.join(nas.exportPath("CORE"), "new.txt"), "utf8"), "written here\n");
      assert.equal(await readFile(path.join(nas.exportPath("CORE"), "kept.txt"), "utf8"), "kept\n");
    });
  }
});

/** Enters the root with this machine's network, with what the story needs at the paths that it has here. */
const ENTER = `
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
place=$1 home=$2
shift 2
if [ "$place" = / ]; then
  found=$(command -v node) && mount --bind /dev/null "$(readlink -f "$found")"
  mount -t proc proc /proc
else
  for one in "$1" "$2" "$3"; do mkdir -p "$place$one"; mount --bind "$one" "$place$one"; done
  mkdir -p "$place$(dirname "$4")"
  cp "$4" "$place$4"
  mount --bind /dev "$place/dev"
  mount -t proc proc "$place/proc"
fi
work=$3 story=$4 first=$5 next=$6
cd /
exec env -i HOME="$home" PATH="$PATH" LC_ALL=C chroot "$place" /bin/sh "$story" "$work" "$first" "$next"
`;

async function singleFile(output: string, version: string): Promise<void> {
  const options = ["--output", output, "--only", "run", "--level", "1", "--version", version];
  await run(process.execPath, ["scripts/bundle.ts", ...options], { cwd: ROOT });
}
