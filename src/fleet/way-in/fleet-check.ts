// What the doctor asks of a machine in its fleet: what its server permits, whose word counts, and what runs out.
import { X509Certificate } from "node:crypto";
import type { FleetCheckReport } from "../../api/fleet-contract.ts";
import type { FleetConfig } from "../../config/snapshot.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { readIfPresent } from "../../runtime/files/durable-file.ts";
import { isoTime } from "../../runtime/time/clock.ts";
import { openSecretStore } from "../../secrets/secret-store.ts";
import { certificatesIn } from "../layer/authority.ts";
import { handoversTo } from "../layer/handovers.ts";
import { readTrust } from "../layer/operator-trust.ts";
import { LinkFailure } from "../link-failure.ts";
import { type Probed, probePermissions } from "../permission-probe.ts";
import type { MachineUse } from "../permissions.ts";
import { readSignIn, type SignInOptions } from "../sign-in.ts";
import { certificatePaths, readFleet } from "./fleet-folder.ts";
import { nextName, readMembership } from "./membership.ts";
import { OPERATOR_SECRET } from "./operator-key.ts";

interface CheckOptions extends Omit<SignInOptions, "config"> {
  readonly home: string;
  readonly config: FleetConfig;
}

/** Rejects with `fleet_unreachable`, and as the signal says. */
export async function checkFleet(options: CheckOptions, signal: AbortSignal): Promise<FleetCheckReport> {
  const { home, clock, config } = options;
  const membership = await readMembership(home);
  // Names alone: no keyring is asked.
  const secrets = await openSecretStore({ home, clock, environment: {}, keyring: null }).list();
  const isKept = (secret: string | null): boolean =>
    secret !== null && secrets.some(({ name }) => name === secret);
  const operatorSecret = membership === null ? OPERATOR_SECRET : membership.operatorSecret;
  const { credentials } = config;
  const ownSecret = credentials.kind === "stored" ? credentials.name : null;
  const pending = [ownSecret, operatorSecret].filter((name) => name !== null && isKept(nextName(name)));
  const use: MachineUse = {
    name: config.name,
    calls: [config.export, config.import].some((list) => (list ?? []).length > 0),
    sessions: (config.sessions ?? []).length > 0,
    signs: isKept(operatorSecret),
    asksForKeys: membership !== null,
  };
  const { lacks, exceeds } = await probed(options, use, signal);
  return {
    lacks: [...lacks],
    exceeds: [...exceeds],
    operator: config.operator === null ? null : await operatorOf(home, config.operator),
    pending: pending.map((name) => (name === ownSecret ? "machine" : "operator")),
    authority_until: await validUntil(config.tlsCa),
    server_until: await serverUntil(home),
  };
}

async function probed(options: CheckOptions, use: MachineUse, signal: AbortSignal): Promise<Probed> {
  const { clock, config } = options;
  let failure: LinkFailure | null = null;
  for (const server of config.servers) {
    try {
      const { credentials, authority } = await readSignIn(options, signal);
      const { name } = config;
      return await probePermissions({ server, name, credentials, authority, clock, use }, signal);
    } catch (error) {
      if (!(error instanceof LinkFailure)) throw error;
      failure ??= error;
    }
  }
  throw new MountaineerError("fleet_unreachable", failure?.message ?? "there is no server", {
    retry: "later",
  });
}

async function operatorOf(home: string, line: string): Promise<FleetCheckReport["operator"]> {
  const { operator, handovers } = await readTrust(home, line);
  const last = operator === line ? null : (handoversTo(operator, handovers).at(-1) ?? null);
  return { line, current: operator, number: last?.number ?? null, since: last?.time ?? null };
}

async function serverUntil(home: string): Promise<string | null> {
  const record = await readFleet(home);
  return record === null ? null : validUntil(certificatePaths(home, record.certificates).authority);
}

/** Of all certificates in the file, the one that is good for longest; null: there is none that can be read. */
async function validUntil(path: string | null): Promise<string | null> {
  const text = path === null ? null : await readIfPresent(path).catch(() => null);
  const ends = certificatesIn(text ?? "").flatMap((pem) => {
    try {
      return [new X509Certificate(pem).validToDate.getTime()];
    } catch {
      return [];
    }
  });
  return ends.length === 0 ? null : isoTime(Math.max(...ends));
}
