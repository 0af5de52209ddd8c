// Reads the owners of TCP connections with lsof, which lists only processes of the own user. Connections of the kernel's
// SMB client are missing, so on the port of a `netfs` share no client is admitted.
import { MountaineerError } from "../../runtime/errors.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { OwnerTable } from "./owner-table.ts";

const LSOF = "/usr/sbin/lsof";
const DEADLINE_MS = 2_000;

export async function readOwnersDarwin(clock: Clock, port: number): Promise<OwnerTable> {
  const args = ["-nP", `-iTCP:${port}`, "-sTCP:ESTABLISHED", "-Fpun"];
  const answer = await runCommand(LSOF, args, { clock, deadlineMs: DEADLINE_MS });
  if (answer.timedOut) throw new MountaineerError("timed_out", "lsof gave no answer", { retry: "later" });
  return parseLsofOwners(answer.stdout);
}

/** Lines of one letter and a value: `pPID`, `uUID`, then for each file `fFD` and `nLOCAL->REMOTE`. */
export function parseLsofOwners(output: string): OwnerTable {
  const owners = new Map<string, number>();
  let uid: number | null = null;
  for (const line of output.split("\n")) {
    const value = line.slice(1);
    if (line.startsWith("p")) uid = null;
    else if (line.startsWith("u")) uid = /^\d+$/u.test(value) ? Number(value) : null;
    else if (line.startsWith("n") && uid !== null) owners.set(value, uid);
  }
  return {
    ownerOf: (address, port, localPort) => owners.get(`${address}:${port}->127.0.0.1:${localPort}`) ?? null,
  };
}
