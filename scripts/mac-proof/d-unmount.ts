// (d) Unmounting: how late the folder goes, who holds a file, and what frees a mount whose server is silent.
import { lstat, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { systemErrorCode } from "../../src/runtime/errors.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { run, until } from "./command.ts";
import { mountGood, startNas } from "./nas.ts";
import { openLibproc, readMountTable } from "./parts-of-macos.ts";
import { prove } from "./report.ts";

const ROUNDS = 20;
/** As long as the driver waits for it. */
const FOLDER_GONE_MS = 3_000;
const TABLE_MS = 250;
const FORCED_MS = 40_000;

await prove("d-unmount", async (report) => {
  const table = await readMountTable();
  const isMounted = (path: string): boolean => table().some((entry) => entry.path === path);
  await using rig = await startNas();

  const late: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const path = await mountGood(report, rig);
    const { code, output } = await run("umount", [path]);
    if (code !== 0) throw new Error(`umount ${path} ended with ${code}: ${output}`);
    const gone = await until(async () => ((await isThere(path)) ? null : true), FOLDER_GONE_MS);
    if (gone === null) report.note(`round ${round}: ${path} was still there, with ${await contents(path)}`);
    late.push(gone?.ms ?? Number.POSITIVE_INFINITY);
  }
  report.check(
    late.every(Number.isFinite),
    `the folder is gone within ${FOLDER_GONE_MS} ms of each unmount`,
    `${late.join(", ")} ms`,
    "raise the driver's wait for /Volumes in src/shares/drivers/netfs/netfs.ts to what was measured",
  );

  const path = await mountGood(report, rig);
  report.check(
    isMounted(path),
    "getfsstat lists the mount",
    JSON.stringify(table().filter(({ type }) => type === "smbfs")),
    "struct statfs is described in src/shares/mounts/getfsstat-darwin.ts",
  );
  await using file = await open(join(path, "held"), "w");
  await file.write("held");
  const libproc = await openLibproc();
  const holders = await libproc.holders(path);
  report.check(
    holders.includes(process.pid),
    "libproc names this process, which holds a file",
    holders.map((pid) => `${pid} ${libproc.nameOf(pid)}`).join(", ") || "nobody",
    "compare the flags in src/shares/prober/open-files-darwin.ts with <sys/proc_info.h>",
  );
  const busy = await run("umount", [path]);
  report.check(
    busy.code !== 0,
    "a plain umount is refused as busy",
    busy.output,
    "then nothing guards open files",
  );
  await file.close();
  await run("umount", [path]);

  for (const [program, ...args] of [
    ["umount", "-f"],
    ["diskutil", "unmount", "force"],
  ] as const) {
    const silent = await mountGood(report, rig);
    await rig.cables.tb.setMode("hang");
    const startedAtMs = systemClock.monotonicMs();
    const lists = isMounted(silent);
    const tookMs = systemClock.monotonicMs() - startedAtMs;
    report.check(
      lists && tookMs < TABLE_MS,
      `getfsstat answers within ${TABLE_MS} ms while the server is silent`,
      `${lists ? "listed" : "not listed"} after ${tookMs.toFixed(1)} ms`,
      "the daemon's thread calls it: it must move to a child process if it can block",
    );
    const freed = await run(program, [...args, silent], {}, FORCED_MS);
    report.check(
      !isMounted(silent),
      `${program} ${args.join(" ")} frees a mount whose server is silent`,
      `${freed.code} after ${freed.tookMs} ms: ${freed.output}`,
      "compare with the budgets of src/shares/drivers/netfs/netfs.ts; the next command of its ladder follows here",
    );
    await rig.cables.tb.setMode("pass");
    await until(async () => (isMounted(silent) || (await isThere(silent)) ? null : true), FOLDER_GONE_MS);
  }
});

/** Only asked when nothing is mounted there any more. */
async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return false;
    throw error;
  }
}

async function contents(path: string): Promise<string> {
  const { uid, mode } = await lstat(path);
  return `uid ${uid}, mode ${mode.toString(8)}, ${(await readdir(path)).length} entries`;
}
