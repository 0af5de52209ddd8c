// Two machines of a fleet, as two homes; the first has the real nats-server.

import { join } from "node:path";
import type { HomeOptions } from "../../../src/api/client/start-daemon.ts";
import type { FleetSection } from "../../../src/config/values/fleet-values.ts";
import { type FoundOptions, foundFleet } from "../../../src/fleet/enrollment/found-fleet.ts";
import { invite } from "../../../src/fleet/enrollment/invite.ts";
import { type JoinOptions, joinFleet } from "../../../src/fleet/enrollment/join.ts";
import { readJoinCode } from "../../../src/fleet/enrollment/join-code.ts";
import {
  type Membership,
  storedAuthority,
  storedMachineKey,
} from "../../../src/fleet/enrollment/membership.ts";
import { openServerConnection } from "../../../src/fleet/enrollment/server-connection.ts";
import { runningServer } from "../../../src/fleet/enrollment/server-process.ts";
import { inboxOf } from "../../../src/fleet/nats/subjects.ts";
import { ensureFolder } from "../../../src/runtime/files/durable-file.ts";
import { findProgram } from "../../../src/runtime/process/find-program.ts";
import { endProcess } from "../../../src/runtime/process/process-identity.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { freePort } from "../../support/free-port.ts";
import { type Scope, temporaryFolder } from "../../support/temporary-folder.ts";
import { forWholeFile } from "../../support/whole-file.ts";

export const LACKS_SERVER =
  (await findProgram("nats-server", [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin"])) === null
    ? "nats-server is not installed"
    : false;

export interface Machine extends HomeOptions {
  /** What was written into its configuration. */
  readonly sections: FleetSection[];
  readonly writeSection: (section: FleetSection) => Promise<void>;
}

export async function endServer(home: string): Promise<void> {
  const server = await runningServer(home);
  if (server === null) return;
  await endProcess(server, { clock: systemClock, graceMs: 5_000, deadlineMs: 15_000 });
}

/** Empty homes of that many machines; the first's server ends with the test. */
export async function machines(t: Scope, count: number): Promise<readonly Machine[]> {
  let folder = "";
  const homes = (): string[] => Array.from({ length: count }, (_, index) => join(folder, `home-${index}`));
  t.after(() => Promise.all(homes().map(endServer)));
  folder = await temporaryFolder(t);
  // No claim of speed, and a file's tests may share them.
  const signal = AbortSignal.timeout(600_000);
  return Promise.all(
    homes().map(async (home) => {
      await ensureFolder(home, 0o700);
      const sections: FleetSection[] = [];
      const writeSection = async (section: FleetSection): Promise<void> => void sections.push(section);
      return { home, clock: systemClock, environment: {}, signal, sections, writeSection };
    }),
  );
}

export async function found(machine: Machine, more: Partial<FoundOptions> = {}): Promise<Membership> {
  const environment = { PATH: process.env["PATH"] };
  return foundFleet({
    ...machine,
    environment,
    name: "nas",
    address: `127.0.0.1:${await freePort()}`,
    ...more,
  });
}

export async function invited(machine: Machine, validMs = 600_000) {
  const shown = Promise.withResolvers<string>();
  const end = new AbortController();
  /** Resolves with who came. */
  const guest = invite({
    ...machine,
    validMs,
    signal: AbortSignal.any([machine.signal, end.signal]),
    onCode: (code) => shown.resolve(code),
  });
  guest.catch((error: unknown) => shown.reject(error));
  return {
    code: await shown.promise,
    guest,
    async withdraw() {
      end.abort(new Error("withdrawn"));
      await guest.catch(() => {});
    },
  };
}

/** A fleet's first machine, whose server all tests of a file share; each test joins under a name of its own. */
export const fleetOfFile = () =>
  forWholeFile(async (t) => {
    const [nas] = present(await machines(t, 1));
    return { nas, first: await found(nas) };
  });

export function joined(machine: Machine, code: string, more: Partial<JoinOptions> = {}): Promise<Membership> {
  return joinFleet({ ...machine, code: readJoinCode(code), name: "laptop", ...more });
}

/** What the machine keeps of its fleet: its key, and the authority of the server. */
export async function keptBy(machine: Machine, { secret }: Membership) {
  const [seed, authority] = [await storedMachineKey(machine, secret), await storedAuthority(machine.home)];
  if (seed === null || authority === null) throw new Error("the machine keeps no key or no authority");
  return { seed, authority };
}

/** Whether the server lets the machine in with what it keeps. */
export async function linkOf(machine: Machine, membership: Membership): Promise<boolean> {
  const { name, address } = membership;
  const kept = await keptBy(machine, membership).catch(() => null);
  if (kept === null) return false;
  const link = await openServerConnection({ address, ...kept, inbox: inboxOf(name) }, machine.signal);
  await link?.[Symbol.asyncDispose]();
  return link !== null;
}

/** As many as there are names for. */
export function present<T>(all: readonly T[]): readonly [T, T, T] {
  return all as unknown as readonly [T, T, T];
}
