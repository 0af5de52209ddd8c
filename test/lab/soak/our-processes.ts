import { childrenOf } from "../../../bench/processes.ts";
import { daemonsOf, processesWhere } from "../../support/processes.ts";
import { commandOf } from "../scene.ts";
import { SHARES, type World } from "./soak-world.ts";

export type Role =
  | "daemon"
  | "prober"
  | "config reader"
  | "backend"
  | "backend warden"
  | "mcp bridge"
  | `mount of ${string}`;

const BY_COMMAND: readonly (readonly [Role, RegExp])[] = [
  ["config reader", /\/load-child\./],
  ["prober", /\/prober[^/]*\.(?:m?js|ts)/],
  ["backend", /server-filesystem|light-server/],
  ["backend warden", /backend-warden\.sh|backend-launch\.sh/],
];

/** Pid → what it is for; what nobody of us started is not in it. */
export async function ourProcesses({ scene }: Pick<World, "scene">): Promise<ReadonlyMap<number, Role>> {
  const { home } = scene.home;
  const found = new Map<number, Role>();
  // Two of them while one hands over to the other.
  for (const pid of await daemonsOf(home)) {
    found.set(pid, "daemon");
    await addChildren(found, pid);
  }
  for (const share of SHARES)
    for (const pid of await scene.servers(share)) found.set(pid, `mount of ${share}`);
  for (const pid of await bridgesOf(scene.folder)) found.set(pid, "mcp bridge");
  return found;
}

async function addChildren(found: Map<number, Role>, pid: number): Promise<void> {
  for (const child of await childrenOf(pid).catch(() => [])) {
    const command = await commandOf(child);
    const role = BY_COMMAND.find(([, pattern]) => pattern.test(command))?.[0];
    if (role !== undefined) found.set(child, role);
    await addChildren(found, child);
  }
}

/** `mountaineer mcp` of our agents, which are known by their logs. */
async function bridgesOf(folder: string): Promise<readonly number[]> {
  const agents = await processesWhere(/./, (args) => args.some((arg) => arg.startsWith(`${folder}/agents/`)));
  const children = await Promise.all(agents.map((pid) => childrenOf(pid).catch(() => [])));
  return children.flat();
}

export async function pidsOf(world: Pick<World, "scene">, role: Role): Promise<readonly number[]> {
  return [...(await ourProcesses(world))].flatMap(([pid, each]) => (each === role ? [pid] : []));
}
