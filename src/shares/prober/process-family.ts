// Whether a process belongs to one of our process groups: it is in the group, or descends from the group's leader.
import { readFileSync } from "node:fs";
import { valueOr } from "../../runtime/errors.ts";
import { runCommand } from "../../runtime/process/child-process.ts";

interface Kin {
  readonly parent: number;
  readonly group: number;
}

/** null: the process has ended. */
export type FamilyOf = (pid: number) => Kin | null;

const ANCESTORS_AT_MOST = 100;
const PS = "/bin/ps";
const PS_DEADLINE_MS = 2_000;

export function isOfGroups(pid: number, leaders: ReadonlySet<number>, kinOf: FamilyOf): boolean {
  let at = pid;
  for (let steps = 0; at > 1 && steps < ANCESTORS_AT_MOST; steps++) {
    const kin = kinOf(at);
    if (leaders.has(at) || (kin !== null && leaders.has(kin.group))) return true;
    if (kin === null) return false;
    at = kin.parent;
  }
  return false;
}

/** Reads the parents and groups of processes from /proc. Such a read does not wait for any process. */
export function kinInProc(procFolder: string): FamilyOf {
  return (pid) => {
    const stat = valueOr(() => readFileSync(`${procFolder}/${pid}/stat`, "utf8"), null);
    if (stat === null) return null;
    // The process's name is in brackets and may hold anything, so the fields are read after the last bracket.
    const [, parent, group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { parent: Number(parent), group: Number(group) };
  };
}

/** The parents and groups of all processes at this moment. Rejects when `ps` cannot be run. */
export async function kinFromPs(program: string = PS): Promise<FamilyOf> {
  const args = ["-A", "-o", "pid=", "-o", "ppid=", "-o", "pgid="];
  const limits = { deadlineMs: PS_DEADLINE_MS, killGraceMs: 0 };
  const { stdout } = await runCommand(program, args, limits);
  const all = new Map<number, Kin>();
  for (const line of stdout.split("\n")) {
    const [pid, parent, group] = line.trim().split(/\s+/).map(Number);
    if (pid !== undefined && parent !== undefined && group !== undefined) all.set(pid, { parent, group });
  }
  return (pid) => all.get(pid) ?? null;
}

/** Returns those of `pids` that are in no group of `leaders`; all of `pids` if `ps` fails. Never rejects. */
export async function withoutGroups(
  pids: readonly number[],
  leaders: readonly number[],
  kin: () => Promise<FamilyOf> = kinFromPs,
): Promise<readonly number[]> {
  if (pids.length === 0 || leaders.length === 0) return pids;
  const known = new Set(leaders);
  const kinOf = await kin().catch(() => null);
  return kinOf === null ? pids : pids.filter((pid) => !isOfGroups(pid, known, kinOf));
}
