// (c) NetFS: a good share, a wrong one, a wrong password, a server that is silent and a cancelled mount, the good one again.
import { readdir } from "node:fs/promises";
import { run } from "./command.ts";
import { describe, mount, mountGood, startNas } from "./nas.ts";
import { prove } from "./report.ts";

const NO_SUCH_SHARE = [2, -1_073_741_275, -1_073_741_620, -5998, -6003];
const WRONG_PASSWORD = [80, 13, -5045, -5046, -6004];
const DEADLINE_MS = 20_000;
const CANCELLED_AFTER_MS = 6_000;
const SPARE_MS = 1_500;

await prove("c-netfs", async (report) => {
  await using rig = await startNas();
  const { tbHost: host, tbPort: port, username, password } = rig;
  const good = await mountGood(report, rig);
  report.note(`/Volumes: ${(await readdir("/Volumes").catch(() => [])).join(", ")}`);
  report.note(`umount: ${JSON.stringify(await run("umount", [good]))}`);

  const refused = async (
    what: string,
    logon: Partial<Parameters<typeof mount>[0]>,
    statuses: readonly number[],
  ): Promise<void> => {
    const outcome = await mount({ host, port, username, password, ...logon }, DEADLINE_MS);
    report.check(
      outcome.kind === "called" && statuses.includes(outcome.status),
      `${what} has one of the statuses ${statuses.join(", ")}`,
      describe(outcome),
      "give the new number its row in src/shares/drivers/netfs/codes.ts, and this file the number",
    );
  };
  await refused("a share that is not there", { shareName: "NOT-THERE" }, NO_SUCH_SHARE);
  await refused("a wrong password", { password: "wrong" }, WRONG_PASSWORD);

  await rig.cables.fallback.setMode("hang");
  const { fallbackHost, fallbackPort } = rig;
  const silent = { host: fallbackHost, port: fallbackPort, username, password };
  const outcome = await mount(silent, CANCELLED_AFTER_MS);
  report.check(
    outcome.kind === "timed_out" && outcome.ms < CANCELLED_AFTER_MS + SPARE_MS,
    "a silent server's mount is cancelled in time",
    describe(outcome),
    "src/shares/drivers/netfs/binding.ts cancels; see whether the call or the block came back",
  );
  const again = await mountGood(report, rig);
  const removed = await run("umount", [again]);
  report.check(
    removed.code === 0,
    "after the cancelled mount, mounting and unmounting still works",
    `umount ended with ${removed.code}: ${removed.output}`,
    "the cancelled call may have wedged NetAuthSysAgent: is it among the processes, and since when",
  );
  report.note(
    (await run("ps", ["-axo", "pid,etime,command"])).output.split("\n").filter(isNetAuth).join("; "),
  );
});

function isNetAuth(line: string): boolean {
  return line.includes("NetAuth");
}
