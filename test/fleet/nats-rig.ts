// A real nats-server on loopback for tests, with a key for each machine, and links of machines to it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect, nkeyAuthenticator, nkeys } from "@nats-io/transport-node";
import type { StatusReport } from "../../src/api/contract/contract.ts";
import type { FleetMachine, FleetReport } from "../../src/api/contract/fleet.ts";
import type { FleetConfig } from "../../src/config/snapshot.ts";
import { Fleet } from "../../src/fleet/fleet.ts";
import { userLine } from "../../src/fleet/permissions.ts";
import { noopLogger } from "../../src/runtime/log/log.ts";
import { findProgram } from "../../src/runtime/process/find-program.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { sampleGlobal } from "../api/sample-report.ts";
import { eventually } from "../support/eventually.ts";
import { freePort, takesConnections } from "../support/free-port.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";
import { type Scope, temporaryFolder } from "../support/temporary-folder.ts";

/** Debian keeps it where only root's PATH looks. */
export const PROGRAM = await findProgram("nats-server", [
  ...(process.env["PATH"] ?? "").split(":"),
  "/usr/sbin",
]);

/** For tests that need it. */
export const needsNats = { skip: PROGRAM === null ? "nats-server is not installed" : false };

export type Key = ReturnType<typeof makeKey>;

export function makeKey() {
  const pair = nkeys.createUser();
  return { seed: new TextDecoder().decode(pair.getSeed()), publicKey: pair.getPublicKey() };
}

/** What `mountaineer fleet key` permits to a machine of this name; `without`: a subject less. */
export function permissionsOf(name: string, without = ""): string {
  const [, permissions = ""] = /permissions: \{ (.*) \} \}$/.exec(userLine(name, "U")) ?? [];
  return permissions.replace(`,"${without}"`, "");
}

export interface NatsOptions {
  readonly jetStream?: boolean;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Lines of a user's `permissions`, by the user's name. */
  readonly permissions?: Readonly<Record<string, string>>;
  /** Lines that say who may sign in, in the stead of the keys. */
  readonly users?: readonly string[];
}

export type NatsRig = Awaited<ReturnType<typeof startNats>>;

/** A test with a server of its own, skipped where there is none. */
export function natsTest(
  title: string,
  body: (t: TestContext, rig: NatsRig) => Promise<void>,
  options: NatsOptions = {},
): void {
  test(title, needsNats, async (t) => body(t, await startNats(t, options)));
}

const NAMES = ["laptop", "desktop", "nas", "stranger"];

/** Ends with the test. */
export async function startNats(t: Scope, options: NatsOptions = {}) {
  const { jetStream = true, tls, permissions = {} } = options;
  let server: ChildProcess | null = null;
  const kill = async (): Promise<void> => {
    const ending = server;
    server = null;
    if (ending === null || ending.exitCode !== null) return;
    const exit = once(ending, "exit");
    // One that is stopped hears nothing else.
    ending.kill("SIGKILL");
    await exit;
  };
  t.after(kill);
  const folder = await temporaryFolder(t);
  const port = await freePort();
  const keys = new Map(NAMES.map((name) => [name, makeKey()]));
  const users = [...keys].map(([name, { publicKey }]) => {
    const allowed = permissions[name];
    return `{ nkey: ${publicKey}${allowed === undefined ? "" : `, permissions: { ${allowed} }`} }`;
  });
  const config = join(folder, "nats.conf");
  await mkdir(join(folder, "store"));
  const lines = [
    `listen: "127.0.0.1:${port}"`,
    ...(options.users ?? [`authorization { users: [ ${users.join(", ")} ] }`]),
    ...(jetStream ? [`jetstream { store_dir: "${join(folder, "store")}" }`] : []),
    ...(tls === undefined ? [] : [`tls { cert_file: "${tls.cert}", key_file: "${tls.key}" }`]),
  ];
  await writeFile(config, `${lines.join("\n")}\n`);
  const start = async (): Promise<void> => {
    server = spawn(PROGRAM ?? "", ["-c", config], { stdio: "ignore" });
    await eventually(() => takesConnections(port));
  };
  await start();
  /** The key of a machine that the server knows. */
  const key = (name: string): Key => {
    const found = keys.get(name);
    if (found === undefined) throw new Error(`no key for ${name}`);
    return found;
  };
  return {
    port,
    folder,
    url: `nats://127.0.0.1:${port}`,
    get pid() {
      return server?.pid ?? 0;
    },
    key,
    start,
    kill,
    /** A client of its own, for what no machine of ours does. */
    async stranger(name: string) {
      const authenticator = nkeyAuthenticator(new TextEncoder().encode(key(name).seed));
      const connection = await connect({ servers: [`127.0.0.1:${port}`], authenticator, tls: null });
      t.after(() => connection.close());
      return connection;
    },
  };
}

export interface Member {
  readonly fleet: Fleet;
  readonly logger: ReturnType<typeof createRecordingLogger>;
  /** What the machine's status says from now on. */
  become(status: Partial<StatusReport>): void;
  report(): FleetReport;
  /** What it knows of another one; throws where it knows nothing. */
  sees(name: string): FleetMachine;
}

/** The options that every link of a machine has; it signs in with that seed. */
export function linkOptions(
  { url, name, seed }: { readonly url: string; readonly name: string; readonly seed: string },
  config: Partial<FleetConfig> = {},
) {
  const credentials = { kind: "environment", variable: "FLEET_KEY" } as const;
  return {
    config: { name, servers: [url], credentials, tlsCa: null, operator: null, ...config },
    values: { FLEET_KEY: seed },
    clock: systemClock,
    logger: noopLogger,
    redact() {},
  };
}

/** Ends with the test, unless it has. */
export function startMember(
  t: Scope,
  rig: Pick<NatsRig, "url" | "key">,
  name: string,
  changes: Partial<FleetConfig> & { readonly secret?: string; readonly clock?: typeof systemClock } = {},
): Member {
  const { secret = rig.key(name).seed, clock = systemClock, ...config } = changes;
  let status: StatusReport = { global: sampleGlobal(), shares: [] };
  const logger = createRecordingLogger();
  const fleet = new Fleet({
    ...linkOptions({ url: rig.url, name, seed: secret }, config),
    clock,
    logger,
    status: () => status,
  });
  t.after(() => fleet.end("stopped"));
  return {
    fleet,
    logger,
    become(news) {
      status = { ...status, ...news };
      fleet.scheduleSummary();
    },
    report: () => fleet.report(),
    sees(other) {
      const found = fleet.report().machines.find((machine) => machine.name === other && !machine.own);
      if (found === undefined) throw new Error(`${name} knows no ${other}`);
      return found;
    },
  };
}
