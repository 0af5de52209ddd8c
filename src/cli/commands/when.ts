// The command `when`: runs a program while a share is on a route.
import type { ShareStatus } from "../../api/contract/contract.ts";
import { ROUTES_BY_NAME } from "../../config/values/requirement.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { durationText, printable } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { type CommandContext, command } from "../input/command.ts";
import { callDaemon, type DaemonPurpose } from "../sessions/control-session.ts";
import { type RoutedProgram, startRouted } from "../sessions/routed-program.ts";

const BETWEEN_POLLS_MS = 500;
const BETWEEN_SWITCHES_MS = 5_000;
const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const DAEMON: DaemonPurpose = { intent: "look", so: "so no share follows its routes" };

function milliseconds(text: string): number | null {
  const [, count, unit = ""] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  return count === undefined ? null : Number(count) * (UNITS[unit] ?? 0);
}

export const whenCommand = command("when", {
  summary: "run a program while a share is on a route",
  description:
    "Waits for the route, and moves the share to it. If the route is lost, the program is ended (SIGTERM), or stopped until it is back (--pause). The exit code is the program's.",
  examples: {
    "mountaineer when --share CORE --route thunderbolt --within 2h -- rsync -a ~/Photos ~/Shares/CORE/":
      "a backup over the cable only",
    "mountaineer when --share CORE --route tb --pause -- restic backup ~": "stopped while the cable is out",
  },
  exits: { 1: "the route did not come in time, or the program cannot be started" },
  takes: {
    "--share <name>": { about: "the share", completes: "shares", isRequired: true },
    "--route <route>": {
      about: "thunderbolt (tb) or fallback",
      choices: Object.keys(ROUTES_BY_NAME),
      isRequired: true,
    },
    "--within <time>": {
      about: "how long to wait for the route, such as 90s or 2h; default: for ever",
      read: milliseconds,
      expected: "a number with s, m, h or d",
    },
    "--pause": "stop the program (SIGSTOP) while the route is lost",
    "<program...>": { about: "the program and its arguments, after --" },
  },
  async run(context, { share, route: named, within, pause, program: line }) {
    const route = ROUTES_BY_NAME[named] ?? "tb";
    const status = async (): Promise<ShareStatus> => {
      const { shares } = await callDaemon(context, DAEMON, "status", null);
      const found = shares.find(({ name }) => name === share);
      if (found === undefined) throw new MountaineerError("share_unknown", `there is no share ${share}`);
      return found;
    };
    const isOn = async (): Promise<boolean> => isOnRoute(await status(), route);
    const { override: before } = await status();
    try {
      await untilOn(context, { share, route, named, within, isOn });
      const program = startRouted(line);
      return await follow(context, program, { pause, isOn, text: `${share} is no longer on ${named}` });
    } finally {
      const now = await status().catch(() => null);
      // Else a person has decided something since.
      const isOurs = now?.override === (route === "fallback" ? "fallback" : null);
      if (isOurs && now.override !== before) await decideAgain(context, share, before);
    }
  },
});

/** Puts back what a person had decided. */
async function decideAgain(
  context: CommandContext,
  share: string,
  override: ShareStatus["override"],
): Promise<void> {
  if (override === "unmounted")
    await callDaemon(context, DAEMON, "unmount", { shares: [share] }).catch(() => {});
  else await toRoute(context, share, override === "fallback" ? override : "auto");
}

function isOnRoute({ active_interface, mount_alive, moves }: ShareStatus, route: string): boolean {
  return active_interface === route && mount_alive && (moves === undefined || moves.phase === "serving");
}

async function toRoute(
  context: CommandContext,
  share: string,
  to: "tb" | "fallback" | "auto",
): Promise<void> {
  await callDaemon(context, DAEMON, "switchRoute", { to, shares: [share] }).catch(() => {});
}

interface Wanted {
  readonly share: string;
  readonly route: "tb" | "fallback";
  readonly named: string;
  readonly within: number | null;
  readonly isOn: () => Promise<boolean>;
}

/** The share stays on fallback as long as it is asked for; on the preferred route it stays automatically. */
async function untilOn(
  context: CommandContext,
  { share, route, named, within, isOn }: Wanted,
): Promise<void> {
  const startMs = systemClock.monotonicMs();
  let switchedMs = Number.NEGATIVE_INFINITY;
  if (route === "fallback") await toRoute(context, share, route);
  else if (!(await isOn())) context.notify(`waiting for ${share} on ${named}`);
  while (!(await isOn())) {
    const nowMs = systemClock.monotonicMs();
    if (within !== null && nowMs - startMs >= within)
      throw new MountaineerError("timed_out", `${share} was not on ${named} within ${durationText(within)}`);
    if (nowMs - switchedMs >= BETWEEN_SWITCHES_MS) {
      switchedMs = nowMs;
      await toRoute(context, share, route);
    }
    await systemClock.sleep(BETWEEN_POLLS_MS, context.signal);
  }
}

interface Following {
  readonly pause: boolean;
  readonly isOn: () => Promise<boolean>;
  readonly text: string;
}

/** Resolves with the exit code. A daemon that restarts moves nothing. */
async function follow(
  { signal, notify }: CommandContext,
  program: RoutedProgram,
  { pause, isOn, text }: Following,
): Promise<number> {
  const forward = (): void => program.signal("SIGTERM");
  signal.addEventListener("abort", forward, { once: true });
  let isStopped = false;
  let isEnding = false;
  while (program.exitCode() === null) {
    await Promise.race([program.ended, systemClock.sleep(BETWEEN_POLLS_MS)]);
    const on = await isOn().catch(() => null);
    if (program.exitCode() !== null || on === null || isEnding) continue;
    if (!on && !pause) {
      isEnding = true;
      notify(`${text}: ${printable(program.name)} is ended`);
      program.signal("SIGTERM");
    } else if (on === isStopped) {
      isStopped = !on;
      notify(on ? `${printable(program.name)} continues` : `${text}: ${printable(program.name)} is stopped`);
      program.signal(on ? "SIGCONT" : "SIGSTOP");
    }
  }
  return program.ended;
}
