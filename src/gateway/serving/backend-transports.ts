// Opens links to backends: over HTTP, as a program, or through another machine.
import { homedir } from "node:os";
import { duplexPair } from "node:stream";
import type { StdioConnection } from "../../config/snapshot.ts";
import type { PoolOptions } from "../backends/pool/backend-pool.ts";
import type { SignIns } from "../backends/server-sign-in/sign-ins.ts";
import type { OpenTransport } from "../backends/transports/backend-transport.ts";
import { openHttpTransport } from "../backends/transports/http/http-transport.ts";
import { openPrepared } from "../backends/transports/prepared-transport.ts";
import { sessionVariables } from "../backends/transports/stdio/session-variables.ts";
import { openStdioTransport } from "../backends/transports/stdio/stdio-transport.ts";
import type { Warden } from "../backends/transports/stdio/warden.ts";
import { openStreamTransport } from "../backends/transports/stream/stream-transport.ts";
import { openVersionAdapter, VersionCache } from "../backends/transports/versions/version-adapter.ts";
import { createCallerMarks } from "../caller-marks.ts";
import { MODERN_VERSION } from "../protocol.ts";
import type { GatewayOptions } from "./gateway-contract.ts";
import type { OpenMachine } from "./imported-backends.ts";

interface BackendTransportsOptions
  extends Pick<
    GatewayOptions,
    "clock" | "logger" | "announce" | "programEnvironment" | "packageFolder" | "environment" | "guarded"
  > {
  /** The seed of a backend's Python programs; null: it is unknown. */
  readonly hashSeed: (backend: string) => number | null;
  readonly warden: Warden;
  readonly openMachine?: GatewayOptions["openMachine"];
  readonly signIns: () => SignIns | null;
}

export function backendTransports(options: BackendTransportsOptions): PoolOptions["openTransport"] {
  const { clock, logger, warden, signIns, announce, programEnvironment, hashSeed } = options;
  const { openMachine = unreached, packageFolder, environment } = options;
  const { guarded = { homes: [], configs: [], userHome: homedir() } } = options;
  const memory = new VersionCache();
  const callerMarks = createCallerMarks();
  return (connection, backend, secrets, route, key, account) => {
    const common = { backend, key, memory, clock, logger };
    if (connection.type === "fleet") {
      const open = openStreamTransport({ open: (onEnd) => openMachine(connection, onEnd), clock });
      return openVersionAdapter({ ...common, over: "stream", isFixed: false, open, callerMarks });
    }
    const isFixed = connection.protocol === MODERN_VERSION;
    if (connection.type !== "stdio") {
      // Only the first route (`route` null) uses a person's sign-in. Other routes need client credentials to sign in.
      const isMachine = connection.auth?.type === "client-credentials";
      const name = route === null ? backend : isMachine ? `${backend}/${route}` : null;
      const authorize = () =>
        name === null ? null : (signIns()?.authorize(name, connection, account) ?? null);
      const open = openHttpTransport({ ...connection, authorize, clock, secrets });
      return openVersionAdapter({ ...common, over: "http", isFixed, open });
    }
    const {
      shown,
      sandbox,
      protocol: _protocol,
      clientFolders,
      clientFolder,
      session,
      ...program
    } = connection;
    const cwd = clientFolder ?? connection.cwd;
    const allowed = clientFolder === undefined ? null : (clientFolders ?? []);
    const seed = hashSeed(backend);
    const python = seed === null ? {} : { PYTHONHASHSEED: String(seed) };
    const env = { ...python, ...programEnvironment, ...connection.env };
    const apart = sandbox === undefined ? {} : { sandbox: { config: sandbox, guarded } };
    const inFolder = clientFolders === undefined ? {} : { inClientFolder: { allowed, guarded } };
    const given = { ...program, ...apart, ...inFolder, cwd, env, warden, clock, secrets };
    const whose = connection.package;
    const prepared = async (): Promise<OpenTransport> => {
      const folder = whose === undefined ? "" : ((await packageFolder?.(whose)) ?? "");
      const filled = whose === undefined ? given : withPackage(given, folder);
      const ofSession = session === true ? await sessionVariables(environment, clock) : {};
      return announced(openStdioTransport({ ...filled, env: { ...ofSession, ...filled.env } }));
    };
    const announced =
      (open: OpenTransport): OpenTransport =>
      (events) => {
        const transport = open(events);
        const { pid } = transport;
        const sandboxed = sandbox !== undefined;
        if (pid !== null) announce({ name: "backend.started", backend, pid, ...shown(), cwd, sandboxed });
        return transport;
      };
    const isReady = whose === undefined && session !== true;
    const open = isReady ? announced(openStdioTransport(given)) : openPrepared(prepared);
    return openVersionAdapter({ ...common, over: "process", isFixed, open });
  };
}

/** The program with the folder of its plugin or bundle where `${package}` stands. */
function withPackage<
  Program extends Pick<StdioConnection, "command" | "args" | "cwd"> & { readonly env: object },
>(program: Program, folder: string): Program {
  const filled = (text: string): string => text.replaceAll("${package}", () => folder);
  const env = Object.fromEntries(
    Object.entries(program.env).map(([name, text]) => [name, filled(String(text))]),
  );
  const { command, args, cwd } = program;
  return { ...program, command: filled(command), args: args.map(filled), cwd: filled(cwd), env };
}

/** Used without a fleet. The stream ends at once, because no other machine can be reached. */
const unreached: OpenMachine = ({ machine }, onEnd) => {
  const [ours, theirs] = duplexPair();
  setImmediate(() => {
    onEnd({ message: `${machine} is not reached from here`, hint: null, wasReached: false });
    theirs.destroy();
  });
  return ours;
};
