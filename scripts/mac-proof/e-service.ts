// (e) The service in the desktop session: what launchd says of it, how it is shown, and whether it outlives a kill.
import { mkdtemp, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { run, until } from "./command.ts";
import { prove, type Report } from "./report.ts";

const MOUNTAINEER = resolve(import.meta.dirname, "../../bin/mountaineer");
const UID = process.getuid?.() ?? 0;
/** launchd waits ten seconds before it starts an agent again. */
const BACK_WITHIN_MS = 40_000;
const GONE_WITHIN_MS = 20_000;
const ENVIRONMENT_OF = "src/cli/service/service-manager-darwin.ts writes the agent";

await prove("e-service", async (report) => {
  const session = await run("launchctl", ["print", `gui/${UID}`]);
  report.check(
    session.code === 0,
    "this user has a desktop session",
    session.output.split("\n")[0] ?? "",
    "an image without one can prove nothing here: look whether its user is logged in at the screen",
  );
  // Short, because the path of the home's socket may have 104 bytes.
  const home = await mkdtemp("/tmp/mac-proof-");
  await writeFile(join(home, "config.toml"), "");
  const ours = { MOUNTAINEER_HOME: home };
  const mountaineer = (...args: readonly string[]) => run(MOUNTAINEER, args, ours, 120_000);
  const plist = (await mountaineer("up", "--print")).output;
  try {
    await playService(report, mountaineer, plist);
  } finally {
    const removed = await mountaineer("uninstall");
    report.check(
      removed.code === 0,
      "the service is uninstalled",
      `${removed.code}: ${removed.output}`,
      "launchctl bootout's answer is in the text",
    );
    const launchdLog = /<key>StandardErrorPath<\/key>\s*<string>([^<]+)</.exec(plist)?.[1] ?? "";
    for (const log of [launchdLog, join(home, "mountaineer.log")])
      report.note(`${log}: ${(await run("tail", ["-n", "40", log])).output}`);
  }
});

async function playService(
  report: Report,
  mountaineer: (...args: readonly string[]) => ReturnType<typeof run>,
  plist: string,
): Promise<void> {
  const label = /<key>Label<\/key>\s*<string>([^<]+)</.exec(plist)?.[1] ?? "";
  const agent = `gui/${UID}/${label}`;
  const pid = async (): Promise<number | null> => {
    const { output } = await mountaineer("status", "--json");
    return Number(/"pid": (\d+)/.exec(output)?.[1] ?? 0) || null;
  };
  const isOurs = async (what: string): Promise<void> => {
    const running = await pid();
    const kin = await run("ps", ["-o", "pid=,ppid=,command=", "-p", String(running)]);
    const environment = await run("ps", ["eww", "-o", "command=", "-p", String(running)]);
    const name = /\bXPC_SERVICE_NAME=(\S+)/.exec(environment.output)?.[1] ?? "none";
    report.check(
      running !== null && name === label,
      `${what}, the daemon has XPC_SERVICE_NAME=${label}`,
      `${name}; ${kin.output}`,
      `the hints on permissions compare that name; ${ENVIRONMENT_OF}`,
    );
  };

  const up = await mountaineer("up");
  report.check(up.code === 0, "up starts the agent", `${up.code}: ${up.output}`, ENVIRONMENT_OF);
  const printed = await run("launchctl", ["print", agent]);
  report.check(
    /state = running/.test(printed.output),
    "launchd says that it runs",
    linesWith(printed.output, /^\s*(state|program|pid|last exit code|path|spawn type) = /),
    "the last exit code says why not: 78 is a bad agent or log path, 127 no Node",
  );
  report.note(`launchctl print: ${linesWith(printed.output, /XPC_SERVICE_NAME|parent|properties|runs/)}`);
  await isOurs("after up");
  const items = await run("sudo", ["sfltool", "dumpbtm"]);
  report.note(`Login Items (${items.code}): ${itemOf(items.output, label)}`);

  const before = await pid();
  const handed = await mountaineer("restart");
  const after = await pid();
  report.check(
    handed.code === 0 && after !== null && after !== before,
    "a handover replaces the daemon under the same agent",
    `${handed.code}: ${handed.output}; pid ${before}, then ${after}`,
    "bin/service-keeper.sh stays launchd's process; the log's end is printed below",
  );
  await isOurs("after a handover");

  if (after !== null) process.kill(after, "SIGKILL");
  const back = await until(async () => {
    const now = await pid();
    return now === null || now === after ? null : now;
  }, BACK_WITHIN_MS);
  report.check(
    back !== null,
    `launchd starts it again after kill -9 within ${BACK_WITHIN_MS} ms`,
    back === null ? "it did not come back" : `pid ${back.found} after ${back.ms} ms`,
    "KeepAlive, SuccessfulExit false: the keeper's exit code must not be 0 after a kill",
  );

  const out = await run("launchctl", ["bootout", agent]);
  report.note(`launchctl bootout: ${out.code} ${out.output}`);
  const gone = await until(
    async () => ((await run("launchctl", ["print", agent])).code === 0 ? null : true),
    GONE_WITHIN_MS,
  );
  report.check(
    gone !== null && (await pid()) === null,
    "bootout ends agent and daemon",
    gone === null ? "launchd still lists it" : `gone after ${gone.ms} ms`,
    "ExitTimeOut in the agent bounds it; the keeper passes TERM on",
  );
}

function linesWith(text: string, wanted: RegExp): string {
  const lines = text.split("\n").filter((line) => wanted.test(line));
  return lines.map((line) => line.trim()).join("; ") || text.slice(0, 300);
}

/** The entry in which the label is, from its number to the next one's. */
function itemOf(text: string, label: string): string {
  const entry = text.split(/^\s*#\d+:/m).find((each) => each.includes(label));
  return (
    entry?.trim().replace(/\s*\n\s*/g, "; ") ??
    `not listed in ${text.length} characters: ${text.slice(0, 200)}`
  );
}
