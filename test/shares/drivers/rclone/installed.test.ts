// A mount with the rclone that was installed into the home.
import assert from "node:assert/strict";
import { readFile, readlink, symlink, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { describe, it } from "node:test";
import { installRclone } from "../../../../src/rclone-release/install.ts";
import { sha256Of } from "../../../../src/runtime/files/sha256.ts";
import { runCommand } from "../../../../src/runtime/process/child-process.ts";
import { findProgram } from "../../../../src/runtime/process/find-program.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { zipOf } from "../../../rclone-release/zip.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { limits, mounted, PLAIN_NAME } from "../driver-contract.ts";
import { noSkip, startBench } from "./bench.ts";

describe("an rclone in the home", noSkip, () => {
  it("mounts in place of the system's, also where there is no other", async (t) => {
    const folders = (process.env["PATH"] ?? "").split(delimiter);
    const [real, fusermount] = await Promise.all(
      ["rclone", "fusermount3"].map((name) => findProgram(name, folders)),
    );
    assert.ok(typeof real === "string" && typeof fusermount === "string");
    const { stdout } = await runCommand(real, ["version"], { clock: systemClock, deadlineMs: 60_000 });
    const version = /^rclone v(\S+)/.exec(stdout)?.[1] ?? "";
    const platform = "linux-amd64";
    const zip = zipOf([{ name: `rclone-v${version}-${platform}/rclone`, content: await readFile(real) }]);

    const folder = await temporaryFolder(t);
    const path = process.env["PATH"];
    t.after(() => {
      process.env["PATH"] = path;
    });
    await using bench = await startBench(t);
    const file = join(folder, "rclone.zip");
    await writeFile(file, zip);
    const release = { version, sums: { [platform]: sha256Of(zip) } };
    const { signal } = new AbortController();
    const { program } = await installRclone({ home: bench.stateFolder, file, signal, platform, release });

    // The second is how versions before 1.61 call it.
    for (const name of ["fusermount3", "fusermount"]) await symlink(fusermount, join(folder, name));
    process.env["PATH"] = folder;
    const share = bench.share(PLAIN_NAME);
    const mount = await mounted(bench.driver, share, "tb");
    const [pid] = await bench.driver.ownProcesses(share, mount);
    assert.equal(await readlink(`/proc/${pid}/exe`), program);
    process.env["PATH"] = path;
    assert.deepEqual(await bench.driver.unmount(share, mount, "plain", limits()), { ok: true });
  });
});
