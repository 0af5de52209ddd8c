// What a soak does to the world: each is begun, told, and left to its consequences.
import { setTimeout as pause } from "node:timers/promises";
import type { Route } from "../../rig/root-rig-network.ts";
import { signalIfRuns } from "../../support/processes.ts";
import { pick } from "../random.ts";
import { ourProcesses, pidsOf, type Role } from "./our-processes.ts";
import { goesOn, MOVING, REMOUNTED, shiftClock, type World } from "./soak-world.ts";

export type Kind = "cut" | "kill" | "hang" | "edit" | "client" | "clock" | "command" | "handover";

export interface Happening {
  readonly kind: Kind;
  /** How often it is taken beside the others. */
  readonly weight: number;
  /** It ends a process whose growth is looked at. */
  readonly endsLives?: boolean;
  /** Resolves with what happened, in a few words. */
  readonly act: (world: World, random: () => number) => Promise<string>;
}

const LONGEST_HANG_MS = 3_000;
const LONGEST_ABSENCE_MS = 2_000;
const LONGEST_JUMP_MS = 60 * 60 * 1_000;
/** A reader of the configuration lives for a tenth of a second. */
const READER_COMES_MS = 1_000;
/** A command that waits for another daemon gives up after two minutes by itself. */
const COMMAND_MS = 150_000;
/** These stay for the whole time. */
export const LASTING_AGENTS = 4;
const MOST_AGENTS = 7;

const HAPPENINGS: readonly Happening[] = [
  ...cuts(),
  ...kills(),
  ...hangs(),
  { kind: "edit", weight: 5, act: async ({ config }, random) => `by hand: ${await config.editWell(random)}` },
  { kind: "edit", weight: 2, act: async ({ config }, random) => `badly: ${await config.editBadly(random)}` },
  { kind: "edit", weight: 3, act: setByCommand },
  { kind: "command", weight: 1, act: switchByHand },
  { kind: "handover", weight: 3, endsLives: true, act: handsOver },
  { kind: "client", weight: 2, act: comes },
  { kind: "client", weight: 2, act: leaves },
  { kind: "clock", weight: 2, act: jumps },
];

export function pickHappening(random: () => number, livesGoOn: boolean): Happening {
  const allowed = HAPPENINGS.filter(({ endsLives }) => endsLives !== true || !livesGoOn);
  let at = random() * allowed.reduce((sum, { weight }) => sum + weight, 0);
  for (const happening of allowed) {
    at -= happening.weight;
    if (at < 0) return happening;
  }
  return pick(random, allowed);
}

function anyRoute(random: () => number): Route {
  return random() < 0.6 ? "tb" : "fallback";
}

function cuts(): readonly Happening[] {
  const names = {
    ownLinkDown: "own link down",
    carrierLost: "cable pulled",
    farLinkDown: "far link down",
    silence: "silence",
    reject: "rejects",
  } as const;
  const made = Object.entries(names).map(([cut, name]): Happening => {
    return {
      kind: "cut",
      weight: 2,
      async act({ scene }, random) {
        const route = anyRoute(random);
        await scene.rig.cut[cut as keyof typeof names](route);
        return `${route} ${name}`;
      },
    };
  });
  const back: Happening = {
    kind: "cut",
    weight: 6,
    async act({ scene }) {
      await scene.rig.restoreAll();
      return "all links back";
    },
  };
  return [...made, back];
}

function kills(): readonly Happening[] {
  const roles: readonly (readonly [Role, number])[] = [
    ["prober", 1],
    ["backend", 2],
    ["backend warden", 1],
    [`mount of ${MOVING}`, 1],
    [`mount of ${REMOUNTED}`, 1],
  ];
  return [
    ...roles.map(
      ([role, weight]): Happening => ({
        kind: "kill",
        weight,
        endsLives: endsMount(role),
        act: (world, random) => signalOne(world, random, role, "SIGKILL"),
      }),
    ),
    { kind: "kill", weight: 1, act: killReader },
    {
      kind: "kill",
      weight: 3,
      endsLives: true,
      act: killDaemon,
    },
    {
      kind: "kill",
      weight: 2,
      async act({ scene, underWay }, random) {
        const routes: readonly Route[] = random() < 0.5 ? [anyRoute(random)] : ["tb", "fallback"];
        await Promise.all(routes.map((route) => scene.rig.killServerOn(route)));
        const awayMs = random() * LONGEST_ABSENCE_MS;
        // Over a link that is cut nobody sees that it is back; the end of the round looks again.
        const start = (route: Route): Promise<void> => scene.rig.startServerOn(route).catch(() => undefined);
        goesOn(
          underWay,
          pause(awayMs).then(() => Promise.all(routes.map(start))),
        );
        return `the NAS at ${routes.join(" and ")}`;
      },
    },
  ];
}

/** A mount whose program is gone, or hangs, is made anew; one that is remounted is made anew for each route as well. */
function endsMount(role: Role): boolean {
  return role === `mount of ${MOVING}`;
}

function hangs(): readonly Happening[] {
  const roles: readonly Role[] = [
    "daemon",
    "prober",
    "backend",
    "backend warden",
    `mount of ${MOVING}`,
    `mount of ${REMOUNTED}`,
  ];
  return [
    ...roles.map(
      (role): Happening => ({
        kind: "hang",
        weight: 1,
        endsLives: endsMount(role),
        act: (world, random) => signalOne(world, random, role, "SIGSTOP"),
      }),
    ),
    {
      kind: "hang",
      weight: 1,
      async act(world, random) {
        const route = anyRoute(random);
        try {
          hangFor(world, random, world.scene.rig.freezeServerOn(route));
        } catch {
          return `no NAS at ${route}`;
        }
        return `the NAS at ${route}`;
      },
    },
  ];
}

async function killDaemon({ daemon, killed }: World, random: () => number): Promise<string> {
  if (!(await daemon.kill(random() * LONGEST_ABSENCE_MS))) return "no daemon";
  killed("daemon");
  return "the daemon";
}

/** SIGKILL for one process of ours; each kind of them as often as the others. */
export async function killAny(world: World, random: () => number): Promise<void> {
  // A bridge is its client's: with it the session goes.
  const roles = [...new Set((await ourProcesses(world)).values())].filter((role) => role !== "mcp bridge");
  if (roles.length === 0) return;
  const role = pick(random, roles);
  if (role === "daemon") await killDaemon(world, random);
  else await signalOne(world, random, role, "SIGKILL");
}

async function signalOne(
  world: World,
  random: () => number,
  role: Role,
  signal: "SIGKILL" | "SIGSTOP",
): Promise<string> {
  const pids = await pidsOf(world, role);
  if (pids.length === 0) return `no ${role}`;
  const pid = pick(random, pids);
  signalIfRuns(pid, signal);
  if (signal === "SIGKILL") world.killed(role);
  if (signal === "SIGSTOP") hangFor(world, random, () => signalIfRuns(pid, "SIGCONT"));
  return role;
}

function hangFor({ thaws }: World, random: () => number, thaw: () => void): void {
  const once = (): void => {
    clearTimeout(timer);
    if (thaws.delete(once)) thaw();
  };
  const timer = setTimeout(once, random() * LONGEST_HANG_MS);
  thaws.add(once);
}

/** Edits, and kills whoever reads what was saved. */
async function killReader(world: World, random: () => number): Promise<string> {
  await world.config.editWell(random);
  const untilMs = performance.now() + READER_COMES_MS;
  while (performance.now() < untilMs) {
    const [pid] = await pidsOf(world, "config reader");
    if (pid !== undefined) {
      signalIfRuns(pid, "SIGKILL");
      world.killed("config reader");
      return "the config reader";
    }
  }
  return "no config reader";
}

async function setByCommand(world: World, random: () => number): Promise<string> {
  const [key, value] = pick(random, [
    ["global.check_interval_secs", pick(random, ["0.4", "0.5", "0.6"])],
    ["lsof-recheck", pick(random, ["on", "off"])],
    ["sync.debounce", pick(random, ["0.1", "0.2"])],
    ["backends.count.timeouts.call", pick(random, ["9", "10"])],
  ] as const);
  // 0 saved; 1 saved, and not applied; 3 the file has mistakes; 8 the daemon that was asked has gone; 9 changed by
  // someone else meanwhile.
  runs(world, ["config", "set", key, value], [0, 1, 3, 8, 9]);
  return `mountaineer config set ${key} ${value}`;
}

async function switchByHand(world: World): Promise<string> {
  runs(world, ["switch", "--to", "auto"], null);
  return "mountaineer switch --to auto";
}

async function handsOver(world: World): Promise<string> {
  // 1 nothing has changed; 8 no daemon runs.
  runs(world, ["restart"], [0, 1, 8]);
  return "mountaineer restart";
}

/** Begins a command; `codes`: how it may end, null: in any way, but by its deadline. */
function runs(
  { scene, ledger, underWay }: World,
  args: readonly string[],
  codes: readonly number[] | null,
): void {
  const command = `mountaineer ${args.join(" ")}`;
  goesOn(
    underWay,
    scene.home.cli(args, COMMAND_MS).then(({ code, stderr, ms }) => {
      const told = `${command} ended with ${code} after ${Math.round(ms)} ms: ${stderr.trim().slice(0, 300)}`;
      ledger.expect("commands", code !== null && (codes === null || codes.includes(code)), () => told);
    }),
  );
}

async function comes({ agents, underWay }: World, random: () => number): Promise<string> {
  const door = pick(random, ["http", "stdio"] as const);
  if (agents.running.length >= MOST_AGENTS) return "nobody more";
  goesOn(underWay, agents.come(door));
  return `one comes over ${door}`;
}

async function leaves({ agents, underWay }: World, random: () => number): Promise<string> {
  const how = pick(random, ["leaves", "is killed"] as const);
  if (agents.running.length <= LASTING_AGENTS) return "nobody leaves";
  goesOn(underWay, agents.leave(how, LASTING_AGENTS));
  return `one ${how}`;
}

async function jumps({ scene }: World, random: () => number): Promise<string> {
  const ms = (random() * 2 - 1) * LONGEST_JUMP_MS;
  await shiftClock(scene, ms);
  return `to ${(ms / 60_000).toFixed(0)} min of the true time`;
}
